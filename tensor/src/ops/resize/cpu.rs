//! CPU kernels over channels-last maps. Resizing is linear along each axis, so a table of (source, weight) for
//! each result row and column says all; its adjoint reads the tables turned round. Both are gathers.

use rayon::prelude::*;
use smallvec::smallvec;

use super::*;
use crate::{
    Format, Outputs, Tensor,
    cpu::{self, channels_last, dispatch::vectorized, dispatch_float, math::Real},
};

/// Values that one task writes at least.
const TASK: usize = 16 * 1024;

/// For each place along an axis the places it is the weighted sum of.
type Taps<T> = Vec<SmallVec<[(usize, T); 2]>>;

impl Resize2d {
    /// What each place along the resized axis is made of.
    fn taps<T: Real>(&self, from: usize, to: usize) -> Taps<T> {
        (0..to).map(|i| self.tap(i, from, to)).collect()
    }

    fn tap<T: Real>(&self, i: usize, from: usize, to: usize) -> SmallVec<[(usize, T); 2]> {
        match self.mode {
            Interpolation::Nearest => {
                let source = match (self.align_corners, to - 1) {
                    (false, _) => i * from / to,
                    (true, 0) => 0,
                    (true, last) => (2 * i * (from - 1) + last) / (2 * last),
                };
                smallvec![(source.min(from - 1), T::one())]
            }
            Interpolation::Bilinear => {
                let scale = |from: usize, to: usize| if to == 0 { 0.0 } else { from as f64 / to as f64 };
                let at = if self.align_corners {
                    i as f64 * scale(from - 1, to - 1)
                } else {
                    ((i as f64 + 0.5) * scale(from, to) - 0.5).max(0.0)
                };
                let low = (at as usize).min(from - 1);
                let part = (at - low as f64).min(1.0);
                if part == 0.0 || low + 1 == from {
                    return smallvec![(low, T::one())];
                }
                smallvec![(low, T::narrow(1.0 - part)), (low + 1, T::narrow(part))]
            }
        }
    }
}

/// The transposed table: for each of `from` places, which results it takes part in.
fn turned<T: Real>(taps: &Taps<T>, from: usize) -> Taps<T> {
    let mut turned = vec![SmallVec::new(); from];
    for (i, sources) in taps.iter().enumerate() {
        for &(source, weight) in sources {
            turned[source].push((i, weight));
        }
    }
    turned
}

vectorized! {
    /// One row of `y`, of pixels of `c` channels, from an image `x` of rows of `line` values.
    fn gather_row<T: Real>(x: &[T], y: &mut [T], c: usize, line: usize, row: &[(usize, T)], columns: &Taps<T>) {
        for (y, column) in y.chunks_exact_mut(c).zip(columns) {
            match (row, &column[..]) {
                (&[(h, v)], &[(w, u)]) => {
                    let (x, weight) = (&x[h * line + w * c..][..c], u * v);
                    for j in 0..c {
                        y[j] = weight * x[j];
                    }
                }
                (&[(h0, v0), (h1, v1)], &[(w0, u0), (w1, u1)]) => {
                    let pixel = |h: usize, w: usize| &x[h * line + w * c..][..c];
                    let (x00, x01, x10, x11) = (pixel(h0, w0), pixel(h0, w1), pixel(h1, w0), pixel(h1, w1));
                    for j in 0..c {
                        y[j] = v0 * (u0 * x00[j] + u1 * x01[j]) + v1 * (u0 * x10[j] + u1 * x11[j]);
                    }
                }
                (row, column) => {
                    y.fill(T::zero());
                    for &(h, v) in row {
                        for &(w, u) in column {
                            let (x, weight) = (&x[h * line + w * c..][..c], u * v);
                            for j in 0..c {
                                y[j] += weight * x[j];
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A map of dims `to` whose pixels are sums of those of `x`.
fn gather<T: Real>(x: &Tensor, to: &[usize], rows: &Taps<T>, columns: &Taps<T>) -> Result<Tensor> {
    let (x, dims) = channels_last(x)?;
    let x = cpu::slice::<T>(&x)?;
    let (c, line) = (dims[1], dims[3] * dims[1]);
    let (height, width) = (to[2], to[3] * c);
    cpu::output(to, Format::ChannelsLast, |y: &mut [T]| {
        if width > 0 {
            y.par_chunks_mut(width).with_min_len(TASK.div_ceil(width)).enumerate().for_each(|(i, y)| {
                gather_row(&x[i / height * dims[2] * line..], y, c, line, &rows[i % height], columns);
            });
        }
    })
}

impl Resize2d {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let (from, to) = (ins[0].dims(), &outs[0].dims);
        dispatch_float!("resize2d", ins[0].dtype(), T => {
            let (rows, columns) = (self.taps::<T>(from[2], to[2]), self.taps(from[3], to[3]));
            Ok(smallvec![gather(ins[0], to, &rows, &columns)?])
        })
    }
}

impl Resize2dInput {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let (from, to) = (ins[0].dims(), &outs[0].dims);
        dispatch_float!("resize2d_input", ins[0].dtype(), T => {
            let turned = |axis: usize| turned(&self.resize.taps::<T>(to[axis], from[axis]), to[axis]);
            Ok(smallvec![gather(ins[0], to, &turned(2), &turned(3))?])
        })
    }
}

//! CPU kernels over `[pixels, classes]`: channels-last maps along the channel axis, and row-major tensors along their
//! last, are that already; other axes are moved there and back.

use rayon::prelude::*;
use smallvec::smallvec;

use super::*;
use crate::{
    Dims, Format, Layout, Outputs, Tensor,
    cpu::{
        self, columns,
        dispatch::vectorized,
        dispatch_float,
        math::{Real, select},
    },
};

/// Pixels of a block, and of one with very many classes (a block stays in the cache).
const BLOCK: usize = 64;
const NARROW: usize = 8;
/// Classes from which blocks are narrow.
const MANY: usize = 2048;
/// Elements that one task takes, about.
const TASK: usize = 32 * 1024;

vectorized! {
    /// Softmax, or its logarithm, of up to `B` pixels of `k` classes.
    fn softmax_block<T: Real, const B: usize>(x: &[T], y: &mut [T], k: usize, log: bool, block: &mut [T]) {
        columns::load::<_, _, B>(x, k, block, |v: T| v);
        let top = columns::maximum::<T, B>(block);
        let mut sum = [T::zero(); B];
        for row in block.as_chunks_mut::<B>().0 {
            for b in 0..B {
                let v = row[b] - top[b];
                let e = v.fast_exp();
                row[b] = select(log, v, e);
                sum[b] += e;
            }
        }
        for b in 0..B {
            sum[b] = if log { sum[b].fast_ln() } else { T::one() / sum[b] };
        }
        for row in block.as_chunks_mut::<B>().0 {
            for b in 0..B {
                row[b] = if log { row[b] - sum[b] } else { row[b] * sum[b] };
            }
        }
        columns::store::<T, B>(block, k, y);
    }
}

fn softmax_pixels<T: Real, const B: usize>(x: &[T], y: &mut [T], k: usize, log: bool) {
    let task = B * k * (TASK / (B * k)).max(1);
    y.par_chunks_mut(task).zip(x.par_chunks(task)).for_each(|(y, x)| {
        let mut block = vec![T::zero(); B * k];
        for (y, x) in y.chunks_mut(B * k).zip(x.chunks(B * k)) {
            softmax_block::<T, B>(x, y, k, log, &mut block);
        }
    });
}

fn run(op: &'static str, x: &Tensor, axis: usize, log: bool) -> Result<Outputs<Tensor>> {
    let (rank, k) = (x.dims().len(), x.dims()[axis]);
    let last = axis + 1 == rank;
    let channels = rank == 4 && axis == 1;
    // The other axes, then this one; the inverse of that.
    let order: Dims = (0..rank).filter(|&a| a != axis).chain([axis]).collect();
    let back: Dims = (0..axis).chain([rank - 1]).chain(axis..rank - 1).collect();
    let dense = match (channels, last) {
        (true, _) => x.to_format(Format::ChannelsLast)?,
        (_, true) => x.to_format(Format::Contiguous)?,
        _ => x.with_layout(x.layout().permute(&order)).to_format(Format::Contiguous)?,
    };
    let format = if channels { Format::ChannelsLast } else { Format::Contiguous };
    let dims = Dims::from_slice(dense.dims());
    dispatch_float!(op, x.dtype(), T => {
        let values = cpu::slice::<T>(&dense)?;
        let y = cpu::output(&dims, format, |y: &mut [T]| {
            if k < MANY {
                softmax_pixels::<T, BLOCK>(values, y, k, log);
            } else {
                softmax_pixels::<T, NARROW>(values, y, k, log);
            }
        })?;
        if channels || last {
            return Ok(smallvec![y]);
        }
        Ok(smallvec![y.with_layout(Layout::contiguous(&dims).permute(&back)).to_format(Format::Contiguous)?])
    })
}

impl LogSoftmax {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        run("log_softmax", ins[0], self.axis, true)
    }
}

impl Softmax {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        run("softmax", ins[0], self.axis, false)
    }
}

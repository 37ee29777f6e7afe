//! CPU kernels: passes over `[pixels, channels]` in fixed chunks.
//!
//! A chunk is read as rows of a whole number of pixels, wide enough that the inner loop is vectorised
//! whatever the number of channels; per-channel numbers are repeated to that width. Sums within a chunk are
//! in the tensor's type (f32 for bf16) over a few hundred rows, sums over chunks in f64 and in order, so that
//! they are accurate and the same for every number of threads.

use rayon::prelude::*;
use smallvec::smallvec;

use super::rows::{Coefficients, apply_rows, input_rows, reduce_rows, sum_rows, sum_square_rows};
use super::*;
use crate::{
    Element, Format, Outputs, Tensor,
    cpu::{
        self,
        math::Real,
        pixels::{from_pixels, pixels},
        stored::{Stored, dispatch_stored},
    },
};

/// Elements in a chunk, about: two operands of it fit the second-level cache.
const CHUNK: usize = 32 * 1024;
/// Least elements in a row: enough for its additions to overlap, few enough to stay in registers.
const ROW: usize = 64;

/// How `[pixels, channels]` is cut.
#[derive(Clone, Copy)]
struct Cut {
    channels: usize,
    /// Elements of a row: a multiple of `channels` and of 16.
    row: usize,
    /// Elements of a chunk: a multiple of `row`.
    chunk: usize,
}

impl Cut {
    fn new(channels: usize) -> Self {
        let channels = channels.max(1);
        let whole = channels << (4 - channels.trailing_zeros().min(4));
        let row = whole * ROW.div_ceil(whole);
        Self { channels, row, chunk: row * (CHUNK / row).max(1) }
    }

    /// Per-channel numbers repeated over a row.
    fn repeat<T: Real>(&self, per_channel: impl Fn(usize) -> f64) -> Vec<T> {
        let one: Vec<T> = (0..self.channels).map(|c| T::narrow(per_channel(c))).collect();
        one.iter().copied().cycle().take(self.row).collect()
    }

    /// The sums of a row's columns over its pixels.
    fn fold<T: Real>(&self, row: &[T]) -> Vec<f64> {
        let mut sums = vec![0.0; self.channels];
        for pixel in row.chunks(self.channels) {
            sums.iter_mut().zip(pixel).for_each(|(s, v)| *s += v.wide());
        }
        sums
    }
}

fn inverse_deviation(var: f64, eps: f64) -> f64 {
    1.0 / (var + eps).sqrt()
}

impl<T: Real> Coefficients<T> {
    /// From `[mean, var, γ, β]`.
    fn new(cut: Cut, channel: [&[T]; 4], eps: f64, relu: bool) -> Self {
        let [mean, var, gamma, beta] = channel;
        Self {
            mean: cut.repeat(|c| mean[c].wide()),
            scale: cut.repeat(|c| gamma[c].wide() * inverse_deviation(var[c].wide(), eps)),
            beta: cut.repeat(|c| beta[c].wide()),
            floor: if relu { T::ZERO } else { T::nan() },
        }
    }
}

/// Per-channel operands, dense.
fn vectors<const N: usize>(ins: &[&Tensor]) -> Result<[Tensor; N]> {
    let dense: SmallVec<[Tensor; N]> =
        ins.iter().map(|t| t.to_format(Format::Contiguous)).collect::<Result<_>>()?;
    dense.into_inner().map_err(|v| Error::value("batch_norm", format!("wants {N} vectors, got {}", v.len())))
}

/// The slices of [`vectors`].
fn slices<T: Real, const N: usize>(vectors: &[Tensor; N]) -> Result<[&[T]; N]> {
    let all: SmallVec<[&[T]; N]> = vectors.iter().map(cpu::slice::<T>).collect::<Result<_>>()?;
    all.into_inner().map_err(|v| Error::value("batch_norm", format!("wants {N} vectors, got {}", v.len())))
}

fn vector<T: Real>(values: &[f64]) -> Result<Tensor> {
    cpu::output(&[values.len()], Format::Contiguous, |out: &mut [T]| {
        out.iter_mut().zip(values).for_each(|(o, &v)| *o = T::narrow(v));
    })
}

/// Rows of a chunk of which one is looked at to guess the mean.
const SAMPLED: usize = 16;

/// Mean and biased variance of each channel of `[pixels, channels]`: deviations from a guess of a chunk's mean, which some of its
/// rows make and which is corrected afterwards; chunks merged by the formula of Chan, Golub and LeVeque.
fn statistics<S: Stored>(x: &[S], channels: usize) -> (Vec<f64>, Vec<f64>) {
    let cut = Cut::new(channels);
    let chunks: Vec<_> = x
        .par_chunks(cut.chunk)
        .map(|x| {
            let count = (x.len() / cut.channels) as f64;
            let mut sum = vec![S::Real::ZERO; cut.row];
            let mut seen = 0;
            for rows in x.chunks(SAMPLED * cut.row) {
                let row = &rows[..rows.len().min(cut.row)];
                sum_rows(row, &mut sum);
                seen += row.len() / cut.channels;
            }
            let first = cut.fold(&sum);
            let near: Vec<S::Real> = cut.repeat(|c| first[c] / seen as f64);
            let (mut rest, mut square) = (vec![S::Real::ZERO; cut.row], vec![S::Real::ZERO; cut.row]);
            sum_square_rows(x, &near, &mut rest, &mut square);
            // What the guess left over is corrected here.
            let (rest, square) = (cut.fold(&rest), cut.fold(&square));
            let mean: Vec<f64> = (0..cut.channels).map(|c| near[c].wide() + rest[c] / count).collect();
            let m2: Vec<f64> = (0..cut.channels).map(|c| square[c] - rest[c] * rest[c] / count).collect();
            (count, mean, m2)
        })
        .collect();
    let (mut total, mut mean, mut m2) = (0.0, vec![0.0; channels], vec![0.0; channels]);
    for (count, chunk_mean, chunk_m2) in chunks {
        let sum = total + count;
        for c in 0..channels {
            let d = chunk_mean[c] - mean[c];
            mean[c] += d * (count / sum);
            m2[c] += chunk_m2[c] + d * d * (total * count / sum);
        }
        total = sum;
    }
    // Rounding may take a sum of squares below zero; a NaN stays one.
    m2.iter_mut().for_each(|v| *v = if *v < 0.0 { 0.0 } else { *v / total });
    (mean, m2)
}

fn apply<S: Stored>(x: &Tensor, channel: [&[S::Real]; 4], eps: f64, relu: bool) -> Result<Tensor> {
    let cut = Cut::new(x.dims()[1]);
    let k = Coefficients::new(cut, channel, eps, relu);
    let dense = pixels(x)?;
    let values = cpu::slice::<S>(&dense)?;
    from_pixels(x.dims(), |y: &mut [S]| {
        y.par_chunks_mut(cut.chunk).zip(values.par_chunks(cut.chunk)).for_each(|(y, x)| apply_rows(x, y, &k));
    })
}

impl BatchNorm {
    pub(crate) fn cpu(&self, ins: &[&Tensor], _outs: &[Meta]) -> Result<Outputs<Tensor>> {
        dispatch_stored!(self.name(), ins[0].dtype(), S => self.forward::<S>(ins))
    }

    fn forward<S: Stored>(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let given = vectors::<2>(&ins[1..])?;
        let [gamma, beta] = slices(&given)?;
        let x = pixels(ins[0])?;
        let (mean, var) = statistics::<S>(cpu::slice(&x)?, ins[0].dims()[1]);
        let (mean, var) = (vector::<S::Real>(&mean)?, vector::<S::Real>(&var)?);
        let channel = [cpu::slice(&mean)?, cpu::slice(&var)?, gamma, beta];
        let y = apply::<S>(ins[0], channel, self.eps, self.relu)?;
        Ok(smallvec![y, mean, var])
    }
}

impl BatchNormStats {
    pub(crate) fn cpu(&self, ins: &[&Tensor], _outs: &[Meta]) -> Result<Outputs<Tensor>> {
        dispatch_stored!(self.name(), ins[0].dtype(), S => Self::of::<S>(ins[0]))
    }

    fn of<S: Stored>(x: &Tensor) -> Result<Outputs<Tensor>> {
        let dense = pixels(x)?;
        let (mean, var) = statistics::<S>(cpu::slice(&dense)?, x.dims()[1]);
        Ok(smallvec![vector::<S::Real>(&mean)?, vector::<S::Real>(&var)?])
    }
}

impl BatchNormApply {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        dispatch_stored!(self.name(), ins[0].dtype(), S => {
            let channel = vectors::<4>(&ins[1..])?;
            Ok(smallvec![apply::<S>(ins[0], slices(&channel)?, self.eps, self.relu)?])
        })
    }
}

impl BatchNormReduce {
    pub(crate) fn cpu(&self, ins: &[&Tensor], _outs: &[Meta]) -> Result<Outputs<Tensor>> {
        dispatch_stored!(self.name(), ins[0].dtype(), S => self.sums::<S>(ins))
    }

    fn sums<S: Stored>(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let given = vectors::<4>(&ins[2..])?;
        let channel: [&[S::Real]; 4] = slices(&given)?;
        let channels = ins[0].dims()[1];
        let cut = Cut::new(channels);
        let k = Coefficients::new(cut, channel, self.eps, self.relu);
        let (x, g) = (pixels(ins[0])?, pixels(ins[1])?);
        let (x, g) = (cpu::slice::<S>(&x)?, cpu::slice::<S>(&g)?);
        let chunks: Vec<_> = x
            .par_chunks(cut.chunk)
            .zip(g.par_chunks(cut.chunk))
            .map(|(x, g)| {
                let (mut sum, mut product) = (vec![S::Real::ZERO; cut.row], vec![S::Real::ZERO; cut.row]);
                reduce_rows(x, g, &k, &mut sum, &mut product);
                (cut.fold(&sum), cut.fold(&product))
            })
            .collect();
        let (mut sums, mut products) = (vec![0.0; channels], vec![0.0; channels]);
        for (sum, product) in chunks {
            for c in 0..channels {
                sums[c] += sum[c];
                products[c] += product[c];
            }
        }
        for c in 0..channels {
            products[c] *= inverse_deviation(channel[1][c].wide(), self.eps);
        }
        Ok(smallvec![vector::<S::Real>(&sums)?, vector::<S::Real>(&products)?])
    }
}

impl BatchNormInput {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        dispatch_stored!(self.name(), ins[0].dtype(), S => self.gradient::<S>(ins))
    }

    fn gradient<S: Stored>(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let given = vectors::<6>(&ins[2..])?;
        let [mean, var, gamma, beta, sum, product] = slices::<S::Real, _>(&given)?;
        let cut = Cut::new(ins[0].dims()[1]);
        let k = Coefficients::new(cut, [mean, var, gamma, beta], self.eps, self.relu);
        let count = self.count as f64;
        let inverse = |c: usize| inverse_deviation(var[c].wide(), self.eps);
        let scale = |c: usize| gamma[c].wide() * inverse(c);
        let slope: Vec<S::Real> = cut.repeat(|c| -scale(c) * inverse(c) * product[c].wide() / count);
        let offset: Vec<S::Real> = cut.repeat(|c| -scale(c) * sum[c].wide() / count);
        let (x, g) = (pixels(ins[0])?, pixels(ins[1])?);
        let (x, g) = (cpu::slice::<S>(&x)?, cpu::slice::<S>(&g)?);
        let y = from_pixels(ins[0].dims(), |y: &mut [S]| {
            y.par_chunks_mut(cut.chunk)
                .zip(x.par_chunks(cut.chunk))
                .zip(g.par_chunks(cut.chunk))
                .for_each(|((y, x), g)| input_rows(x, g, y, &k, &slope, &offset));
        })?;
        Ok(smallvec![y])
    }
}

//! CPU kernels over `[pixels, classes]`, in blocks of pixels. Sums are in f64 and in order, so that they are the
//! same for every number of threads.

use num_traits::One;
use rayon::prelude::*;
use smallvec::smallvec;

use super::*;
use crate::{
    Element, Format, Outputs, Tensor,
    cpu::{
        self, columns,
        dispatch::vectorized,
        math::{Real, select},
        pixels::{from_pixels, pixels},
        stored::{Stored, dispatch_stored, store_all},
    },
    layout::place,
};

/// Pixels of a block.
const BLOCK: usize = 64;
/// Pixels that one task takes.
const TASK: usize = 16 * BLOCK;
/// Class of a pixel that takes no part.
const NONE: u32 = u32::MAX;

/// What is known of a block of pixels: one number for each, at its true class where it has one.
struct Block<T> {
    classes: [u32; BLOCK],
    /// α and γ of those classes; zero where there is none.
    alpha: [T; BLOCK],
    gamma: [T; BLOCK],
    /// `exp(zⱼ − max z)`, `[K, BLOCK]`.
    exponentials: Vec<T>,
    /// `1 / Σⱼ exp(zⱼ − max z)`.
    share: [T; BLOCK],
    log_p: [T; BLOCK],
    p: [T; BLOCK],
    /// `1 − p`, from the other classes: exact where p is close to 1.
    q: [T; BLOCK],
    /// qᵞ, and q^(γ−1) where γ is not zero.
    power: [T; BLOCK],
    below: [T; BLOCK],
}

impl<T: Real> Block<T> {
    fn new(classes: usize) -> Self {
        let zero = [T::zero(); BLOCK];
        let exponentials = vec![T::zero(); classes * BLOCK];
        Self {
            classes: [NONE; BLOCK],
            alpha: zero,
            gamma: zero,
            exponentials,
            share: zero,
            log_p: zero,
            p: zero,
            q: zero,
            power: zero,
            below: zero,
        }
    }
}

vectorized! {
    /// Fills in everything but the classes from up to `BLOCK` pixels of `k` logits.
    fn probabilities<S: Stored>(logits: &[S], k: usize, block: &mut Block<S::Real>) {
        columns::load::<_, _, BLOCK>(logits, k, &mut block.exponentials, S::load);
        let top = columns::maximum::<S::Real, BLOCK>(&block.exponentials);
        let zero = [S::Real::ZERO; BLOCK];
        let (mut own_logit, mut own, mut others) = (zero, zero, zero);
        for (j, row) in block.exponentials.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            for b in 0..BLOCK {
                let v = row[b] - top[b];
                let e = v.fast_exp();
                let is_own = block.classes[b] == j as u32;
                row[b] = e;
                own_logit[b] += select(is_own, v, S::Real::ZERO);
                own[b] += select(is_own, e, S::Real::ZERO);
                others[b] += select(is_own, S::Real::ZERO, e);
            }
        }
        for b in 0..BLOCK {
            let sum = own[b] + others[b];
            block.share[b] = S::Real::one() / sum;
            // What rounding took from the sum: near p = 1 it is all that ln p consists of.
            let lost = others[b] - (sum - own[b]);
            block.log_p[b] = own_logit[b] - (sum.fast_ln() + lost * block.share[b]);
            block.p[b] = own[b] * block.share[b];
            block.q[b] = others[b] * block.share[b];
        }
    }

    /// The powers, right for exponents of 0, 1 and 2.
    fn powers<T: Real>(block: &mut Block<T>) {
        for b in 0..BLOCK {
            let (q, gamma) = (block.q[b], block.gamma[b]);
            let (linear, square) = (gamma >= T::one(), gamma > T::one());
            block.power[b] = select(square, q * q, select(linear, q, T::one()));
            block.below[b] = select(square, q, T::one());
        }
    }

    /// `−α·qᵞ·ln p`: the losses.
    fn losses<T: Real>(block: &Block<T>) -> [T; BLOCK] {
        let mut losses = [T::zero(); BLOCK];
        for b in 0..BLOCK {
            losses[b] = -(block.alpha[b] * block.power[b] * block.log_p[b]);
        }
        losses
    }

    /// `weight·α·[γ·q^(γ−1)·p·ln p − qᵞ]`, by which `δᵢⱼ − pⱼ` is multiplied.
    fn factors<T: Real>(block: &Block<T>, weight: T) -> [T; BLOCK] {
        let mut factors = [T::zero(); BLOCK];
        for b in 0..BLOCK {
            let inner = block.gamma[b] * block.below[b] * block.p[b] * block.log_p[b];
            let inner = select(block.gamma[b] == T::zero(), T::zero(), inner);
            factors[b] = weight * block.alpha[b] * (inner - block.power[b]);
        }
        factors
    }

    /// `factor · (δᵢⱼ − pⱼ)` in place of the exponentials; zeros where the factor is zero.
    fn gradients<T: Real>(block: &mut Block<T>, factor: &[T; BLOCK]) {
        for (j, row) in block.exponentials.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            for b in 0..BLOCK {
                let p = row[b] * block.share[b];
                let v = select(block.classes[b] == j as u32, block.q[b], -p);
                row[b] = select(factor[b] == T::zero(), T::zero(), factor[b] * v);
            }
        }
    }

    /// Writes up to `BLOCK` pixels of `k` gradients, rounded in `rounded` `[K, BLOCK]` before they are turned.
    fn write<S: Stored>(block: &Block<S::Real>, k: usize, rounded: &mut [S], y: &mut [S]) {
        store_all(&block.exponentials, rounded);
        columns::store::<S, BLOCK>(rounded, k, y);
    }
}

/// Labels in the order of the pixels.
enum Labels<'a> {
    U8(&'a [u8]),
    I64(&'a [i64]),
}

/// Everything but the logits.
struct Operands<'a, T> {
    labels: Labels<'a>,
    /// For messages.
    label_dims: &'a [usize],
    ignore: i64,
    alpha: &'a [T],
    gamma: &'a [T],
    /// Whether every γ is 0, 1 or 2.
    small: bool,
}

impl<'a, T: Real> Operands<'a, T> {
    fn new(ins: &'a [&Tensor], labels: &'a Tensor, per_class: &'a [Tensor; 2], ignore: i64) -> Result<Self> {
        let [alpha, gamma] = per_class;
        let gamma = cpu::slice::<T>(gamma)?;
        if let Some(i) = gamma.iter().position(|&g| !(g == T::zero() || g >= T::one())) {
            let what = format!("γ of class {i} is {}, but must be 0 or at least 1", gamma[i].wide());
            return Err(Error::value("focal_loss", what));
        }
        let small = gamma.iter().all(|&g| g <= T::one() || g == T::one() + T::one());
        let labels = match labels.dtype() {
            crate::DType::U8 => Labels::U8(cpu::slice(labels)?),
            _ => Labels::I64(cpu::slice(labels)?),
        };
        Ok(Self { labels, label_dims: ins[1].dims(), ignore, alpha: cpu::slice(alpha)?, gamma, small })
    }

    fn pixels(&self) -> usize {
        match self.labels {
            Labels::U8(l) => l.len(),
            Labels::I64(l) => l.len(),
        }
    }

    fn label(&self, pixel: usize) -> i64 {
        match self.labels {
            Labels::U8(l) => l[pixel] as i64,
            Labels::I64(l) => l[pixel],
        }
    }

    /// Fills a block from up to `BLOCK` pixels from `start` on, whose logits are given.
    fn fill<S: Stored<Real = T>>(&self, start: usize, logits: &[S], block: &mut Block<T>) -> Result<()> {
        (block.classes, block.alpha, block.gamma) = ([NONE; BLOCK], [T::zero(); BLOCK], [T::zero(); BLOCK]);
        for (b, pixel) in (start..self.pixels()).take(BLOCK).enumerate() {
            let label = self.label(pixel);
            if label != self.ignore {
                if label < 0 || label as usize >= self.alpha.len() {
                    return Err(self.unknown(pixel, label));
                }
                block.classes[b] = label as u32;
                block.alpha[b] = self.alpha[label as usize];
                block.gamma[b] = self.gamma[label as usize];
            }
        }
        probabilities::<S>(logits, self.alpha.len(), block);
        powers(block);
        if !self.small {
            for b in 0..BLOCK {
                if block.gamma[b] > T::one() {
                    block.power[b] = block.q[b].powf(block.gamma[b]);
                    block.below[b] = block.q[b].powf(block.gamma[b] - T::one());
                }
            }
        }
        Ok(())
    }

    fn unknown(&self, pixel: usize, label: i64) -> Error {
        let place = place(pixel, self.label_dims);
        let axes = match place.len() {
            3 => " (image, row, column)",
            _ => "",
        };
        let (k, ignore) = (self.alpha.len(), self.ignore);
        let what = format!("label {label} at {place:?}{axes} is neither one of the {k} classes nor {ignore}");
        Error::value("focal_loss", format!("{what}, which is ignored"))
    }

    /// The losses of the pixels of a task, added up, and the number of those that count.
    fn loss<S: Stored<Real = T>>(
        &self,
        start: usize,
        logits: &[S],
        block: &mut Block<T>,
    ) -> Result<(f64, usize)> {
        let k = self.alpha.len();
        let (mut sum, mut count) = (0.0, 0);
        for start in (start..(start + TASK).min(self.pixels())).step_by(BLOCK) {
            self.fill(start, &logits[start * k..], block)?;
            for (loss, class) in losses(block).into_iter().zip(block.classes) {
                if class != NONE {
                    sum += loss.wide();
                    count += 1;
                }
            }
        }
        Ok((sum, count))
    }

    /// The gradients of the logits of the pixels of a task, whose losses weigh `weight` in the result.
    fn gradient<S: Stored<Real = T>>(
        &self,
        start: usize,
        logits: &[S],
        y: &mut [S],
        weight: T,
        (block, rounded): (&mut Block<T>, &mut [S]),
    ) -> Result<()> {
        let k = self.alpha.len();
        for (i, y) in y.chunks_mut(BLOCK * k).enumerate() {
            let start = start + i * BLOCK;
            self.fill(start, &logits[start * k..], block)?;
            let factors = factors(block, weight);
            gradients(block, &factors);
            write(block, k, rounded, y);
        }
        Ok(())
    }
}

fn dense(t: &Tensor) -> Result<Tensor> {
    t.to_format(Format::Contiguous)
}

impl FocalLoss {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        dispatch_stored!("focal_loss", ins[0].dtype(), S => self.sum::<S>(ins))
    }

    fn sum<S: Stored>(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let (x, labels, per_class) = (pixels(ins[0])?, dense(ins[1])?, [dense(ins[2])?, dense(ins[3])?]);
        let operands = Operands::<S::Real>::new(ins, &labels, &per_class, self.ignore)?;
        let logits = cpu::slice::<S>(&x)?;
        let parts: Vec<_> = (0..operands.pixels().div_ceil(TASK))
            .into_par_iter()
            .map_init(
                || Block::new(operands.alpha.len()),
                |block, task| operands.loss(task * TASK, logits, block),
            )
            .collect();
        let (mut sum, mut count) = (0.0, 0);
        for part in parts {
            let (s, n) = part?;
            (sum, count) = (sum + s, count + n);
        }
        let scalar = |v: f64| Tensor::scalar(S::Real::narrow(v));
        Ok(smallvec![scalar(sum), scalar(count as f64)])
    }
}

impl FocalLossInput {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        dispatch_stored!("focal_loss_input", ins[0].dtype(), S => self.gradient::<S>(ins))
    }

    fn gradient<S: Stored>(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let (x, labels, per_class) = (pixels(ins[0])?, dense(ins[1])?, [dense(ins[2])?, dense(ins[3])?]);
        let operands = Operands::<S::Real>::new(ins, &labels, &per_class, self.ignore)?;
        let weight = cpu::slice::<S::Real>(ins[4])?[0];
        let (logits, k) = (cpu::slice::<S>(&x)?, operands.alpha.len());
        let mut parts: Vec<Result<()>> = Vec::new();
        let y = from_pixels(ins[0].dims(), |y: &mut [S]| {
            parts = y
                .par_chunks_mut(TASK * k)
                .enumerate()
                .map_init(
                    || (Block::new(k), vec![S::ZERO; k * BLOCK]),
                    |(block, rounded), (task, y)| {
                        operands.gradient(task * TASK, logits, y, weight, (block, rounded))
                    },
                )
                .collect();
        })?;
        parts.into_iter().collect::<Result<()>>()?;
        Ok(smallvec![y])
    }
}

//! CPU kernels: fills, ranges, random numbers.

use half::{bf16, f16};
use num_traits::Float;
use rayon::prelude::*;

use super::*;
use crate::{
    Element, Format, Outputs, Tensor,
    cpu::{dispatch_any, output, strided::CHUNK},
    rng::unit,
};

/// A row-major tensor whose elements `write` makes, given a piece of them and the number of its first.
/// Pieces start at multiples of four.
fn make<T: Element>(dims: &[usize], write: impl Fn(usize, &mut [T]) + Sync) -> Result<Outputs<Tensor>> {
    let y = output::<T>(dims, Format::Contiguous, |y| {
        if y.len() <= CHUNK {
            write(0, y);
        } else {
            y.par_chunks_mut(CHUNK).enumerate().for_each(|(i, piece)| write(i * CHUNK, piece));
        }
    })?;
    Ok(Outputs::from_iter([y]))
}

impl Arange {
    pub(crate) fn cpu(&self) -> Result<Outputs<Tensor>> {
        dispatch_any!(self.dtype, T => make::<T>(&[self.len], |at, y| {
            let value = |i: usize| T::from_f64(self.start + (at + i) as f64 * self.step);
            y.iter_mut().enumerate().for_each(|(i, y)| *y = value(i));
        }))
    }
}

impl Full {
    pub(crate) fn cpu(&self) -> Result<Outputs<Tensor>> {
        dispatch_any!(self.dtype, T => make::<T>(&self.dims, |_, y| y.fill(T::from_f64(self.value))))
    }
}

impl Random {
    /// Element `i` comes from word `i % 4` of block `i / 4`; a normal pair (`2k`, `2k + 1`) from the two words
    /// of its elements: radius from the first, angle from the second, cosine before sine.
    pub(crate) fn cpu(&self) -> Result<Outputs<Tensor>> {
        match self.dtype {
            DType::F64 => self.drawn::<f64, f64>(),
            DType::F32 => self.drawn::<f32, f32>(),
            DType::BF16 => self.drawn::<f32, bf16>(),
            DType::F16 => self.drawn::<f32, f16>(),
            other => Err(Error::value("random", format!("makes floats, not {other}"))),
        }
    }

    /// Values computed in `T`, stored in `S`.
    fn drawn<T: Element + Float, S: Element>(&self) -> Result<Outputs<Tensor>> {
        make::<S>(&self.dims, |at, y| {
            for (b, four) in y.chunks_mut(4).enumerate() {
                let values = four_of::<T>(self.distribution, self.key.block((at / 4 + b) as u64));
                four.iter_mut().zip(values).for_each(|(y, value)| *y = self.distribution.stored(value));
            }
        })
    }
}

impl Distribution {
    /// A value as it is stored. Rounding may reach the upper bound, which is excluded.
    fn stored<T: Element, S: Element>(self, value: T) -> S {
        let rounded = S::from_f64(value.to_f64());
        match self {
            Self::Uniform { low, high } if rounded.to_f64() >= high => S::from_f64(low),
            _ => rounded,
        }
    }
}

/// Four random values from a block of four words.
fn four_of<T: Element + Float>(distribution: Distribution, words: [u32; 4]) -> [T; 4] {
    match distribution {
        Distribution::Uniform { low, high } => {
            words.map(|w| T::from_f64(low + (high - low) * unit(w) as f64))
        }
        Distribution::Bernoulli { p } => words.map(|w| T::from_f64(((unit(w) as f64) < p) as u8 as f64)),
        Distribution::Normal { mean, std } => {
            let (mean, std) = (T::from_f64(mean), T::from_f64(std));
            let pair = |a: u32, b: u32| {
                // 1 − u is in (0, 1]: the logarithm is finite.
                let radius = (T::from_f64(-2.0) * T::from_f64(1.0 - unit(a) as f64).ln()).sqrt();
                let (sin, cos) = (T::from_f64(std::f64::consts::TAU) * T::from_f64(unit(b) as f64)).sin_cos();
                [mean + std * radius * cos, mean + std * radius * sin]
            };
            let ([a, b], [c, d]) = (pair(words[0], words[1]), pair(words[2], words[3]));
            [a, b, c, d]
        }
    }
}

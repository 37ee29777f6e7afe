//! Operands: shapes by proptest, values from a seed, away from the kinks of the function that they are for.

use proptest::prelude::*;
use tensor::{
    Tensor,
    rng::{Key, Stream},
};

/// Names the values of one draw.
pub fn seed() -> impl Strategy<Value = u64> {
    0..u64::MAX
}

/// Dims of `rank` axes of 1 to `most`.
pub fn dims(rank: std::ops::RangeInclusive<usize>, most: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..=most, rank)
}

/// An axis of `dims`.
pub fn axis(dims: &[usize]) -> impl Strategy<Value = usize> + use<> {
    0..dims.len()
}

/// Some of the axes of `dims`, ascending.
pub fn axes(dims: &[usize]) -> impl Strategy<Value = Vec<usize>> + use<> {
    prop::sample::subsequence((0..dims.len()).collect::<Vec<_>>(), 0..=dims.len())
}

/// Dims that broadcast to `dims`.
pub fn narrower(dims: &[usize]) -> impl Strategy<Value = Vec<usize>> + use<> {
    let dims = dims.to_vec();
    let rank = dims.len();
    (0..=rank, prop::collection::vec(any::<bool>(), rank)).prop_map(move |(drop, ones)| {
        let sizes = dims.iter().zip(ones).map(|(&d, one)| if one { 1 } else { d });
        sizes.skip(drop).collect()
    })
}

/// Draws tensors one after the other.
pub struct Values(Stream);

impl Values {
    pub fn new(seed: u64) -> Self {
        Self(Stream::new(Key::new(seed, 0)))
    }

    /// Uniform in `low..high`.
    pub fn uniform(&mut self, dims: &[usize], low: f64, high: f64) -> Tensor {
        self.avoiding(dims, low, high, &[])
    }

    /// Uniform in `−1..1`.
    pub fn any(&mut self, dims: &[usize]) -> Tensor {
        self.uniform(dims, -1.0, 1.0)
    }

    /// Uniform in `low..high`, but not near `kinks`.
    pub fn avoiding(&mut self, dims: &[usize], low: f64, high: f64, kinks: &[f64]) -> Tensor {
        let draw = || loop {
            let value = self.0.uniform(low, high);
            if kinks.iter().all(|k| (value - k).abs() > 0.01) {
                return value;
            }
        };
        let values = std::iter::repeat_with(draw).take(dims.iter().product()).collect();
        Tensor::from_vec::<f64>(values, dims).unwrap()
    }

    /// All different, in random order: multiples of 0.1 plus `offset`.
    pub fn distinct(&mut self, dims: &[usize], offset: f64) -> Tensor {
        let len: usize = dims.iter().product();
        let mut values: Vec<f64> = (0..len).map(|i| (i as f64 - len as f64 / 2.0) * 0.1 + offset).collect();
        for i in (1..len).rev() {
            values.swap(i, self.0.below(i + 1));
        }
        Tensor::from_vec(values, dims).unwrap()
    }

    /// Integers below `n`.
    pub fn indices(&mut self, dims: &[usize], n: usize) -> Tensor {
        let values = (0..dims.iter().product()).map(|_| self.0.below(n) as i64).collect();
        Tensor::from_vec::<i64>(values, dims).unwrap()
    }

    /// 0 or 1.
    pub fn mask(&mut self, dims: &[usize]) -> Tensor {
        let values = (0..dims.iter().product()).map(|_| self.0.below(2) as u8).collect();
        Tensor::from_vec::<u8>(values, dims).unwrap()
    }
}

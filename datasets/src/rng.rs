//! Random numbers as a function of a key: the same (seed, epoch, index) gives the same stream on any machine,
//! in any thread, in any order. A thin layer over [`tensor::rng`] that names streams by several numbers and
//! draws `f32`.

use tensor::rng::{Key, Stream, unit};

/// A deterministic stream of random numbers.
#[derive(Debug, Clone)]
pub struct Rng {
    stream: Stream,
}

impl Rng {
    /// The stream of `seed` that belongs to `key`. Keys of different content or length name different
    /// streams (up to a 64-bit hash).
    pub fn new(seed: u64, key: &[u64]) -> Rng {
        let fold = |state: u64, part: &u64| mix(state ^ mix(part.wrapping_add(0x9E37_79B9_7F4A_7C15)));
        let stream = key.iter().fold(key.len() as u64, fold);
        Rng { stream: Stream::new(Key::new(seed, stream)) }
    }

    /// The next 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.stream.word()
    }

    /// Uniform in [0, 1), with 24 random bits.
    pub fn unit(&mut self) -> f32 {
        unit(self.bits())
    }

    /// Uniform in [lo, hi).
    pub fn range(&mut self, lo: f32, hi: f32) -> f32 {
        lo + (hi - lo) * self.unit()
    }

    /// Uniform in 0..n (n below 2³²; bias at most n / 2³²); 0 when n is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.bits()) * n as u64) >> 32) as usize
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// One of the given values. Panics on an empty slice.
    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// Shuffles in place (Fisher-Yates).
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i + 1));
        }
    }
}

/// A bijection of 64-bit numbers in which every input bit moves every output bit (SplitMix64's finish).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_stream() {
        let first = |seed, k: &[u64]| (Rng::new(seed, k).bits(), Rng::new(seed, k).unit().to_bits());
        assert_eq!(first(4, &[1, 2, 3]), first(4, &[1, 2, 3]));
        assert_ne!(first(4, &[1, 2, 3]), first(5, &[1, 2, 3]));
        let keys: [&[u64]; 6] = [&[1, 2, 3], &[1, 3, 2], &[1, 2], &[1, 2, 3, 0], &[0], &[]];
        for (i, a) in keys.iter().enumerate() {
            for b in &keys[i + 1..] {
                assert_ne!(first(4, a), first(4, b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn draws_are_uniform_enough() {
        let mut rng = Rng::new(7, &[]);
        let mut counts = [0usize; 10];
        for _ in 0..100_000 {
            counts[rng.below(10)] += 1;
        }
        assert!(counts.iter().all(|c| (9_600..10_400).contains(c)), "{counts:?}");
        let mean = (0..100_000).map(|_| f64::from(rng.range(1.0, 3.0))).sum::<f64>() / 100_000.0;
        assert!((mean - 2.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn shuffling_keeps_the_elements() {
        let mut v: Vec<usize> = (0..100).collect();
        Rng::new(1, &[]).shuffle(&mut v);
        assert_ne!(v, (0..100).collect::<Vec<_>>());
        v.sort_unstable();
        assert_eq!(v, (0..100).collect::<Vec<_>>());
    }
}

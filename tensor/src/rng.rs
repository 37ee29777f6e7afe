//! Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
//! SC 2011). A number depends on the key and its position alone, so streams are the same on every device and
//! for every thread count, and any position can be reached at once.

/// Names a stream of random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Key {
    /// The user's seed.
    pub seed: u64,
    /// Which of the seed's streams (a layer, a sample, a step).
    pub stream: u64,
}

impl Key {
    /// The stream `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { seed, stream }
    }

    /// Block `counter` of the stream: four 32-bit words.
    #[inline]
    pub fn block(self, counter: u64) -> [u32; 4] {
        let mut c = [counter as u32, (counter >> 32) as u32, self.stream as u32, (self.stream >> 32) as u32];
        let mut k = [self.seed as u32, (self.seed >> 32) as u32];
        for _ in 0..10 {
            let p0 = 0xD251_1F53_u64 * c[0] as u64;
            let p1 = 0xCD9E_8D57_u64 * c[2] as u64;
            c = [(p1 >> 32) as u32 ^ c[1] ^ k[0], p1 as u32, (p0 >> 32) as u32 ^ c[3] ^ k[1], p0 as u32];
            k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
        }
        c
    }

    /// Word `position` of the stream.
    #[inline]
    pub fn word(self, position: u64) -> u32 {
        self.block(position / 4)[(position % 4) as usize]
    }
}

/// A uniform number in `[0, 1)` with 24 random bits: exact in f32.
#[inline]
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// Reads a stream word by word: for drawing a few numbers one after the other on the host.
#[derive(Debug, Clone)]
pub struct Stream {
    key: Key,
    position: u64,
}

impl Stream {
    /// The stream of `key`, from its start.
    pub fn new(key: Key) -> Self {
        Self { key, position: 0 }
    }

    /// The next 32 random bits.
    pub fn word(&mut self) -> u32 {
        self.position += 1;
        self.key.word(self.position - 1)
    }

    /// A uniform number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        let (high, low) = (self.word() as u64, self.word() as u64);
        ((high << 21) ^ (low >> 11)) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A uniform number in `[low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A uniform integer in `0..n` (0 for n = 0).
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// A standard normal number (Box–Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Shuffles `items` (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the Random123 library for philox4x32-10.
    #[test]
    fn known_answers() {
        assert_eq!(Key::new(0, 0).block(0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            Key::new(u64::MAX, u64::MAX).block(u64::MAX),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
    }

    #[test]
    fn uniform_and_normal_moments() {
        let mut s = Stream::new(Key::new(7, 1));
        let n = 40_000;
        let (mut u, mut m, mut v) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            u += s.unit();
            let z = s.normal();
            m += z;
            v += z * z;
        }
        let n = n as f64;
        assert!((u / n - 0.5).abs() < 0.01 && (m / n).abs() < 0.02 && (v / n - 1.0).abs() < 0.03);
    }
}

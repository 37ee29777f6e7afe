//! The best class of each pixel, taken while its values are in the cache.

use crate::cpu::dispatch::vectorized;
use crate::cpu::math::select;
use crate::cpu::simd::Scalar;

vectorized! {
    /// The channel of each pixel's largest value: the first of equal ones, NaN counting as larger than every number.
    pub(super) fn best_channels<T: Scalar>(pixels: &[T], channels: usize, labels: &mut [u8]) {
        // Several pixels at once, in local arrays, which stay in registers.
        const BLOCK: usize = 8;
        for (labels, pixels) in labels.chunks_mut(BLOCK).zip(pixels.chunks(BLOCK * channels)) {
            let (mut best, mut place) = ([T::neg_infinity(); BLOCK], [0u32; BLOCK]);
            let lines: [&[T]; BLOCK] =
                std::array::from_fn(|i| &pixels[i.min(labels.len() - 1) * channels..][..channels]);
            for c in 0..channels {
                for i in 0..BLOCK {
                    let x = lines[i][c];
                    let better = (x > best[i]) | (x.is_nan() & !best[i].is_nan());
                    best[i] = select(better, x, best[i]);
                    place[i] = select(better, c as u32, place[i]);
                }
            }
            for (label, place) in labels.iter_mut().zip(place) {
                *label = place as u8;
            }
        }
    }
}

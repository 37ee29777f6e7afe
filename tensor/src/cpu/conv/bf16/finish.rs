//! From f32 sums to results: bias, clamps, what is added, and one rounding.

use half::bf16;

use super::super::{Residual, Shared};
use crate::cpu::dispatch::vectorized;
use crate::cpu::math::select;

/// What happens to sums: `relu_last(relu(sum + bias) + residual)`, each part optional.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    /// One value for each channel.
    pub bias: Option<&'a [f32]>,
    /// Clamp below at zero before the residual is added.
    pub relu: bool,
    /// What is added.
    pub residual: Option<Residual<'a, bf16>>,
    /// Clamp below at zero after the residual was added.
    pub relu_last: bool,
}

/// Sums of some pixels and what happens to them. Valid: `sums` for `pixels` times `pitch` numbers, `residual`, where it is
/// not null, for `channels` numbers every `residual_step`, and the place of the results likewise.
pub(super) struct Pixels<'a> {
    pub sums: &'a [f32],
    pub pitch: usize,
    pub pixels: usize,
    pub channels: usize,
    pub finish: &'a Finish<'a>,
    pub residual: *const bf16,
    pub residual_step: usize,
}

/// What results are stored as.
pub(super) trait Stored: Copy {
    /// Rounds.
    fn from_sum(sum: f32) -> Self;
}

impl Stored for f32 {
    #[inline(always)]
    fn from_sum(sum: f32) -> f32 {
        sum
    }
}

impl Stored for bf16 {
    #[inline(always)]
    fn from_sum(sum: f32) -> bf16 {
        round(sum)
    }
}

/// The nearest bf16 number.
#[inline(always)]
pub(crate) fn round(value: f32) -> bf16 {
    bf16::from_bits((rounded(value) >> 16) as u16)
}

/// The bits of the nearest number that bf16 can hold (ties to even).
#[inline(always)]
fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    let up = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    // Of NaN the upper half stays, made quiet.
    select(value.is_nan(), bits | 0x0040_0000, up) & 0xffff_0000
}

/// Results to `to`, one pixel every `step` numbers.
///
/// # Safety
/// As [`Pixels`] says.
pub(super) unsafe fn store<T: Stored>(a: &Pixels<'_>, to: *mut T, step: usize) {
    store_all(a, Shared(to), step);
}

vectorized! {
    /// [`store`], whose promises it relies on.
    fn store_all<T: Stored>(a: &Pixels<'_>, to: Shared<T>, step: usize) {
        let (n, finish) = (a.channels, a.finish);
        let bias = finish.bias.map(|bias| &bias[..n]);
        // NaN is not below zero.
        let relu = |on: bool, x: f32| select(on & (x < 0.0), 0.0, x);
        for p in 0..a.pixels {
            let sums = &a.sums[p * a.pitch..][..n];
            // SAFETY: as promised by the caller of `store`.
            let to = unsafe { std::slice::from_raw_parts_mut(to.0.add(p * step), n) };
            let first = |c: usize| relu(finish.relu, bias.map_or(sums[c], |bias| sums[c] + bias[c]));
            if a.residual.is_null() {
                (0..n).for_each(|c| to[c] = T::from_sum(first(c)));
            } else {
                // SAFETY: as promised by the caller of `store`.
                let residual = unsafe { std::slice::from_raw_parts(a.residual.add(p * a.residual_step), n) };
                let wide = |c: usize| f32::from_bits(u32::from(residual[c].to_bits()) << 16);
                (0..n).for_each(|c| to[c] = T::from_sum(relu(finish.relu_last, first(c) + wide(c))));
            }
        }
    }
}

/// Rounds to what bf16 can hold, in f32.
pub(super) fn round_in_place(values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v = f32::from_bits(rounded(*v)));
}

/// Values of a max pool put back to their places: those of one pixel, whose place in its window is `place`.
pub(super) fn unpool(to: &mut [bf16], pooled: &[bf16], index: &[u8], place: u8) {
    for ((to, &value), &i) in to.iter_mut().zip(pooled).zip(index) {
        *to = bf16::from_bits(select(i == place, u32::from(value.to_bits()), 0) as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_that_of_the_number_type() {
        let some = [0.0, -0.0, 1.0, 1.003_906_3, 1.011_718_8, -3.3e38, f32::INFINITY, 1e-40, 0.1, f32::MAX];
        for value in some.into_iter().chain((0..2000).map(|i| f32::from_bits(i * 2_141_733 + 77))) {
            let (found, wanted) = (bf16::from_sum(value), bf16::from_f32(value));
            assert_eq!(found.is_nan(), wanted.is_nan());
            assert!(wanted.is_nan() || found.to_bits() == wanted.to_bits(), "{value}: {found} {wanted}");
        }
    }
}

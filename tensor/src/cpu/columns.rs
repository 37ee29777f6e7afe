//! Blocks of `[pixels, classes]` turned to `[classes, B]`, so that what softmax and the losses do for each pixel is
//! vectorised across pixels, whatever the number of classes.

use super::math::{Real, select};
use crate::Element;

/// Reads up to `B` pixels of `k` classes into `block` `[k, B]`, each number as `widen` makes it; columns beyond the pixels keep
/// what they held.
///
/// Not inlined into loops for wider instruction sets: there the compiler would take scattering stores, which are slower than
/// one store after the other.
#[inline(never)]
pub(crate) fn load<T: Element, R, const B: usize>(
    x: &[T],
    k: usize,
    block: &mut [R],
    widen: impl Fn(T) -> R,
) {
    for (p, pixel) in x.chunks_exact(k).take(B).enumerate() {
        for (row, &v) in block.chunks_exact_mut(B).zip(pixel) {
            row[p] = widen(v);
        }
    }
}

/// Writes up to `B` pixels of `k` classes from `block` `[k, B]`.
#[inline(always)]
pub(crate) fn store<T: Element, const B: usize>(block: &[T], k: usize, y: &mut [T]) {
    for (p, pixel) in y.chunks_exact_mut(k).take(B).enumerate() {
        for (row, v) in block.chunks_exact(B).zip(pixel) {
            *v = row[p];
        }
    }
}

/// The maximum of each column of `block` `[k, B]`; `B` is a multiple of 8.
#[inline(always)]
pub(crate) fn maximum<T: Real, const B: usize>(block: &[T]) -> [T; B] {
    const LANES: usize = 8;
    let mut top = [T::neg_infinity(); B];
    for (group, top) in top.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        // A local array of this size stays in registers.
        let mut best = [T::neg_infinity(); LANES];
        for row in block.as_chunks::<B>().0 {
            let row = &row.as_chunks::<LANES>().0[group];
            for b in 0..LANES {
                best[b] = select(row[b] > best[b], row[b], best[b]);
            }
        }
        *top = best;
    }
    top
}

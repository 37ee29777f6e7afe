//! The transform of weights, `U = G g Gᵀ`, into the arrangement in which the products read them, and of the sums of the weight
//! gradient back: `Σ over copies`, then `Gᵀ u G`.
//!
//! Both run over the lanes of a block, since a training step transforms all weights anew; the first in f64.

use super::Form;
use crate::cpu::conv::pack::{Direction, PackLayout};
use crate::cpu::conv::weight_gradient::MAX_WIDTH;
use crate::cpu::dispatch::vectorized;
use crate::cpu::simd::Scalar;
use crate::cpu::simd::buffer::with_scratch;
use crate::cpu::simd::table::Block;
use num_traits::ToPrimitive;
use rayon::prelude::*;

/// One number of each lane.
type Lanes = [f64; MAX_WIDTH];

/// Transforms `weights` (`[c_out, c_in, 3, 3]`) into `packed`, whose arrangement is that of the form's
/// [`packing`](Form::packing). The input gradient is a convolution by the filters turned by half a turn.
pub(crate) fn pack<W: ToPrimitive + Copy + Sync, T: Scalar>(
    form: Form,
    layout: &PackLayout,
    weights: &[W],
    packed: &mut [T],
) {
    let (depth, planes) = (layout.depth, form.planes());
    assert_eq!((layout.groups, layout.taps), (1, planes));
    assert_eq!((weights.len(), packed.len()), (9 * depth * layout.channels, layout.len()));
    let matrices = form.matrices();
    let mut rest = packed;
    let mut parts = Vec::with_capacity(layout.blocks.len());
    for block in &layout.blocks {
        let (part, after) = rest.split_at_mut(planes * depth * layout.width(block));
        parts.push((block, part));
        rest = after;
    }
    parts.into_par_iter().for_each(|(block, u)| {
        let width = layout.width(block);
        let mut g = [[0.0; MAX_WIDTH]; 9];
        for c in 0..depth {
            for lane in 0..used(layout, block) {
                let filter = &weights[9 * filter(layout, block.start + lane, c)..][..9];
                for (tap, w) in filter.iter().enumerate() {
                    let at = if layout.direction == Direction::InputGradient { 8 - tap } else { tap };
                    g[at][lane] = w.to_f64().unwrap_or(f64::NAN);
                }
            }
            transform(&g, matrices, &mut u[c * width..], depth * width, width);
        }
    });
}

/// Adds up copies of the transformed gradient, in order, and transforms the sum back into `weights`.
pub(super) fn unpack<T: Scalar>(form: Form, layout: &PackLayout, copies: &[T], weights: &mut [T]) {
    let (depth, planes) = (layout.depth, form.planes());
    assert_eq!((layout.groups, layout.taps, layout.direction), (1, planes, Direction::Forward));
    assert_eq!(weights.len(), 9 * depth * layout.channels);
    let [down, across] = form.matrices();
    let mut rest = weights;
    let mut parts = Vec::with_capacity(layout.blocks.len());
    for block in &layout.blocks {
        let (part, after) = rest.split_at_mut(9 * depth * used(layout, block));
        parts.push((block, part));
        rest = after;
    }
    parts.into_par_iter().for_each(|(block, weights)| {
        let width = layout.width(block);
        let (start, plane) = (layout.block_start(0, block), depth * width);
        with_scratch(12 * plane, |scratch| {
            let (g, left) = scratch.split_at_mut(9 * plane);
            g.fill(T::zero());
            for (i, row) in down.iter().enumerate() {
                left.fill(T::zero());
                for (j, column) in across.iter().enumerate() {
                    let at = start + (i * across.len() + j) * plane;
                    add_products(copies, layout.len(), at, column, left);
                }
                for (g, &factor) in g.chunks_exact_mut(3 * plane).zip(row) {
                    add_multiple(left, factor, g);
                }
            }
            for (lane, filter) in weights.chunks_exact_mut(9 * depth).enumerate() {
                for (c, filter) in filter.chunks_exact_mut(9).enumerate() {
                    let from = &g[c * width + lane..];
                    filter.iter_mut().enumerate().for_each(|(tap, w)| *w = from[tap * plane]);
                }
            }
        });
    });
}

/// Channels of a block.
fn used(layout: &PackLayout, block: &Block) -> usize {
    layout.width(block).min(layout.channels - block.start)
}

/// Which filter reads channel `c` for the produced `channel`.
fn filter(layout: &PackLayout, channel: usize, c: usize) -> usize {
    match layout.direction {
        Direction::Forward => channel * layout.depth + c,
        Direction::InputGradient => c * layout.channels + channel,
    }
}

vectorized! {
    /// `G g Gᵀ`, value by value to `u`, each `step` numbers after the one before.
    fn transform<T: Scalar>(g: &[Lanes; 9], matrices: [&[[f64; 3]]; 2], u: &mut [T], step: usize, width: usize) {
        let ([down, across], width) = (matrices, width.min(MAX_WIDTH));
        for (i, row) in down.iter().enumerate() {
            let mut left = [[0.0; MAX_WIDTH]; 3];
            for (j, left) in left.iter_mut().enumerate() {
                let (a, b, c) = (&g[j], &g[3 + j], &g[6 + j]);
                for lane in 0..width {
                    left[lane] = row[0] * a[lane] + row[1] * b[lane] + row[2] * c[lane];
                }
            }
            for (j, column) in across.iter().enumerate() {
                let u = &mut u[(i * across.len() + j) * step..][..width];
                for (lane, u) in u.iter_mut().enumerate() {
                    let value = column[0] * left[0][lane] + column[1] * left[1][lane] + column[2] * left[2][lane];
                    *u = T::from(value).unwrap_or_else(T::nan);
                }
            }
        }
    }

    /// Adds the sum of the copies, of the numbers from `at` on, times each factor to a third of `to`.
    fn add_products<T: Scalar>(copies: &[T], copy: usize, at: usize, factors: &[f64; 3], to: &mut [T]) {
        let [a, b, c] = factors.map(|factor| T::from(factor).unwrap_or_else(T::nan));
        let n = to.len() / 3;
        let (first, rest) = to.split_at_mut(n);
        let (second, third) = rest.split_at_mut(n);
        let (second, third) = (&mut second[..n], &mut third[..n]);
        let mut sums = [T::zero(); 64];
        for from in (0..n).step_by(sums.len()) {
            let sums = &mut sums[..(n - from).min(64)];
            sums.fill(T::zero());
            for copy in copies.chunks_exact(copy) {
                sums.iter_mut().zip(&copy[at + from..]).for_each(|(sum, &value)| *sum += value);
            }
            for (i, &sum) in sums.iter().enumerate() {
                first[from + i] += a * sum;
                second[from + i] += b * sum;
                third[from + i] += c * sum;
            }
        }
    }

    /// `to += factor · from`.
    fn add_multiple<T: Scalar>(from: &[T], factor: f64, to: &mut [T]) {
        let factor = T::from(factor).unwrap_or_else(T::nan);
        to.iter_mut().zip(from).for_each(|(to, &from)| *to += factor * from);
    }
}

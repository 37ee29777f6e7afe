//! The weight gradient of a convolution by the tiles of F(2×2, 3×3): `dU = Σ (Bᵀ d B) ⊙ (A g Aᵀ)` over all tiles,
//! 16 products where the plain sum takes 36, then `dw = Gᵀ dU G` once.
//!
//! As in the plain sum, the rows of tiles are cut into parts by geometry alone, each part adds up its own copy, and the copies
//! are added in order.

use super::{Form, Grid, Part, STRIP, even};
use crate::cpu::conv::pack::{Direction, PackLayout};
use crate::cpu::conv::weight_gradient::add_copies;
use crate::cpu::conv::{ConvGeometry, Source};
use crate::cpu::simd::buffer::with_scratch;
use crate::cpu::simd::table::{Kernels, Winograd};
use crate::cpu::simd::{GradientTile, Isa, OuterTile, Scalar};
use rayon::prelude::*;

/// Most parts: each costs a copy of the 16 planes.
const MAX_PARTS: usize = 8;

/// As [`crate::cpu::conv::weight_gradient`], for a convolution that has this form.
pub(crate) fn weight_gradient<T: Scalar>(
    g: &ConvGeometry,
    x: Source<'_, T>,
    gy: Source<'_, T>,
    gw: &mut [T],
) {
    let kernels = T::kernels(Isa::current());
    let Some(transforms) = &kernels.winograd else { unreachable!("chosen where there are transforms") };
    let layout = PackLayout::new(kernels, &Form::TWO.packing(g), Direction::Forward);
    let grid = Grid { form: Form::TWO, size: [g.out_h, g.out_w], dilation: g.dilation[0] };
    let tiles = even(g, Form::TWO.sides);
    let [Part { rows, columns, .. }] = &tiles[..] else { return gw.fill(T::zero()) };
    let lines = g.batch * rows.len();
    let (parts, len) = (lines.clamp(1, MAX_PARTS), layout.len());
    let sum = Sum { kernels, transforms, layout: &layout, grid, x, gy };
    with_scratch(parts * len, |copies| {
        copies.par_chunks_exact_mut(len).with_max_len(1).enumerate().for_each(|(part, copy)| {
            copy.fill(T::zero());
            for line in lines * part / parts..lines * (part + 1) / parts {
                let (image, row) = (line / rows.len(), rows[line % rows.len()]);
                columns.chunks(STRIP).for_each(|strip| sum.add(image, row, strip, copy));
            }
        });
        let total = add_copies(copies, len);
        with_scratch(gw.len() / 9 * 16, |u| {
            layout.unpack(total, u);
            back(u, gw);
        });
    });
}

struct Sum<'a, T: Scalar> {
    kernels: &'a Kernels<T>,
    transforms: &'a Winograd<T>,
    layout: &'a PackLayout,
    grid: Grid,
    x: Source<'a, T>,
    gy: Source<'a, T>,
}

impl<T: Scalar> Sum<'_, T> {
    /// Adds a strip of tiles to `copy`.
    fn add(&self, image: usize, row: usize, columns: &[usize], copy: &mut [T]) {
        let (layout, tiles) = (self.layout, columns.len());
        let (c, k) = (layout.depth, layout.channels);
        with_scratch(16 * tiles * (c + k) + c.max(k), |scratch| {
            let (v, rest) = scratch.split_at_mut(16 * tiles * c);
            let (d, zeros) = rest.split_at_mut(16 * tiles * k);
            zeros.fill(T::zero());
            self.grid.inputs(self.transforms, &self.x, (image, row), columns, zeros, v);
            self.gradients(image, row, columns, zeros, d);
            for p in 0..16 {
                for block in &layout.blocks {
                    let (start, width) =
                        (layout.block_start(0, block) + p * c * layout.width(block), layout.width(block));
                    for part in self.kernels.outer[block.nv - 1].split(c) {
                        let sum = &mut copy[start + part.start * width..][..part.len * width];
                        let tile = OuterTile {
                            x: v[p * tiles * c + part.start..].as_ptr(),
                            x_step: c as isize,
                            g: d[p * tiles * k + block.start..].as_ptr(),
                            g_step: k as isize,
                            len: tiles,
                            sum: sum.as_mut_ptr(),
                            sum_step: width,
                        };
                        // SAFETY: both operands hold `tiles` rows of whole vectors (channels are a multiple of the
                        // vector's length), the sums a row for each channel; the instruction set is available.
                        unsafe { (part.run)(&tile) }
                    }
                }
            }
        });
    }

    /// `A g Aᵀ` of a strip of tiles.
    fn gradients(&self, image: usize, row: usize, columns: &[usize], zeros: &[T], v: &mut [T]) {
        let (Grid { size: [h, w], dilation, .. }, k, gy) = (self.grid, self.layout.channels, &self.gy);
        assert!(v.len() >= 16 * columns.len() * k && zeros.len() >= k);
        for (t, &column) in columns.iter().enumerate() {
            let pixels = std::array::from_fn(|i| {
                let (y, x) = (row + i / 2 * dilation, column + i % 2 * dilation);
                let inside = y < h && x < w;
                if inside {
                    gy.data[((image * h + y) * w + x) * gy.pitch + gy.start..][..k].as_ptr()
                } else {
                    zeros.as_ptr()
                }
            });
            let tile =
                GradientTile { pixels, channels: k, v: v[t * k..].as_mut_ptr(), v_step: columns.len() * k };
            // SAFETY: pixels are inside the gradient, or the zeros, for all channels; `v` has room for 16 values of each
            // tile; the instruction set is available.
            unsafe { (self.transforms.gradient)(&tile) }
        }
    }
}

/// `Gᵀ u G` of each filter.
fn back<T: Scalar>(u: &[T], gw: &mut [T]) {
    let half = T::one() / (T::one() + T::one());
    let column = |[a, b, c, d]: [T; 4]| [a + (b + c) * half, (b - c) * half, (b + c) * half + d];
    for (u, gw) in u.chunks_exact(16).zip(gw.chunks_exact_mut(9)) {
        let rows = [0, 4, 8, 12].map(|i| column([u[i], u[i + 1], u[i + 2], u[i + 3]]));
        for j in 0..3 {
            let all = column([rows[0][j], rows[1][j], rows[2][j], rows[3][j]]);
            all.into_iter().enumerate().for_each(|(i, value)| gw[3 * i + j] = value);
        }
    }
}

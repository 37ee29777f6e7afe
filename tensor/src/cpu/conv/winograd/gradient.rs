//! The weight gradient of a convolution by Winograd's tiles: `dU = Σ (Bᵀ d B) ⊙ (A g Aᵀ)` over all tiles, then `dw = Gᵀ dU G`
//! once. The products are those of the forward pass: 36 for 16 pixels by F(4×4, 3×3), where the plain sum takes 144.
//!
//! As in the plain sum, the tiles of the whole batch are cut into parts by geometry alone, each part adds up its own copy, and
//! the copies are added in order. A part goes through its tiles in strips that run on over rows and images, since each strip
//! reads and writes all sums once.

use super::weights::unpack;
use super::{Form, Grid, Part, even};
use crate::cpu::conv::pack::{Direction, PackLayout};
use crate::cpu::conv::{ConvGeometry, Source};
use crate::cpu::simd::buffer::with_scratch;
use crate::cpu::simd::table::{Kernels, Mapped, Winograd, even_split};
use crate::cpu::simd::{GradientTile, Isa, OuterTile, Scalar};
use rayon::prelude::*;
use std::ops::Range;

/// Most tiles of a strip: what is transformed has its place in the second-level cache, beside the sums.
const STRIP: usize = 32;
/// Fewest and most parts: each costs a copy of the planes.
const PARTS: [usize; 2] = [4, 8];
/// Bytes that the copies may take before their number is cut: they should stay in the second-level cache.
const MAX_COPIES: usize = 1 << 20;

/// As [`crate::cpu::conv::weight_gradient`], for a convolution that has this form.
pub(crate) fn weight_gradient<X: Mapped<T>, T: Scalar>(
    g: &ConvGeometry,
    form: Form,
    x: Source<'_, X>,
    gy: Source<'_, X>,
    gw: &mut [T],
) {
    let kernels = T::kernels(Isa::current());
    let Some(transforms) = &kernels.winograd else { unreachable!("chosen where there are transforms") };
    let layout = PackLayout::new(kernels, &form.packing(g), Direction::Forward);
    let grid = Grid { form, size: [g.out_h, g.out_w], dilation: g.dilation[0] };
    let tiles = even(g, form.sides);
    let [tiling] = &tiles[..] else { return gw.fill(T::zero()) };
    let tiles = g.batch * tiling.rows.len() * tiling.columns.len();
    let len = layout.len();
    let parts = (MAX_COPIES / (len * size_of::<T>())).clamp(PARTS[0], PARTS[1]);
    let parts = parts.min(tiles.div_ceil(STRIP)).max(1);
    let zeros = vec![X::default(); g.c_in.max(g.c_out)];
    let sum = Sum { kernels, transforms, layout: &layout, grid, tiling, x, gy, zeros: &zeros };
    with_scratch(parts * len, |copies| {
        copies.par_chunks_exact_mut(len).with_max_len(1).enumerate().for_each(|(part, copy)| {
            copy.fill(T::zero());
            let (first, end) = (tiles * part / parts, tiles * (part + 1) / parts);
            for (start, tiles) in even_split(end - first, STRIP) {
                sum.add(first + start..first + start + tiles, copy);
            }
        });
        unpack(form, &layout, copies, gw);
    });
}

struct Sum<'a, X, T: Scalar> {
    kernels: &'a Kernels<T>,
    transforms: &'a Winograd<T>,
    layout: &'a PackLayout,
    grid: Grid,
    tiling: &'a Part,
    x: Source<'a, X>,
    gy: Source<'a, X>,
    /// A pixel outside the image.
    zeros: &'a [X],
}

impl<X: Mapped<T>, T: Scalar> Sum<'_, X, T> {
    /// Adds a strip of tiles, counted row by row through all images, to `copy`.
    fn add(&self, strip: Range<usize>, copy: &mut [T]) {
        let (layout, tiles, planes) = (self.layout, strip.len(), self.grid.form.planes());
        let (c, k) = (layout.depth, layout.channels);
        let (v_step, d_step) = (tiles * c, tiles * k);
        with_scratch(planes * (v_step + d_step), |scratch| {
            let (v, d) = scratch.split_at_mut(planes * v_step);
            let mut done = 0;
            while done < tiles {
                let (place, columns) = self.row(strip.start + done..strip.end);
                let (v, d) = ((&mut v[done * c..], v_step), (&mut d[done * k..], d_step));
                self.grid.inputs(X::inputs(self.transforms), &self.x, place, columns, self.zeros, v);
                self.gradients(place, columns, d);
                done += columns.len();
            }
            for p in 0..planes {
                for block in &layout.blocks {
                    let (start, width) =
                        (layout.block_start(0, block) + p * c * layout.width(block), layout.width(block));
                    for part in self.kernels.outer[block.nv - 1].split(c) {
                        let sum = &mut copy[start + part.start * width..][..part.len * width];
                        let tile = OuterTile {
                            x: v[p * v_step + part.start..].as_ptr(),
                            x_step: c as isize,
                            g: d[p * d_step + block.start..].as_ptr(),
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

    /// Image and row of the first of these tiles, and the columns of those that lie in the same row.
    fn row(&self, tiles: Range<usize>) -> ((usize, usize), &[usize]) {
        let Part { rows, columns, .. } = self.tiling;
        let (line, first) = (tiles.start / columns.len(), tiles.start % columns.len());
        let columns = &columns[first..];
        ((line / rows.len(), rows[line % rows.len()]), &columns[..columns.len().min(tiles.len())])
    }

    /// `A g Aᵀ` of some of the tiles of a strip whose planes are `v_step` numbers apart.
    fn gradients(&self, (image, row): (usize, usize), columns: &[usize], (v, v_step): (&mut [T], usize)) {
        let (Grid { form, size: [h, w], dilation }, k, gy) = (self.grid, self.layout.channels, &self.gy);
        let transforms = X::gradients(self.transforms);
        assert!(v.len() >= (form.planes() - 1) * v_step + columns.len() * k && self.zeros.len() >= k);
        let side = form.sides[1];
        for (t, &column) in columns.iter().enumerate() {
            let pixels = std::array::from_fn(|i| {
                let (y, x) = (row + i / side * dilation, column + i % side * dilation);
                let inside = i < form.results() && y < h && x < w;
                if inside { gy.pixel((image * h + y) * w + x)[..k].as_ptr() } else { self.zeros.as_ptr() }
            });
            let tile = GradientTile { pixels, channels: k, v: v[t * k..].as_mut_ptr(), v_step };
            // SAFETY: pixels are inside the gradient, or the zeros, for all channels; `v` has room for all values of each
            // tile; the instruction set is available.
            unsafe { form.of(transforms)(&tile) }
        }
    }
}

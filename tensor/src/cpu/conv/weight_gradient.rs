//! Gradient of a convolution with respect to its weights: sums over all pixels, in a fixed order.
//!
//! The output rows of the whole batch are cut into parts by geometry alone. Each part accumulates its own copy of the
//! gradient (in packed order); the copies are then added in order. So the result is the same bits for any number of threads.
//! Within a part, pieces of rows that fit the first-level cache are swept once for each register block.

use super::geometry::{AxisPhase, ConvGeometry};
use super::pack::{Direction, PackLayout};
use super::{Source, is_pointwise, whole, winograd};
use crate::cpu::simd::buffer::with_scratch;
use crate::cpu::simd::table::{Block, Heights, Kernels, MAX_NV, OuterFn, Part, even_split};
use crate::cpu::simd::{Isa, OuterTile, Scalar};
use rayon::prelude::*;
use smallvec::SmallVec;

/// Work worth a part of its own, in floating-point operations.
const PART_FLOPS: usize = 8_000_000;
/// Most parts: enough to share among the cores of a workstation; each costs a copy of the gradient.
const MAX_PARTS: usize = 32;
/// Bytes that the parts' copies of the gradient may take before their number is cut.
const MAX_COPIES: usize = 2 << 20;
/// Bytes of input, and of gradient of one block of channels, that a piece of a row should occupy.
const PIECE_BYTES: usize = 24 << 10;

/// Gradient of [`super::forward`] with respect to the weights: `gw = Σ_pixels gy ⊗ x`.
///
/// `x` is `[batch, in_h, in_w, c_in]`, `gy` `[batch, out_h, out_w, c_out]`, `gw` `[c_out, c_in / groups, kernel_h, kernel_w]`
/// and is overwritten. The weight gradient of a transposed convolution is this with `x` and `gy` exchanged.
///
/// # Panics
/// If a slice's length does not fit the geometry, or `groups` does not divide the channels.
pub fn weight_gradient<T: Scalar>(geometry: &ConvGeometry, x: &[T], gy: &[T], gw: &mut [T]) {
    weight_gradient_of(geometry, whole(x, geometry.c_in), whole(gy, geometry.c_out), gw);
}

/// [`weight_gradient`] of channels where they lie.
///
/// # Panics
/// As [`weight_gradient`].
pub(crate) fn weight_gradient_of<T: Scalar>(
    geometry: &ConvGeometry,
    x: Source<'_, T>,
    gy: Source<'_, T>,
    gw: &mut [T],
) {
    geometry.check();
    assert!(x.holds(geometry.input_len()), "input does not fit the geometry {geometry:?}");
    assert!(gy.holds(geometry.output_len()), "output gradient does not fit the geometry {geometry:?}");
    assert_eq!(gw.len(), geometry.weight_len(), "weights do not fit the geometry {geometry:?}");
    if let Some([part]) = winograd::best::<T>(geometry, true, 1.0).as_deref() {
        return winograd::weight_gradient(geometry, part.form, x, gy, gw);
    }
    let geometry = in_short_rows(geometry);
    let kernels = T::kernels(Isa::current());
    let layout = PackLayout::new(kernels, &geometry, Direction::Forward);
    let [rows, columns] = [geometry.forward_axis(0).remove(0), geometry.forward_axis(1).remove(0)];
    let spans = spans(&kernels.outer, &layout, &geometry, &columns, x.pitch == geometry.c_in);
    let sum = Sum { kernels, layout: &layout, geometry: &geometry, x, gy, spans: &spans };
    in_parts(&layout, &geometry, geometry.batch * geometry.out_h, gw, |line, copy| {
        sum.line(&rows, line, copy)
    });
}

/// The same sums, where rows do not matter over all pixels cut into rows of one piece each, as far as they divide.
pub(super) fn in_short_rows(geometry: &ConvGeometry) -> ConvGeometry {
    let mut geometry = *geometry;
    if is_pointwise(&geometry) {
        let pixels = geometry.batch * geometry.in_h * geometry.in_w;
        let row = (32..=96).rev().find(|r| pixels.is_multiple_of(*r)).unwrap_or(geometry.in_w);
        (geometry.batch, geometry.in_h, geometry.in_w) = (1, pixels.checked_div(row).unwrap_or(0), row);
        (geometry.out_h, geometry.out_w) = (geometry.in_h, geometry.in_w);
    }
    geometry
}

/// Runs of the `lines`, each run added to its own copy of the gradient (in packed order), and the sum of the copies.
pub(super) fn in_parts<T: Scalar>(
    layout: &PackLayout,
    geometry: &ConvGeometry,
    lines: usize,
    gw: &mut [T],
    add: impl Fn(usize, &mut [T]) + Sync,
) {
    let len = layout.len();
    let parts = (geometry.flops() / PART_FLOPS)
        .min(MAX_COPIES / (len * size_of::<T>()).max(1))
        .clamp(2, MAX_PARTS)
        .min(lines)
        .max(1);
    with_scratch(parts * len, |copies| {
        copies.par_chunks_exact_mut(len.max(1)).with_max_len(1).enumerate().for_each(|(part, copy)| {
            copy.fill(T::zero());
            (lines * part / parts..lines * (part + 1) / parts).for_each(|line| add(line, copy));
        });
        layout.unpack(add_copies(copies, len), gw);
    });
}

/// Adds copies of `len` numbers to the first, in order; returns that.
pub(super) fn add_copies<T: Scalar>(copies: &mut [T], len: usize) -> &[T] {
    let (total, others) = copies.split_at_mut(len);
    total.par_chunks_mut(4096).enumerate().for_each(|(chunk, total)| {
        for other in others.chunks_exact(len.max(1)) {
            for (t, &o) in total.iter_mut().zip(&other[chunk * 4096..]) {
                *t += o;
            }
        }
    });
    total
}

/// Output columns of one output row that can be swept at once: they read `depth` consecutive numbers for each pixel.
pub(super) struct Span<T: Scalar> {
    /// Filter column of the first of those numbers.
    tap: usize,
    /// Input column of output column 0 (it may lie outside the image).
    offset: isize,
    from: usize,
    to: usize,
    /// Register tiles over those numbers, for each number of vectors that blocks have, less one.
    tiles: [SmallVec<[Part<OuterFn<T>>; 12]>; MAX_NV],
}

/// Channels below which neighbouring filter columns are swept together, to fill register tiles.
const MERGE_BELOW: usize = 40;

/// One span per filter column; with few channels and neighbouring columns, one for all columns and short ones at the edges.
pub(super) fn spans<T: Scalar>(
    loops: &[Heights<OuterFn<T>>; MAX_NV],
    layout: &PackLayout,
    geometry: &ConvGeometry,
    columns: &AxisPhase,
    alone: bool,
) -> SmallVec<[Span<T>; 8]> {
    let span = |tap: usize, depth: usize, from: usize, to: usize| Span {
        tap,
        offset: columns.taps[tap].offset,
        from,
        to,
        tiles: std::array::from_fn(|nv| {
            let used = layout.blocks.iter().any(|b| b.nv == nv + 1);
            loops[nv].split(if used { depth } else { 0 }).collect()
        }),
    };
    let (from, to) = columns.interior();
    // Neighbouring columns follow each other in memory only where the pixels have no other channels.
    let merge = columns.is_contiguous()
        && alone
        && layout.depth == geometry.c_in
        && layout.depth < MERGE_BELOW
        && from < to
        && !geometry.is_depthwise();
    let mut spans = SmallVec::<[Span<T>; 8]>::new();
    if merge {
        spans.push(span(0, layout.depth * columns.taps.len(), from, to));
    }
    for (index, tap) in columns.taps.iter().enumerate() {
        if merge {
            spans.push(span(index, layout.depth, tap.from, from));
            spans.push(span(index, layout.depth, to, tap.to));
        } else {
            spans.push(span(index, layout.depth, tap.from, tap.to));
        }
    }
    spans.retain(|s| s.from < s.to);
    spans
}

/// Numbers in the widest block of any instruction set: three vectors of 16.
pub(super) const MAX_WIDTH: usize = 48;

/// Operands and how they are swept.
pub(super) struct Sum<'a, T: Scalar> {
    pub kernels: &'a Kernels<T>,
    pub layout: &'a PackLayout,
    pub geometry: &'a ConvGeometry,
    pub x: Source<'a, T>,
    pub gy: Source<'a, T>,
    pub spans: &'a [Span<T>],
}

impl<T: Scalar> Sum<'_, T> {
    /// Adds one output row of one image to `copy`.
    fn line(&self, rows: &AxisPhase, line: usize, copy: &mut [T]) {
        let g = self.geometry;
        let (image, row) = (line / g.out_h, line % g.out_h);
        for piece in self.pieces() {
            for (ky, tap) in rows.taps.iter().enumerate() {
                if (tap.from..tap.to).contains(&row) {
                    let at = ((row * rows.source_step) as isize + tap.offset) as usize;
                    let (input, gradient) = ((image * g.in_h + at) * g.in_w, line * g.out_w);
                    self.piece((input * self.x.pitch, gradient * self.gy.pitch), ky, piece, copy);
                }
            }
        }
    }

    /// Pieces of an output row that fit the first-level cache: start and length.
    pub fn pieces(&self) -> impl Iterator<Item = (usize, usize)> + Clone + use<T> {
        let g = self.geometry;
        let block = self.layout.blocks.first().map_or(0, |b| self.layout.width(b));
        let bytes = (g.c_in * g.stride[1].min(g.kernel[1]) + block) * size_of::<T>();
        even_split(g.out_w, (PIECE_BYTES / bytes.max(1)).max(24))
    }

    /// Adds one piece of one row for one filter row. `lines` are the starts of the input's and the gradient's row.
    pub fn piece(&self, lines: (usize, usize), ky: usize, (first, len): (usize, usize), copy: &mut [T]) {
        let (g, layout) = (self.geometry, self.layout);
        let depthwise = g.is_depthwise();
        let (x_step, g_step) = (g.stride[1] * self.x.pitch, self.gy.pitch);
        for group in 0..layout.groups {
            for block in &layout.blocks {
                let width = layout.width(block);
                let start = layout.block_start(group, block);
                for span in self.spans {
                    let (from, to) = (span.from.max(first), span.to.min(first + len));
                    if from >= to {
                        continue;
                    }
                    let column = ((from * g.stride[1]) as isize + span.offset) as usize;
                    let channel = if depthwise { block.start } else { group * layout.depth };
                    let x = lines.0 + column * self.x.pitch + self.x.start + channel;
                    let gy = lines.1 + from * g_step + self.gy.start + group * layout.channels + block.start;
                    // Pixels for which a whole vector can be read: all but the last ones of the tensor.
                    let room = |data: &[T], at: usize, step: usize| {
                        data.len().checked_sub(at + width).map_or(0, |room| room / step + 1).min(to - from)
                    };
                    let mut pixels = room(self.gy.data, gy, g_step);
                    if depthwise {
                        pixels = pixels.min(room(self.x.data, x, x_step));
                    }
                    let row = (ky * g.kernel[1] + span.tap) * layout.depth;
                    let mut tile = OuterTile {
                        x: self.x.data[x..].as_ptr(),
                        x_step: x_step as isize,
                        g: self.gy.data[gy..].as_ptr(),
                        g_step: g_step as isize,
                        len: pixels,
                        sum: copy[start + row * width..].as_mut_ptr(),
                        sum_step: width,
                    };
                    // SAFETY: the span's columns are inside the image, its channels inside the pixel (or the following
                    // ones, where filter columns are merged), and whole vectors of the gradient inside the tensor.
                    unsafe { self.sweep(&tile, block, span) };
                    let used = block.last + (block.nv - 1) * self.kernels.lanes;
                    for i in pixels..to - from {
                        let mut padded = [[T::zero(); MAX_WIDTH]; 2];
                        padded[0][..used].copy_from_slice(&self.gy.data[gy + i * g_step..][..used]);
                        let x = &self.x.data[x + i * x_step..];
                        tile.x = x.as_ptr();
                        if depthwise {
                            padded[1][..used].copy_from_slice(&x[..used]);
                            tile.x = padded[1].as_ptr();
                        }
                        (tile.g, tile.len) = (padded[0].as_ptr(), 1);
                        // SAFETY: as above, the vectors now being copies with room.
                        unsafe { self.sweep(&tile, block, span) };
                    }
                }
            }
        }
    }

    /// Runs the tiles of a span over the pixels of `first`, whose `x` and `sum` are those of the span's first channel.
    ///
    /// # Safety
    /// The pixels' numbers that the span covers, and whole vectors of `g` and `sum`, are inside their slices.
    #[inline]
    unsafe fn sweep(&self, first: &OuterTile<T>, block: &Block, span: &Span<T>) {
        // SAFETY: promised by the caller; the table's instruction set is available.
        unsafe {
            if self.geometry.is_depthwise() {
                self.kernels.depthwise_gradient[block.nv - 1](first);
                return;
            }
            let mut tile = *first;
            for part in &span.tiles[block.nv - 1] {
                tile.x = first.x.add(part.start);
                tile.sum = first.sum.add(part.start * first.sum_step);
                (part.run)(&tile);
            }
        }
    }
}

//! Gradient of a convolution with respect to its weights: sums over all pixels, in a fixed order.
//!
//! The output rows of the whole batch are cut into parts by geometry alone. Each part accumulates its own copy of the
//! gradient (in packed order); the copies are then added in order. So the result is the same bits for any number of threads.
//! Within a part, pieces of rows that fit the first-level cache are swept once for each register block.

use super::geometry::{AxisPhase, ConvGeometry};
use super::pack::{Direction, PackLayout};
use super::{Shared, is_pointwise};
use crate::cpu::simd::buffer::with_scratch;
use crate::cpu::simd::table::{Kernels, even_split};
use crate::cpu::simd::{Isa, OuterTile, Scalar};
use rayon::prelude::*;
use smallvec::SmallVec;

/// Work worth a part of its own, in floating-point operations.
const PART_FLOPS: usize = 8_000_000;
/// Most parts: enough to share among the cores of a workstation; each costs a copy of the gradient.
const MAX_PARTS: usize = 32;
/// Bytes that the parts' copies of the gradient may take before their number is cut.
const MAX_COPIES: usize = 2 << 20;
/// Bytes of input and gradient that a piece of a row should occupy.
const PIECE_BYTES: usize = 24 << 10;

/// Gradient of [`super::forward`] with respect to the weights: `gw = Σ_pixels gy ⊗ x`.
///
/// `x` is `[batch, in_h, in_w, c_in]`, `gy` `[batch, out_h, out_w, c_out]`, `gw` `[c_out, c_in / groups, kernel_h, kernel_w]`
/// and is overwritten. The weight gradient of a transposed convolution is this with `x` and `gy` exchanged.
///
/// # Panics
/// If a slice's length does not fit the geometry, or `groups` does not divide the channels.
pub fn weight_gradient<T: Scalar>(geometry: &ConvGeometry, x: &[T], gy: &[T], gw: &mut [T]) {
    geometry.check();
    assert_eq!(x.len(), geometry.input_len(), "input does not fit the geometry {geometry:?}");
    assert_eq!(gy.len(), geometry.output_len(), "output gradient does not fit the geometry {geometry:?}");
    assert_eq!(gw.len(), geometry.weight_len(), "weights do not fit the geometry {geometry:?}");
    let mut geometry = *geometry;
    if is_pointwise(&geometry) {
        // Rows do not matter: cut all pixels into rows of one piece each, as far as they divide.
        let pixels = geometry.batch * geometry.in_h * geometry.in_w;
        let row = (32..=96).rev().find(|r| pixels.is_multiple_of(*r)).unwrap_or(geometry.in_w);
        (geometry.batch, geometry.in_h, geometry.in_w) = (1, pixels.checked_div(row).unwrap_or(0), row);
        (geometry.out_h, geometry.out_w) = (geometry.in_h, geometry.in_w);
    }
    let kernels = T::kernels(Isa::current());
    let layout = PackLayout::new(kernels, &geometry, Direction::Forward);
    let [rows, columns] = [geometry.forward_axis(0).remove(0), geometry.forward_axis(1).remove(0)];
    let sum = Sum {
        kernels,
        layout: &layout,
        geometry: &geometry,
        x,
        gy,
        spans: spans(&layout, &geometry, &columns),
    };
    let lines = geometry.batch * geometry.out_h;
    let len = layout.len();
    let parts = (geometry.flops() / PART_FLOPS)
        .min(MAX_COPIES / (len * size_of::<T>()).max(1))
        .clamp(2, MAX_PARTS)
        .min(lines)
        .max(1);
    with_scratch(parts * len, |copies| {
        copies.par_chunks_exact_mut(len.max(1)).with_max_len(1).enumerate().for_each(|(part, copy)| {
            copy.fill(T::zero());
            for line in lines * part / parts..lines * (part + 1) / parts {
                sum.line(&rows, line, copy);
            }
        });
        let (total, others) = copies.split_at_mut(len);
        total.par_chunks_mut(4096).enumerate().for_each(|(chunk, total)| {
            for other in others.chunks_exact(len.max(1)) {
                for (t, &o) in total.iter_mut().zip(&other[chunk * 4096..]) {
                    *t += o;
                }
            }
        });
        layout.unpack(total, gw);
    });
}

/// Output columns of one output row that can be swept at once: they read `depth` consecutive numbers for each pixel.
struct Span {
    /// Filter column of the first of those numbers.
    tap: usize,
    /// Input column of output column 0 (it may lie outside the image).
    offset: isize,
    /// Numbers per pixel: the channels of a group, times the filter's columns where these are neighbours.
    depth: usize,
    from: usize,
    to: usize,
}

/// One span per filter column; with few channels and neighbouring columns, one for all columns and short ones at the edges.
fn spans(layout: &PackLayout, geometry: &ConvGeometry, columns: &AxisPhase) -> SmallVec<[Span; 8]> {
    let span = |tap: usize, depth: usize, from: usize, to: usize| Span {
        tap,
        offset: columns.taps[tap].offset,
        depth,
        from,
        to,
    };
    let (from, to) = columns.interior();
    let merge = columns.is_contiguous()
        && layout.depth == geometry.c_in
        && layout.depth < MERGE_BELOW
        && from < to
        && !geometry.is_depthwise();
    let mut spans = SmallVec::<[Span; 8]>::new();
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

/// Channels below which filter columns are swept together.
const MERGE_BELOW: usize = 40;

struct Sum<'a, T: Scalar> {
    kernels: &'a Kernels<T>,
    layout: &'a PackLayout,
    geometry: &'a ConvGeometry,
    x: &'a [T],
    gy: &'a [T],
    spans: SmallVec<[Span; 8]>,
}

impl<T: Scalar> Sum<'_, T> {
    /// Adds one output row of one image to `copy`.
    fn line(&self, rows: &AxisPhase, line: usize, copy: &mut [T]) {
        let g = self.geometry;
        let (image, row) = (line / g.out_h, line % g.out_h);
        let gradient = &self.gy[line * g.out_w * g.c_out..][..g.out_w * g.c_out];
        let bytes = (g.c_in * g.stride[1].min(g.kernel[1]) + g.c_out) * size_of::<T>();
        let pixels = (PIECE_BYTES / bytes.max(1)).max(24);
        for piece in even_split(g.out_w, pixels) {
            for (ky, tap) in rows.taps.iter().enumerate() {
                if (tap.from..tap.to).contains(&row) {
                    let at = ((row * rows.source_step) as isize + tap.offset) as usize;
                    let input = &self.x[(image * g.in_h + at) * g.in_w * g.c_in..][..g.in_w * g.c_in];
                    if g.is_depthwise() {
                        self.depthwise(input, gradient, ky, piece, copy);
                    } else {
                        self.piece(input, gradient, ky, piece, copy);
                    }
                }
            }
        }
    }

    /// Adds one piece of one row for one filter row.
    fn piece(&self, input: &[T], gradient: &[T], ky: usize, (first, len): (usize, usize), copy: &mut [T]) {
        let (g, layout, lanes) = (self.geometry, self.layout, self.kernels.lanes);
        let copy = Shared(copy.as_mut_ptr());
        for group in 0..layout.groups {
            for block in &layout.blocks {
                let width = layout.width(block);
                let start = layout.block_start(group, block);
                let kernels = self.kernels.outer[usize::from(block.last < lanes)][block.nv - 1];
                for span in &self.spans {
                    let (from, to) = (span.from.max(first), span.to.min(first + len));
                    if from >= to {
                        continue;
                    }
                    let column = ((from * g.stride[1]) as isize + span.offset) as usize;
                    let x = &input[column * g.c_in + group * layout.depth..];
                    let gy = &gradient[from * g.c_out + group * layout.channels + block.start..];
                    for (c, channels) in even_split(span.depth, kernels.len()) {
                        let row = (ky * g.kernel[1] + span.tap) * layout.depth + c;
                        let tile = OuterTile {
                            x: x[c..].as_ptr(),
                            x_step: (g.stride[1] * g.c_in) as isize,
                            g: gy.as_ptr(),
                            g_step: g.c_out as isize,
                            len: to - from,
                            // SAFETY: the row and block are inside the packed copy.
                            sum: unsafe { copy.0.add(start + row * width) },
                            sum_step: width,
                            last: block.last,
                        };
                        // SAFETY: the span's columns are inside the image, its channels inside the pixel (or the
                        // following ones, where filter columns are merged), and the table's set is available.
                        unsafe { kernels[channels - 1](&tile) }
                    }
                }
            }
        }
    }

    /// [`Sum::piece`] for one channel per group.
    fn depthwise(
        &self,
        input: &[T],
        gradient: &[T],
        ky: usize,
        (first, len): (usize, usize),
        copy: &mut [T],
    ) {
        let (g, layout, lanes) = (self.geometry, self.layout, self.kernels.lanes);
        let copy = Shared(copy.as_mut_ptr());
        for block in &layout.blocks {
            let kernel = self.kernels.depthwise_gradient[usize::from(block.last < lanes)][block.nv - 1];
            for span in &self.spans {
                let (from, to) = (span.from.max(first), span.to.min(first + len));
                if from >= to {
                    continue;
                }
                let column = ((from * g.stride[1]) as isize + span.offset) as usize;
                let tap = ky * g.kernel[1] + span.tap;
                let tile = OuterTile {
                    x: input[column * g.c_in + block.start..].as_ptr(),
                    x_step: (g.stride[1] * g.c_in) as isize,
                    g: gradient[from * g.c_out + block.start..].as_ptr(),
                    g_step: g.c_out as isize,
                    len: to - from,
                    // SAFETY: the tap and block are inside the packed copy.
                    sum: unsafe { copy.0.add(layout.block_start(0, block) + tap * layout.width(block)) },
                    sum_step: 0,
                    last: block.last,
                };
                // SAFETY: the span's columns are inside the image, the block inside the pixel, the set available.
                unsafe { kernel(&tile) }
            }
        }
    }
}

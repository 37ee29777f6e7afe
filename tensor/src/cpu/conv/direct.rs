//! The driver of every convolution that produces pixels: forward, data gradient, transposed.
//!
//! The image is read where it lies: a register tile of neighbouring output pixels takes, for each filter tap, a pointer into
//! the NHWC input and a step between pixels. Taps that fall outside the image are left out of the list; only where a tap is
//! outside for some of a tile's pixels are those few pixels copied into scratch with zeros beside them. So there is no im2col
//! and no padded copy, padding costs nothing, and any stride, dilation or output size takes the same path.
//!
//! Work is cut into units of one row (or a piece of a wide one), and tasks are runs of units; pixels are independent of each
//! other, so the cut does not change any result.

use super::geometry::{AxisPhase, AxisTap};
use super::pack::PackLayout;
use super::{Epilogue, Shared};
use crate::cpu::simd::buffer::with_scratch;
use crate::cpu::simd::table::{Block, Kernels, Part, TileFn};
use crate::cpu::simd::{MAX_MR, Scalar, Tap, Tile};
use rayon::prelude::*;
use smallvec::SmallVec;

/// Work worth a task of its own, in floating-point operations: tens of microseconds.
const TASK_FLOPS: usize = 2_000_000;

/// Widest unit in output pixels: its input stays in the first-level cache while the blocks of output channels pass over it.
const UNIT_PIXELS: usize = 96;

/// Rows, columns and elements per pixel of an image in memory.
#[derive(Clone, Copy)]
pub(crate) struct Plane {
    pub h: usize,
    pub w: usize,
    pub pitch: usize,
}

/// A convolution reduced to phases and packed weights.
pub(crate) struct Job<'a, T: Scalar> {
    pub kernels: &'a Kernels<T>,
    pub layout: &'a PackLayout,
    pub packed: &'a [T],
    pub depthwise: bool,
    pub batch: usize,
    pub source: Plane,
    pub sink: Plane,
    pub rows: SmallVec<[AxisPhase; 2]>,
    pub columns: SmallVec<[AxisPhase; 2]>,
    /// Filter columns.
    pub kernel_w: usize,
    pub epilogue: Epilogue<'a, T>,
}

type Taps<T> = SmallVec<[Tap<T>; 16]>;

impl<T: Scalar> Job<'_, T> {
    /// Runs the job from `x` into `y`, both NHWC of the planes' sizes.
    pub fn run(&self, x: &[T], y: &mut [T]) {
        assert_eq!(x.len(), self.batch * self.source.h * self.source.w * self.source.pitch);
        assert_eq!(y.len(), self.batch * self.sink.h * self.sink.w * self.sink.pitch);
        let longest = |phases: &[AxisPhase]| phases.iter().map(|p| p.len).max().unwrap_or(0);
        let (rows, columns) = (longest(&self.rows), longest(&self.columns));
        if y.is_empty() || rows * columns == 0 {
            return;
        }
        let pieces = columns.div_ceil(UNIT_PIXELS);
        let units = self.batch * rows * pieces;
        let unit_flops = self.flops() / units;
        let per_task = (TASK_FLOPS / unit_flops.max(1)).clamp(1, units);
        let tasks = units.div_ceil(per_task);
        let y = Shared(y.as_mut_ptr());
        let task = |task: usize| {
            // Room for every tap of the largest tile to be copied.
            with_scratch(self.layout.taps * MAX_MR * self.copied_channels(), |scratch| {
                for unit in units * task / tasks..units * (task + 1) / tasks {
                    let (line, piece) = (unit / pieces, unit % pieces);
                    let (from, to) = (columns * piece / pieces, columns * (piece + 1) / pieces);
                    self.unit(x, y, line / rows, line % rows, (from, to), scratch);
                }
            });
        };
        if tasks == 1 {
            task(0);
        } else {
            (0..tasks).into_par_iter().with_max_len(1).for_each(task);
        }
    }

    fn flops(&self) -> usize {
        let taps = |phases: &[AxisPhase]| phases.iter().map(|p| p.len * p.taps.len()).sum::<usize>();
        let macs = taps(&self.rows) * taps(&self.columns) * self.layout.depth * self.layout.channels;
        2 * self.batch * self.layout.groups * macs
    }

    /// Channels copied where a tap leaves the image.
    fn copied_channels(&self) -> usize {
        if self.depthwise { self.layout.channels } else { self.layout.depth }
    }

    /// One piece of one row, in every phase.
    fn unit(
        &self,
        x: &[T],
        y: Shared<T>,
        image: usize,
        row: usize,
        (from, to): (usize, usize),
        scratch: &mut [T],
    ) {
        let pitch = self.source.pitch;
        let image_x =
            &x[image * self.source.h * self.source.w * pitch..][..self.source.h * self.source.w * pitch];
        for rows in self.rows.iter().filter(|p| row < p.len) {
            let sink_row = (image * self.sink.h + rows.start + row * rows.step) * self.sink.w;
            // The input rows that this output row sums, each with the index of its filter row.
            let lines: SmallVec<[(usize, &[T]); 8]> = rows
                .taps
                .iter()
                .filter(|t| (t.from..t.to).contains(&row))
                .map(|t| {
                    let at = ((row * rows.source_step) as isize + t.offset) as usize;
                    (t.index, &image_x[at * self.source.w * pitch..][..self.source.w * pitch])
                })
                .collect();
            for columns in &self.columns {
                let (from, to) = (from.min(columns.len), to.min(columns.len));
                if from < to {
                    self.stretch(y, &lines, columns, sink_row, (from, to), scratch);
                }
            }
        }
    }

    /// Output columns `from..to` of one row and phase.
    fn stretch(
        &self,
        y: Shared<T>,
        lines: &[(usize, &[T])],
        columns: &AxisPhase,
        sink_row: usize,
        (from, to): (usize, usize),
        scratch: &mut [T],
    ) {
        let layout = self.layout;
        let interior = columns.interior();
        let pitch = self.source.pitch as isize;
        let step = columns.source_step as isize * pitch;
        // Taps of the tiles that lie inside the image for every tap: the same list, shifted.
        let merged = !self.depthwise && columns.is_contiguous() && layout.depth == self.source.pitch;
        let mut inside = Taps::new();
        for &(ky, line) in lines {
            for tap in columns.taps.iter().take(if merged { 1 } else { usize::MAX }) {
                inside.push(Tap {
                    x: line.as_ptr().wrapping_offset(tap.offset * pitch),
                    w: ky * self.kernel_w + tap.index,
                    step,
                });
            }
        }
        let inside_len = if merged { columns.taps.len() * layout.depth } else { layout.depth };
        let sink_step = columns.step * self.sink.pitch;
        let sink_start = (sink_row + columns.start) * self.sink.pitch;

        let mut blocks = &layout.blocks[..];
        while let Some(head) = blocks.first() {
            // Blocks of the same width share the tiling.
            let same = blocks.iter().take_while(|b| b.nv == head.nv).count();
            let (run, rest) = blocks.split_at(same);
            blocks = rest;
            let heights = if self.depthwise { &self.kernels.depthwise } else { &self.kernels.tile };
            let tiles: SmallVec<[Part<TileFn<T>>; UNIT_PIXELS / 2]> = heights[head.nv - 1]
                .split(to - from)
                .map(|part| Part { start: from + part.start, ..part })
                .collect();
            // Tiles are in order, so those inside are neighbours.
            let left = tiles.iter().take_while(|t| t.start < interior.0).count();
            let right = tiles.iter().rev().take_while(|t| t.start + t.len > interior.1).count();
            let right = (tiles.len() - right).max(left);
            for group in 0..layout.groups {
                let call = |block: &Block, taps: &[Tap<T>], shift, step, depth, tiles: &[Part<TileFn<T>>]| {
                    let channel = group * layout.channels + block.start;
                    let offset = sink_start + channel;
                    let mut tile = Tile {
                        taps,
                        shift: 0,
                        len: depth,
                        tap_len: layout.depth * layout.width(block),
                        w: self.packed[layout.block_start(group, block)..].as_ptr(),
                        y: std::ptr::null_mut(),
                        y_step: sink_step as isize,
                        last: block.last,
                        bias: self.epilogue.bias.map_or(std::ptr::null(), |b| b[channel..].as_ptr()),
                        residual: std::ptr::null(),
                        relu: self.epilogue.relu,
                        accumulate: false,
                    };
                    let shift: isize = if self.depthwise { shift + block.start as isize } else { shift };
                    for part in tiles {
                        let at = offset + part.start * sink_step;
                        tile.shift = shift + part.start as isize * step;
                        if let Some(residual) = self.epilogue.residual {
                            tile.residual = residual[at..].as_ptr();
                        }
                        // SAFETY: the pixels and channels are inside the sink, whose size `run` checked; the taps point
                        // into the source (or scratch) for each of them; the outputs of different tiles are disjoint; the
                        // table's instruction set was chosen as available.
                        unsafe {
                            tile.y = y.0.add(at);
                            (part.run)(&tile);
                        }
                    }
                };
                let first_channel = if self.depthwise { 0 } else { group * layout.depth };
                for part in tiles[..left].iter().chain(&tiles[right..]) {
                    // These taps have the tile's position in them already.
                    let taps =
                        self.border_taps(lines, columns, (part.start, part.len), first_channel, scratch);
                    for block in run {
                        call(block, &taps, 0, 0, layout.depth, std::slice::from_ref(part));
                    }
                }
                for block in run {
                    call(block, &inside, first_channel as isize, step, inside_len, &tiles[left..right]);
                }
            }
        }
    }

    /// Taps of a tile at the image's edge: those outside are left out, those partly outside read a copy with zeros.
    fn border_taps(
        &self,
        lines: &[(usize, &[T])],
        columns: &AxisPhase,
        (start, len): (usize, usize),
        first_channel: usize,
        scratch: &mut [T],
    ) -> Taps<T> {
        let (pitch, channels) = (self.source.pitch, self.copied_channels());
        let mut taps = Taps::new();
        let mut free = scratch;
        for &(ky, line) in lines {
            for tap in columns.taps.iter().filter(|t| t.from < start + len && t.to > start && t.from < t.to) {
                let w = ky * self.kernel_w + tap.index;
                let at = |i: usize| {
                    ((i * columns.source_step) as isize + tap.offset) as usize * pitch + first_channel
                };
                if covers(tap, start, len) {
                    let step = (columns.source_step * pitch) as isize;
                    taps.push(Tap { x: line[at(start)..].as_ptr(), w, step });
                    continue;
                }
                let (copy, rest) = free.split_at_mut(len * channels);
                free = rest;
                for (i, pixel) in (start..).zip(copy.chunks_exact_mut(channels)) {
                    if (tap.from..tap.to).contains(&i) {
                        pixel.copy_from_slice(&line[at(i)..][..channels]);
                    } else {
                        pixel.fill(T::zero());
                    }
                }
                taps.push(Tap { x: copy.as_ptr(), w, step: channels as isize });
            }
        }
        taps
    }
}

fn covers(tap: &AxisTap, start: usize, len: usize) -> bool {
    tap.from <= start && start + len <= tap.to
}

//! The driver of every convolution that produces pixels: forward, data gradient, transposed.
//!
//! The image is read where it lies: a register tile of neighbouring output pixels takes, for each filter tap, a pointer into
//! the NHWC input and a step between pixels. Taps that fall outside the image are left out of the list; only where a tap is
//! outside for some of a tile's pixels are those few pixels copied into scratch with zeros beside them. So there is no im2col
//! and no padded copy, padding costs nothing, and any stride, dilation or output size takes the same path. The channels may
//! lie in several images ([`Source`]): a concatenation, split or shuffle before the convolution needs no copy either.
//!
//! Work is cut into units of one row (or a piece of a wide one), and tasks are runs of units; pixels are independent of each
//! other, so the cut does not change any result.

use super::epilogue::{After, Epilogue, Residual};
use super::fold::MAX_FOLD;
use super::geometry::AxisPhase;
use super::labels::best_channels;
use super::pack::PackLayout;
use super::stage::Target;
use super::taps::{Stretch, View, fetch};
use super::{Shared, Source};
use crate::cpu::plan::look_up;
use crate::cpu::simd::buffer::with_scratch;
use crate::cpu::simd::table::{Block, Heights, Kernels, Part, TileFn};
use crate::cpu::simd::{Scalar, Tap, Tile};
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
    /// Where the input channels lie, in order; one source where there are groups.
    pub sources: &'a [Source<'a, T>],
    /// Where the image is one of bytes: those, and the numbers that they stand for. The only source then has no data.
    pub bytes: Option<Bytes<'a, T>>,
    /// Height and width of the input.
    pub source: [usize; 2],
    pub sink: Plane,
    pub rows: SmallVec<[AxisPhase; 2]>,
    pub columns: SmallVec<[AxisPhase; 2]>,
    /// Filter columns.
    pub kernel_w: usize,
    /// Pixels of the result whose channels lie side by side in one of the sink; more than one only where labels are made.
    pub fold: usize,
    pub epilogue: Epilogue<'a, T>,
    pub after: After<'a, T>,
}

/// An image of bytes, with a table `[C, 256]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a, T> {
    pub data: &'a [u8],
    pub table: &'a [T],
}

type Tiles<T> = SmallVec<[Part<TileFn<T>>; UNIT_PIXELS / 2]>;

impl<T: Scalar> Job<'_, T> {
    /// Runs the job into `y`, NHWC of the sink's size (empty if it makes labels).
    pub fn run(&self, y: &mut [T]) {
        let (lines, width) = (self.batch * self.source[0], self.source[1]);
        for source in self.sources {
            let held = self.bytes.map_or(source.data.len(), |bytes| bytes.data.len());
            assert_eq!(held, lines * width * source.pitch);
            assert!(source.start + source.len <= source.pitch);
        }
        assert!(
            self.bytes
                .is_none_or(|b| self.sources.len() == 1 && b.table.len() == 256 * self.sources[0].pitch)
        );
        assert!(self.sources.len() == 1 || self.layout.groups == 1 && !self.depthwise);
        let pixels = self.batch * self.sink.h * self.sink.w;
        match &self.after {
            After::Store => assert_eq!(y.len(), pixels * self.sink.pitch),
            After::Pointwise(next) => assert_eq!(y.len(), pixels * next.layout.channels),
            After::Labels { len, .. } => assert_eq!(*len, pixels * self.fold),
        }
        let longest = |phases: &[AxisPhase]| phases.iter().map(|p| p.len).max().unwrap_or(0);
        let (rows, columns) = (longest(&self.rows), longest(&self.columns));
        if pixels == 0 || rows * columns == 0 {
            return;
        }
        let pieces = columns.div_ceil(UNIT_PIXELS);
        let units = self.batch * rows * pieces;
        let unit_flops = self.flops() / units;
        let per_task = (TASK_FLOPS / unit_flops.max(1)).clamp(1, units);
        let tasks = units.div_ceil(per_task);
        let y = Shared(y.as_mut_ptr());
        let task = |task: usize| {
            let units = units * task / tasks..units * (task + 1) / tasks;
            let run = |view: View<'_, T>, scratch: &mut [T]| {
                for unit in units.clone() {
                    let (line, piece) = (unit / pieces, unit % pieces);
                    let (from, to) = (columns * piece / pieces, columns * (piece + 1) / pieces);
                    self.unit(view, y, line / rows, line % rows, (from, to), scratch);
                }
            };
            let scratch = self.border_len() + self.strip_len() + self.residual_len();
            let Some(bytes) = self.bytes else {
                return with_scratch(scratch, |scratch| {
                    run(View { sources: self.sources, first: 0 }, scratch)
                });
            };
            let (from, to) = self.lines_of(units.start / pieces, (units.end - 1) / pieces, rows);
            let line = width * self.sources[0].pitch;
            with_scratch(scratch + (to - from) * line, |scratch| {
                let (numbers, scratch) = scratch.split_at_mut((to - from) * line);
                look_up(&bytes.data[from * line..to * line], bytes.table, numbers, |number| number);
                let source = [Source { data: numbers, ..self.sources[0] }];
                run(View { sources: &source, first: from }, scratch);
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

    /// The lines (counted through all images) that rows `first` to `last` (both counted through all images) read.
    fn lines_of(&self, first: usize, last: usize, rows: usize) -> (usize, usize) {
        let (mut from, mut to) = (usize::MAX, 0);
        for row in first..=last {
            for phase in self.rows.iter().filter(|phase| row % rows < phase.len) {
                for tap in phase.taps.iter().filter(|tap| (tap.from..tap.to).contains(&(row % rows))) {
                    let at = row / rows * self.source[0] + tap.line(phase, row % rows);
                    (from, to) = (from.min(at), to.max(at + 1));
                }
            }
        }
        (from.min(to), to)
    }

    /// Scratch for the pixels that another stage goes on with.
    fn strip_len(&self) -> usize {
        if matches!(self.after, After::Store) { 0 } else { UNIT_PIXELS * self.sink.pitch }
    }

    /// The epilogue of the last stage.
    fn last_epilogue(&self) -> &Epilogue<'_, T> {
        match &self.after {
            After::Store | After::Labels { .. } => &self.epilogue,
            After::Pointwise(next) => &next.epilogue,
        }
    }

    /// Channels of the last stage.
    fn last_channels(&self) -> usize {
        match &self.after {
            After::Store | After::Labels { .. } => self.sink.pitch,
            After::Pointwise(next) => next.layout.channels,
        }
    }

    /// Scratch for unpooled pixels to be added.
    fn residual_len(&self) -> usize {
        match self.last_epilogue().residual {
            Some(Residual::Unpooled { .. }) => UNIT_PIXELS * self.last_channels(),
            Some(Residual::Image(_)) | None => 0,
        }
    }

    /// One piece of one row, in every phase.
    fn unit(
        &self,
        view: View<'_, T>,
        y: Shared<T>,
        image: usize,
        row: usize,
        (from, to): (usize, usize),
        scratch: &mut [T],
    ) {
        for rows in self.rows.iter().filter(|p| row < p.len) {
            let lines: SmallVec<[(usize, usize); 8]> = rows
                .taps
                .iter()
                .filter(|t| (t.from..t.to).contains(&row))
                .map(|t| (t.index, image * self.source[0] + t.line(rows, row)))
                .collect();
            for columns in &self.columns {
                let (from, to) = (from.min(columns.len), to.min(columns.len));
                if from < to {
                    let row = rows.start + row * rows.step;
                    let s = Stretch { view, lines: &lines, columns, from, to, image, row };
                    self.stretch(y, &s, scratch);
                }
            }
        }
    }

    /// All stages on some pixels.
    fn stretch(&self, y: Shared<T>, s: &Stretch<'_, T>, scratch: &mut [T]) {
        let (borders, rest) = scratch.split_at_mut(self.border_len());
        let (strip, residual) = rest.split_at_mut(self.strip_len());
        let first = (s.image * self.sink.h + s.row) * self.sink.w + s.columns.start;
        let stored =
            |pitch: usize| Target { base: y, start: (first * pitch) as isize, step: s.columns.step * pitch };
        let pitch = self.sink.pitch;
        let kept =
            Target { base: Shared(strip.as_mut_ptr()), start: -((s.from * pitch) as isize), step: pitch };
        let added = self.residual(s, residual, first);
        match &self.after {
            After::Store => self.tiles(s, stored(pitch), added, borders),
            After::Pointwise(next) => {
                self.tiles(s, kept, None, borders);
                next.run(self.kernels, strip, (s.from, s.to), stored(next.layout.channels), added);
            }
            After::Labels { out, .. } => {
                self.tiles(s, kept, added, borders);
                let fold = self.fold;
                let mut labels = [0; UNIT_PIXELS * MAX_FOLD];
                best_channels::<T>(strip, pitch / fold, &mut labels[..(s.to - s.from) * fold]);
                for (i, labels) in (s.from..s.to).zip(labels.chunks_exact(fold)) {
                    let pixel = (first + i * s.columns.step) * fold;
                    for (j, &label) in labels.iter().enumerate() {
                        // SAFETY: inside the result, whose size `run` checked, and no other unit writes it.
                        unsafe { *out.0.add(pixel + j) = label };
                    }
                }
            }
        }
    }

    /// What is to be added to the pixels of a stretch.
    fn residual(&self, s: &Stretch<'_, T>, scratch: &mut [T], first: usize) -> Option<Target<T>> {
        let channels = self.last_channels();
        match self.last_epilogue().residual? {
            Residual::Image(image) => {
                assert_eq!(image.len(), self.batch * self.sink.h * self.sink.w * channels);
                // The pointer is only read from.
                let base = Shared(image.as_ptr().cast_mut());
                Some(Target { base, start: (first * channels) as isize, step: s.columns.step * channels })
            }
            residual @ Residual::Unpooled { .. } => {
                let column = |i: usize| s.columns.start + i * s.columns.step;
                let pixels = (s.from..s.to).map(|i| (s.image, s.row, column(i)));
                residual.gather(scratch, channels, pixels, [self.sink.h, self.sink.w]);
                let start = -((s.from * channels) as isize);
                Some(Target { base: Shared(scratch.as_mut_ptr()), start, step: channels })
            }
        }
    }

    /// The convolution itself.
    fn tiles(&self, s: &Stretch<'_, T>, target: Target<T>, added: Option<Target<T>>, borders: &mut [T]) {
        let layout = self.layout;
        let interior = s.columns.interior();
        let inside = self.inside_taps(s);
        // Pixels of short runs lie too far apart for the processor to see where the next ones are.
        let scattered = s.view.sources.len() > 1;
        let mut blocks = &layout.blocks[..];
        while let Some(head) = blocks.first() {
            // Blocks of the same width share the tiling.
            let same = blocks.iter().take_while(|b| b.nv == head.nv).count();
            let (run, rest) = blocks.split_at(same);
            blocks = rest;
            let heights = if self.depthwise { &self.kernels.depthwise } else { &self.kernels.tile };
            let tiles = cut(&heights[head.nv - 1], s.from, s.to);
            // Tiles are in order, so those inside are neighbours.
            let left = tiles.iter().take_while(|t| t.start < interior.0).count();
            let right = tiles.iter().rev().take_while(|t| t.start + t.len > interior.1).count();
            let right = (tiles.len() - right).max(left);
            for group in 0..layout.groups {
                let call = |block: &Block,
                            taps: &[Tap<T>],
                            channel,
                            shifted: bool,
                            ahead: bool,
                            tiles: &[Part<TileFn<T>>]| {
                    let out = group * layout.channels + block.start;
                    let channel = if self.depthwise { channel + block.start } else { channel };
                    let w = &self.packed[layout.block_start(group, block)..];
                    let mut tile = Tile {
                        channel: channel as isize,
                        w: w.as_ptr(),
                        y_step: target.step as isize,
                        last: block.last,
                        bias: self.epilogue.bias.map_or(std::ptr::null(), |b| b[out..].as_ptr()),
                        residual_step: added.map_or(0, |a| a.step as isize),
                        relu: self.epilogue.relu,
                        relu_last: self.epilogue.relu_last,
                        ..Tile::bare(taps)
                    };
                    for part in tiles {
                        if ahead {
                            fetch(taps, part.start + part.len, part.len);
                        }
                        tile.shift = if shifted { part.start as isize } else { 0 };
                        // SAFETY: the pixels and channels are inside the sink, whose size `run` checked, or inside scratch
                        // of a stretch; the taps point into the sources (or scratch) for each of them; the outputs of
                        // different tiles are disjoint; the table's instruction set was chosen as available.
                        unsafe {
                            tile.y = target.pixel(part.start).add(out);
                            if let Some(added) = added {
                                tile.residual = added.pixel(part.start).add(out);
                            }
                            (part.run)(&tile);
                        }
                    }
                };
                let first_channel = if self.depthwise { 0 } else { group * layout.depth };
                for part in tiles[..left].iter().chain(&tiles[right..]) {
                    // These taps have the tile's position in them already.
                    let taps = self.border_taps(s, (part.start, part.len), first_channel, borders);
                    for block in run {
                        call(block, &taps, 0, false, false, std::slice::from_ref(part));
                    }
                }
                for (i, block) in run.iter().enumerate() {
                    let ahead = i == 0 && scattered;
                    call(block, &inside, first_channel, true, ahead, &tiles[left..right]);
                }
            }
        }
    }
}

/// Pixels `from..to` as tiles.
pub(super) fn cut<T: Scalar>(heights: &Heights<TileFn<T>>, from: usize, to: usize) -> Tiles<T> {
    heights.split(to - from).map(|part| Part { start: from + part.start, ..part }).collect()
}

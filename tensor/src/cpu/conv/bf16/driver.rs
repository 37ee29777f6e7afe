//! The driver: cuts the work into stretches of a row, lists the taps of each tile, and finishes what the tiles sum up.

use rayon::prelude::*;
use smallvec::SmallVec;

use super::finish::{self, Pixels};
use super::layout::Block;
use super::*;
use crate::cpu::conv::Shared;
use crate::cpu::conv::fold::MAX_FOLD;
use crate::cpu::conv::geometry::{AxisPhase, AxisTap};
use crate::cpu::conv::labels::best_channels;
use crate::cpu::simd::buffer::with_scratch;
use crate::cpu::simd::prefetch_all;

/// Work worth a task of its own, in floating-point operations: tens of microseconds.
const TASK_FLOPS: usize = 4_000_000;

/// Where tasks write: disjoint parts.
#[derive(Clone, Copy)]
enum Target {
    Bf16(Shared<bf16>),
    F32(Shared<f32>),
    Labels(Shared<u8>),
}

impl Conv<'_> {
    /// Runs it.
    ///
    /// # Panics
    /// If a slice's length does not fit the geometry, or the weights were packed for another one.
    pub fn run(&self, out: Out<'_>) {
        match self.weights.engine {
            Engine::Widened(isa) => Job::new(self, &widened::Widened::new(isa)).run(out),
            #[cfg(target_arch = "x86_64")]
            Engine::Paired => Job::new(self, &paired::Paired).run(out),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Engine::Amx => Job::new(self, &amx::Amx::<hardware::Hardware>::new()).run(out),
            #[cfg(test)]
            Engine::Emulated => Job::new(self, &amx::Amx::<emulated::Emulated>::new()).run(out),
            #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
            other => unreachable!("{other} is not chosen on this machine"),
        }
    }
}

/// A convolution reduced to phases.
struct Job<'a, I> {
    conv: &'a Conv<'a>,
    inner: &'a I,
    batch: usize,
    /// Height and width of input and result.
    source: [usize; 2],
    sink: [usize; 2],
    rows: SmallVec<[AxisPhase; 2]>,
    columns: SmallVec<[AxisPhase; 2]>,
    in_place: bool,
}

type Taps<X> = SmallVec<[Tap<X>; 16]>;

/// Output pixels `from..to` of one row and phase.
struct Stretch<'a> {
    /// The input rows that are summed: index of the filter row, and the row counted through all images.
    lines: &'a [(usize, usize)],
    columns: &'a AxisPhase,
    from: usize,
    to: usize,
    /// Image and row of the result.
    image: usize,
    row: usize,
}

/// A task's memory.
struct Scratch<'a, X> {
    sums: &'a mut [f32],
    logits: &'a mut [f32],
    copies: &'a mut [X],
    strip: &'a mut [X],
    residual: &'a mut [bf16],
}

impl<'a, I: Inner> Job<'a, I> {
    fn new(conv: &'a Conv<'a>, inner: &'a I) -> Self {
        let g = conv.geometry;
        g.check();
        let weights = conv.weights;
        let input = ([g.in_h, g.in_w], g.c_in);
        let output = ([g.out_h, g.out_w], g.c_out);
        let ((source, depth), (sink, channels)) = match weights.direction {
            Direction::Forward => (input, output),
            Direction::InputGradient => (output, input),
        };
        let runs: Vec<usize> = conv.sources.iter().map(|source| source.len).collect();
        let taps = g.kernel[0] * g.kernel[1];
        let wanted = (&runs, taps, depth, channels);
        assert_eq!(
            (&weights.runs, weights.taps, weights.runs.iter().sum(), weights.channels),
            wanted,
            "weights were packed for another convolution than {g:?}"
        );
        for source in conv.sources {
            assert_eq!(source.data.len(), g.batch * source_pixels(weights, g) * source.pitch);
            assert!(source.start + source.len <= source.pitch);
        }
        let stages = [Some((weights, &conv.finish)), conv.tail.as_ref().map(|(w, f)| (*w, f))];
        for (weights, finish) in stages.into_iter().flatten() {
            assert!(finish.bias.is_none_or(|bias| bias.len() == weights.channels), "bias of {g:?}");
        }
        if let Some((tail, _)) = &conv.tail {
            assert_eq!((&tail.runs[..], tail.taps, tail.engine), (&[channels][..], 1, weights.engine));
            assert!(conv.finish.residual.is_none());
        }
        let axis = |g: &ConvGeometry, axis| match weights.direction {
            Direction::Forward => g.forward_axis(axis),
            Direction::InputGradient => g.gradient_axis(axis),
        };
        let in_place = inner.in_place(weights, conv.sources);
        let (rows, columns) = (axis(g, 0), axis(g, 1));
        let mut job = Self { conv, inner, batch: g.batch, source, sink, rows, columns, in_place };
        let pointwise = g.kernel == [1, 1] && g.stride == [1, 1] && g.padding == [0, 0] && source == sink;
        if pointwise && !matches!(job.last_finish().residual, Some(Residual::Unpooled { .. })) {
            // Rows do not matter: one long row lets tiles and tasks be cut anywhere.
            let pixels = g.batch * source[0] * source[1];
            let flat = ConvGeometry { batch: 1, in_h: 1, in_w: pixels, out_h: 1, out_w: pixels, ..*g };
            job.batch = 1;
            (job.source, job.sink) = ([1, pixels], [1, pixels]);
            (job.rows, job.columns) = (axis(&flat, 0), axis(&flat, 1));
        }
        job
    }

    fn last_finish(&self) -> &Finish<'a> {
        self.conv.tail.as_ref().map_or(&self.conv.finish, |(_, finish)| finish)
    }

    fn last_channels(&self) -> usize {
        self.conv.tail.as_ref().map_or(self.conv.weights, |(weights, _)| weights).channels
    }

    fn run(&self, out: Out<'_>) {
        let pixels = self.batch * self.sink[0] * self.sink[1];
        let channels = self.last_channels();
        let (target, len, wanted) = match out {
            Out::Bf16(y) => (Target::Bf16(Shared(y.as_mut_ptr())), y.len(), pixels * channels),
            Out::F32(y) => (Target::F32(Shared(y.as_mut_ptr())), y.len(), pixels * channels),
            Out::Labels(y) => (Target::Labels(Shared(y.as_mut_ptr())), y.len(), pixels * self.conv.fold),
        };
        assert_eq!(len, wanted, "room for the results of {:?}", self.conv.geometry);
        match self.last_finish().residual {
            Some(Residual::Image(image)) => assert_eq!(image.len(), pixels * channels),
            Some(Residual::Unpooled { pooled, index }) => {
                assert!(self.sink[0].is_multiple_of(2) && self.sink[1].is_multiple_of(2));
                assert_eq!((pooled.len(), index.len()), (pixels / 4 * channels, pixels / 4 * channels));
            }
            None => {}
        }
        let longest = |phases: &[AxisPhase]| phases.iter().map(|p| p.len).max().unwrap_or(0);
        let (rows, columns) = (longest(&self.rows), longest(&self.columns));
        if pixels == 0 || rows * columns == 0 {
            return;
        }
        let pieces = columns.div_ceil(UNIT_PIXELS);
        let units = self.batch * rows * pieces;
        let per_task = (TASK_FLOPS / (self.flops() / units).max(1)).clamp(1, units);
        let tasks = units.div_ceil(per_task);
        let task = |task: usize| {
            self.with_scratch(|scratch| {
                let mut state = self.inner.task();
                for unit in units * task / tasks..units * (task + 1) / tasks {
                    let (line, piece) = (unit / pieces, unit % pieces);
                    let (from, to) = (columns * piece / pieces, columns * (piece + 1) / pieces);
                    self.unit(target, line / rows, line % rows, (from, to), &mut state, scratch);
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
        let weights = self.conv.weights;
        let tail = self.conv.tail.as_ref().map_or(0, |(tail, _)| tail.channels);
        let first = taps(&self.rows) * taps(&self.columns) * weights.runs.iter().sum::<usize>();
        let second = self.sink[0] * self.sink[1] * tail;
        2 * self.batch * weights.channels * (first + second)
    }

    fn with_scratch(&self, f: impl FnOnce(&mut Scratch<'_, I::X>)) {
        let Conv { weights, tail, .. } = self.conv;
        let pixels = UNIT_PIXELS.next_multiple_of(MAX_PART);
        let pitch = tail.as_ref().map_or(0, |(tail, _)| tail.pitch()).max(weights.pitch());
        let channels = self.last_channels();
        let lens = [
            pixels * pitch,
            pixels * channels,
            weights.taps * MAX_PART * weights.copied(),
            tail.as_ref().map_or(0, |(tail, _)| pixels * tail.copied()),
            pixels * channels,
        ]
        // Whole cache lines of the largest numbers.
        .map(|len| len.next_multiple_of(16));
        with_scratch::<f32, _>(lens.iter().sum(), |scratch| {
            let (sums, rest) = scratch.split_at_mut(lens[0]);
            let (logits, rest) = rest.split_at_mut(lens[1]);
            let (copies, rest) = rest.split_at_mut(lens[2]);
            let (strip, residual) = rest.split_at_mut(lens[3]);
            // What a pixel has past its last channel is never written and must be no NaN.
            strip.fill(0.0);
            f(&mut Scratch {
                sums,
                logits,
                copies: view(copies),
                strip: view(strip),
                residual: view(residual),
            });
        });
    }

    /// One piece of one row, in every phase.
    fn unit(
        &self,
        target: Target,
        image: usize,
        row: usize,
        (from, to): (usize, usize),
        state: &mut I::Task,
        scratch: &mut Scratch<'_, I::X>,
    ) {
        for rows in self.rows.iter().filter(|p| row < p.len) {
            let lines: SmallVec<[(usize, usize); 8]> = rows
                .taps
                .iter()
                .filter(|t| (t.from..t.to).contains(&row))
                .map(|t| {
                    let at = ((row * rows.source_step) as isize + t.offset) as usize;
                    (t.index, image * self.source[0] + at)
                })
                .collect();
            for columns in &self.columns {
                let (from, to) = (from.min(columns.len), to.min(columns.len));
                if from < to {
                    let row = rows.start + row * rows.step;
                    let stretch = Stretch { lines: &lines, columns, from, to, image, row };
                    self.stretch(target, &stretch, state, scratch);
                }
            }
        }
    }

    /// All stages on some pixels.
    fn stretch(&self, target: Target, s: &Stretch<'_>, state: &mut I::Task, scratch: &mut Scratch<'_, I::X>) {
        let pixels = s.to - s.from;
        let Conv { weights, finish, tail, .. } = self.conv;
        let channels = self.last_channels();
        let first =
            (s.image * self.sink[0] + s.row) * self.sink[1] + s.columns.start + s.from * s.columns.step;
        let step = s.columns.step * channels;
        let mut ahead = Ahead([(std::ptr::null(), 0); 2]);
        if let Target::Bf16(y) = target {
            let y = y.0.wrapping_add(first * channels);
            if step == channels {
                ahead.0[0] = (y, pixels * channels);
            } else {
                (0..pixels).for_each(|i| prefetch_all(y.wrapping_add(i * step), channels));
            }
        }
        if let ([source], 1, true) = (self.conv.sources, weights.taps, self.sink[0] == 1) {
            // Of a 1×1 convolution, what the next stretch reads: there is little to compute in which to wait for it.
            let next = source.data.get((first + pixels) * source.pitch..).unwrap_or_default();
            ahead.0[1] = (next.as_ptr(), next.len().min(pixels * source.pitch));
        }
        self.tiles(s, state, scratch.sums, scratch.copies, ahead);
        let (mut pitch, mut last) = (weights.pitch(), finish);
        if let Some((next, next_finish)) = tail {
            let first = Pixels {
                sums: scratch.sums,
                pitch,
                pixels,
                channels: weights.channels,
                finish,
                residual: std::ptr::null(),
                residual_step: 0,
            };
            let step = next.copied();
            // SAFETY: the sums of the stretch were just made; the strip has room for a unit's pixels.
            unsafe { self.inner.keep(&first, scratch.strip.as_mut_ptr(), step) };
            let tap = Tap { x: scratch.strip.as_ptr(), w: 0, len: step, step: step as isize };
            for block in next.blocks() {
                for part in self.inner.parts(block.nv, pixels) {
                    let tile =
                        tile(next, &block, &part, std::slice::from_ref(&tap), part.start, scratch.sums);
                    // SAFETY: the strip holds whole parts, and so do the sums.
                    unsafe { self.inner.tile(state, part.run, &tile) };
                }
            }
            (pitch, last) = (next.pitch(), next_finish);
        }
        let (residual, residual_step) = self.residual(s, last, first, scratch.residual);
        let all =
            Pixels { sums: scratch.sums, pitch, pixels, channels, finish: last, residual, residual_step };
        // SAFETY: the pixels are inside the result, whose size `run` checked, and no other stretch writes them; logits have
        // room for a unit's pixels.
        unsafe {
            match target {
                Target::Bf16(y) => self.inner.store(&all, y.0.add(first * channels), step),
                Target::F32(y) => finish::store::<f32>(&all, y.0.add(first * channels), step),
                Target::Labels(y) => {
                    finish::store::<f32>(&all, scratch.logits.as_mut_ptr(), channels);
                    let fold = self.conv.fold;
                    let mut labels = [0; UNIT_PIXELS * MAX_FOLD];
                    let labels = &mut labels[..pixels * fold];
                    best_channels::<f32>(&scratch.logits[..pixels * channels], channels / fold, labels);
                    for (i, labels) in labels.chunks_exact(fold).enumerate() {
                        for (j, &label) in labels.iter().enumerate() {
                            *y.0.add((first + i * s.columns.step) * fold + j) = label;
                        }
                    }
                }
            }
        }
    }

    /// What is to be added to the pixels of a stretch: the first pixel's, and the distance to the next.
    fn residual(
        &self,
        s: &Stretch<'_>,
        finish: &Finish<'_>,
        first: usize,
        scratch: &mut [bf16],
    ) -> (*const bf16, usize) {
        let channels = self.last_channels();
        match finish.residual {
            None => (std::ptr::null(), 0),
            Some(Residual::Image(image)) => (image[first * channels..].as_ptr(), s.columns.step * channels),
            Some(Residual::Unpooled { pooled, index }) => {
                let [h, w] = self.sink;
                for (to, i) in scratch.chunks_exact_mut(channels).zip(s.from..s.to) {
                    let column = s.columns.start + i * s.columns.step;
                    let at = ((s.image * (h / 2) + s.row / 2) * (w / 2) + column / 2) * channels;
                    let place = (s.row % 2 * 2 + column % 2) as u8;
                    finish::unpool(to, &pooled[at..at + channels], &index[at..at + channels], place);
                }
                (scratch.as_ptr(), channels)
            }
        }
    }

    /// The sums of the convolution itself.
    fn tiles(
        &self,
        s: &Stretch<'_>,
        state: &mut I::Task,
        sums: &mut [f32],
        copies: &mut [I::X],
        mut ahead: Ahead,
    ) {
        let weights = self.conv.weights;
        let interior = s.columns.interior();
        let inside = if self.in_place { self.inside_taps(s) } else { Taps::new() };
        let blocks: SmallVec<[Block; 4]> = weights.blocks().collect();
        // Blocks of the same width share the tiling.
        for blocks in blocks.chunk_by(|a, b| a.nv == b.nv) {
            let parts = self.inner.parts(blocks[0].nv, s.to - s.from);
            let mut left = parts.len() * blocks.len();
            let is_inside = |part: &Part<I::Run>| {
                let (start, end) = (s.from + part.start, s.from + part.start + part.len);
                self.in_place && self.inner.is_whole(part.len) && interior.0 <= start && end <= interior.1
            };
            for part in parts.iter().filter(|part| !is_inside(part)) {
                let taps = self.edge_taps(s, (s.from + part.start, part.len), copies);
                for block in blocks {
                    ahead.ask(&mut left);
                    // SAFETY: the taps point to pixels of the sources, or to copies with whole rows, for each pixel of the
                    // part; the sums have room for a unit.
                    unsafe { self.inner.tile(state, part.run, &tile(weights, block, part, &taps, 0, sums)) }
                }
            }
            for block in blocks {
                for part in parts.iter().filter(|part| is_inside(part)) {
                    ahead.ask(&mut left);
                    let tile = tile(weights, block, part, &inside, s.from + part.start, sums);
                    // SAFETY: as above.
                    unsafe { self.inner.tile(state, part.run, &tile) }
                }
            }
        }
    }

    /// Row `line` (counted through all images) of a source.
    fn line<'s>(&self, source: &Source<'s, bf16>, line: usize) -> &'s [bf16] {
        let len = self.source[1] * source.pitch;
        &source.data[line * len..][..len]
    }

    /// First row of weights of a tap.
    fn tap_row(&self, ky: usize, tap: &AxisTap) -> usize {
        self.conv.weights.row(ky * self.conv.geometry.kernel[1] + tap.index)
    }

    /// Taps of the tiles that lie inside the image for every tap: the same list, shifted.
    fn inside_taps(&self, s: &Stretch<'_>) -> Taps<I::X> {
        let mut taps = Taps::new();
        for &(ky, line) in s.lines {
            for tap in &s.columns.taps {
                let mut w = self.tap_row(ky, tap);
                for source in self.conv.sources {
                    let pitch = source.pitch as isize;
                    let from = self.line(source, line).as_ptr();
                    let x = from.wrapping_offset(tap.offset * pitch + source.start as isize).cast();
                    taps.push(Tap { x, w, len: source.len, step: s.columns.source_step as isize * pitch });
                    w += self.conv.weights.rows_of(source.len);
                }
            }
        }
        taps
    }

    /// Taps of one tile, where those outside the image are left out and those partly outside, or of runs that are not read in
    /// place, read copies with zeros.
    fn edge_taps(&self, s: &Stretch<'_>, (start, len): (usize, usize), copies: &mut [I::X]) -> Taps<I::X> {
        let weights = self.conv.weights;
        let columns = s.columns;
        let row = weights.copied();
        let mut taps = Taps::new();
        let mut free = copies;
        for &(ky, line) in s.lines {
            for tap in columns.taps.iter().filter(|t| t.from < start + len && t.to > start && t.from < t.to) {
                let column = |i: usize| ((i * columns.source_step) as isize + tap.offset) as usize;
                let mut w = self.tap_row(ky, tap);
                let covered = tap.from <= start && start + len <= tap.to;
                if self.in_place && covered && self.inner.is_whole(len) {
                    for source in self.conv.sources {
                        let at = column(start) * source.pitch + source.start;
                        let x = self.line(source, line)[at..].as_ptr().cast();
                        let step = (columns.source_step * source.pitch) as isize;
                        taps.push(Tap { x, w, len: source.len, step });
                        w += weights.rows_of(source.len);
                    }
                    continue;
                }
                let (copy, rest) = free.split_at_mut(MAX_PART * row);
                free = rest;
                for (i, pixel) in (start..start + len).zip(copy.chunks_exact_mut(row)) {
                    if !(tap.from..tap.to).contains(&i) {
                        pixel.fill(I::X::default());
                        continue;
                    }
                    let mut to = 0;
                    for source in self.conv.sources {
                        let at = column(i) * source.pitch + source.start;
                        let channels = &self.line(source, line)[at..][..source.len];
                        I::copy(channels, &mut pixel[to..to + source.len]);
                        let next = to + weights.copied_run(source.len);
                        pixel[to + source.len..next].fill(I::X::default());
                        to = next;
                    }
                    pixel[to..].fill(I::X::default());
                }
                taps.push(Tap { x: copy.as_ptr(), w, len: row, step: row as isize });
            }
        }
        taps
    }
}

/// Memory that will be wanted after the tiles of a stretch, asked for little by little: as much at once as a stretch reads and
/// writes would keep the tiles themselves waiting.
struct Ahead([(*const bf16, usize); 2]);

impl Ahead {
    /// Asks for one of `left` equal shares.
    fn ask(&mut self, left: &mut usize) {
        const LINE: usize = crate::cpu::simd::LINE / size_of::<bf16>();
        for (at, len) in &mut self.0 {
            let share = len.div_ceil((*left).max(1)).next_multiple_of(LINE).min(*len);
            prefetch_all(*at, share);
            (*at, *len) = (at.wrapping_add(share), *len - share);
        }
        *left = left.saturating_sub(1);
    }
}

/// A tile of a part's pixels and a block's channels.
fn tile<'t, X, R>(
    weights: &Weights,
    block: &Block,
    part: &Part<R>,
    taps: &'t [Tap<X>],
    shift: usize,
    sums: &mut [f32],
) -> Tile<'t, X> {
    let pitch = weights.pitch();
    Tile {
        taps,
        shift: shift as isize,
        w: weights.block(block),
        nv: block.nv,
        chunk: weights.chunk,
        len: part.len,
        sums: sums[part.start * pitch + block.start..].as_mut_ptr(),
        pitch,
    }
}

fn source_pixels(weights: &Weights, g: &ConvGeometry) -> usize {
    match weights.direction {
        Direction::Forward => g.in_h * g.in_w,
        Direction::InputGradient => g.out_h * g.out_w,
    }
}

/// Scratch as other numbers.
pub(super) fn view<X: Copy>(scratch: &mut [f32]) -> &mut [X] {
    const { assert!(size_of::<X>() <= 4 && align_of::<X>() <= 4) };
    let len = size_of_val(scratch) / size_of::<X>();
    // SAFETY: the same bytes; only f32 and bf16 are asked for, of which any bits are valid.
    unsafe { std::slice::from_raw_parts_mut(scratch.as_mut_ptr().cast(), len) }
}

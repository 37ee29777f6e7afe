//! The driver: cuts the work into stretches of a row (`stretch.rs`) and deals them out to tasks.

use rayon::prelude::*;
use smallvec::SmallVec;

use super::stretch::Stretch;
use super::*;
use crate::cpu::conv::Shared;
use crate::cpu::conv::geometry::AxisPhase;
use crate::cpu::simd::buffer::with_scratch;

/// Work worth a task of its own, in floating-point operations: tens of microseconds.
const TASK_FLOPS: usize = 4_000_000;

/// Where tasks write: disjoint parts.
#[derive(Clone, Copy)]
pub(super) enum Target {
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
pub(super) struct Job<'a, I> {
    pub conv: &'a Conv<'a>,
    pub inner: &'a I,
    batch: usize,
    /// Height and width of input and result.
    pub source: [usize; 2],
    pub sink: [usize; 2],
    rows: SmallVec<[AxisPhase; 2]>,
    columns: SmallVec<[AxisPhase; 2]>,
    pub in_place: bool,
}

/// A task's memory.
pub(super) struct Scratch<'a, X> {
    pub sums: &'a mut [f32],
    pub logits: &'a mut [f32],
    pub copies: &'a mut [X],
    pub strip: &'a mut [X],
    pub residual: &'a mut [bf16],
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

    pub fn last_channels(&self) -> usize {
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

//! Some pixels of a row through all stages: the tiles' sums, what finishes them, and the 1×1 convolution behind.

use half::bf16;
use smallvec::SmallVec;

use super::driver::{Job, Scratch, Target};
use super::finish::{self, Pixels};
use super::layout::Block;
use super::taps::Taps;
use super::*;
use crate::cpu::conv::fold::MAX_FOLD;
use crate::cpu::conv::geometry::AxisPhase;
use crate::cpu::conv::labels::best_channels;
use crate::cpu::simd::prefetch_all;

/// Output pixels `from..to` of one row and phase.
pub(super) struct Stretch<'a> {
    /// The input rows that are summed: index of the filter row, and the row counted through all images.
    pub lines: &'a [(usize, usize)],
    pub columns: &'a AxisPhase,
    pub from: usize,
    pub to: usize,
    /// Image and row of the result.
    pub image: usize,
    pub row: usize,
}

impl<I: Inner> Job<'_, I> {
    /// All stages on some pixels.
    pub fn stretch(
        &self,
        target: Target,
        s: &Stretch<'_>,
        state: &mut I::Task,
        scratch: &mut Scratch<'_, I::X>,
    ) {
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

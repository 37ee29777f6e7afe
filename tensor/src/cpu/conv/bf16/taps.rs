//! The taps of a tile: where its pixels lie for each weight.

use half::bf16;
use smallvec::SmallVec;

use super::driver::Job;
use super::stretch::Stretch;
use super::*;
use crate::cpu::conv::geometry::AxisTap;

/// What a tile sums over.
pub(super) type Taps<X> = SmallVec<[Tap<X>; 16]>;

impl<I: Inner> Job<'_, I> {
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
    pub fn inside_taps(&self, s: &Stretch<'_>) -> Taps<I::X> {
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
    pub fn edge_taps(
        &self,
        s: &Stretch<'_>,
        (start, len): (usize, usize),
        copies: &mut [I::X],
    ) -> Taps<I::X> {
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

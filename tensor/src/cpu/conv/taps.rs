//! What a register tile reads: for each filter tap a pointer into the image and a step between pixels, or a copy with zeros
//! where the tap is outside the image for some of the tile's pixels.

use super::Source;
use super::direct::Job;
use super::geometry::{AxisPhase, AxisTap};
use crate::cpu::simd::{LINE, MAX_MR, Scalar, Tap, prefetch};
use smallvec::SmallVec;

/// What a task reads: the sources, from line `first` (counted through all images) on.
#[derive(Clone, Copy)]
pub(super) struct View<'a, T> {
    pub sources: &'a [Source<'a, T>],
    pub first: usize,
}

impl<'a, T> View<'a, T> {
    /// Line `line` of a source, which has `w` pixels, from its first channel on.
    fn line(&self, source: &Source<'a, T>, line: usize, w: usize) -> &'a [T] {
        let len = w * source.pitch;
        &source.data[(line - self.first) * len..][..len]
    }
}

/// What one tile reads, or all tiles of a row inside the image.
pub(super) type Taps<T> = SmallVec<[Tap<T>; 16]>;

/// Output pixels `from..to` of one row and phase.
pub(super) struct Stretch<'a, T> {
    pub view: View<'a, T>,
    /// The input rows that are summed: index of the filter row, and the row counted through all images.
    pub lines: &'a [(usize, usize)],
    pub columns: &'a AxisPhase,
    pub from: usize,
    pub to: usize,
    /// Image and row of the result.
    pub image: usize,
    pub row: usize,
}

impl<T: Scalar> Job<'_, T> {
    /// Channels copied where a tap leaves the image.
    fn copied_channels(&self) -> usize {
        if self.depthwise { self.layout.channels } else { self.layout.depth }
    }

    /// Scratch for every tap of the largest tile to be copied.
    pub(super) fn border_len(&self) -> usize {
        self.layout.taps * MAX_MR * self.copied_channels()
    }

    /// Taps of the tiles that lie inside the image for every tap: the same list, shifted.
    pub(super) fn inside_taps(&self, s: &Stretch<'_, T>) -> Taps<T> {
        let depth = self.layout.depth;
        let mut taps = Taps::new();
        // Neighbouring taps over whole pixels are one long tap.
        let merged = match self.sources {
            [only] => !self.depthwise && s.columns.is_contiguous() && depth == only.pitch,
            _ => false,
        };
        for &(ky, line) in s.lines {
            for tap in s.columns.taps.iter().take(if merged { 1 } else { usize::MAX }) {
                let mut w = (ky * self.kernel_w + tap.index) * depth;
                for source in s.view.sources {
                    let pitch = source.pitch as isize;
                    let from = s.view.line(source, line, self.source[1]).as_ptr();
                    taps.push(Tap {
                        x: from.wrapping_offset(tap.offset * pitch + source.start as isize),
                        w,
                        len: if merged { s.columns.taps.len() * depth } else { source.len.min(depth) },
                        step: s.columns.source_step as isize * pitch,
                    });
                    w += source.len;
                }
            }
        }
        taps
    }

    /// Taps of a tile at the image's edge: those outside are left out, those partly outside read a copy with zeros.
    pub(super) fn border_taps(
        &self,
        s: &Stretch<'_, T>,
        (start, len): (usize, usize),
        first_channel: usize,
        scratch: &mut [T],
    ) -> Taps<T> {
        let (columns, copied) = (s.columns, self.copied_channels());
        let mut taps = Taps::new();
        let mut free = scratch;
        for &(ky, line) in s.lines {
            for tap in columns.taps.iter().filter(|t| t.from < start + len && t.to > start && t.from < t.to) {
                let mut w = (ky * self.kernel_w + tap.index) * self.layout.depth;
                for source in s.view.sources {
                    let line = s.view.line(source, line, self.source[1]);
                    let channels = source.len.min(copied);
                    let at = |i: usize| {
                        ((i * columns.source_step) as isize + tap.offset) as usize * source.pitch
                            + source.start
                            + first_channel
                    };
                    if covers(tap, start, len) {
                        let step = (columns.source_step * source.pitch) as isize;
                        taps.push(Tap { x: line[at(start)..].as_ptr(), w, len: channels, step });
                    } else {
                        let (copy, rest) = free.split_at_mut(len * channels);
                        free = rest;
                        for (i, pixel) in (start..).zip(copy.chunks_exact_mut(channels)) {
                            if (tap.from..tap.to).contains(&i) {
                                pixel.copy_from_slice(&line[at(i)..][..channels]);
                            } else {
                                pixel.fill(T::zero());
                            }
                        }
                        taps.push(Tap { x: copy.as_ptr(), w, len: channels, step: channels as isize });
                    }
                    w += source.len;
                }
            }
        }
        taps
    }
}

/// Asks for what `taps` read of some pixels to be brought into the first-level cache.
pub(super) fn fetch<T>(taps: &[Tap<T>], start: usize, len: usize) {
    for tap in taps {
        let lines = (tap.len * size_of::<T>()).div_ceil(LINE);
        for pixel in start..start + len {
            let first = tap.x.wrapping_offset(pixel as isize * tap.step);
            (0..lines).for_each(|line| prefetch(first.wrapping_byte_add(line * LINE)));
        }
    }
}

fn covers(tap: &AxisTap, start: usize, len: usize) -> bool {
    tap.from <= start && start + len <= tap.to
}

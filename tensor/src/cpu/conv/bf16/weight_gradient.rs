//! The weight gradient of bf16 images: the f32 loops (`../weight_gradient.rs`) on rows that are prepared in the second-level
//! cache.
//!
//! Sums go over pixels, so AVX512-BF16 wants the numbers of two pixels side by side. Pixels of one row would pair differently
//! for neighbouring filter columns; here every output row is paired with the one half the batch further on, and the input rows
//! that a filter row reads are paired alike. Where there are no such instructions, rows are widened to f32 one by one.

use half::bf16;

use super::Engine;
use crate::cpu::conv::geometry::AxisPhase;
use crate::cpu::conv::pack::{Direction, PackLayout};
use crate::cpu::conv::weight_gradient::{MAX_WIDTH, Span, Sum, in_parts, in_short_rows, spans};
use crate::cpu::conv::{ConvGeometry, Source, winograd};
use crate::cpu::simd::buffer::with_scratch;
use crate::cpu::simd::table::{Heights, Kernels, MAX_NV, OuterFn};
use crate::cpu::simd::{Isa, Scalar, prefetch_all};
use crate::cpu::stored::load_all;

/// As [`super::super::weight_gradient`], of bf16 images without groups: exact products, summed in f32.
///
/// # Panics
/// If a slice's length does not fit the geometry, or there are groups.
pub(crate) fn weight_gradient(
    geometry: &ConvGeometry,
    x: Source<'_, bf16>,
    gy: Source<'_, bf16>,
    gw: &mut [f32],
) {
    geometry.check();
    assert_eq!(geometry.groups, 1, "the bf16 kernels have no groups");
    assert!(x.holds(geometry.input_len()), "input does not fit the geometry {geometry:?}");
    assert!(gy.holds(geometry.output_len()), "output gradient does not fit the geometry {geometry:?}");
    assert_eq!(gw.len(), geometry.weight_len(), "weights do not fit the geometry {geometry:?}");
    let speed = Engine::current().speed();
    if let Some([part]) = speed.and_then(|speed| winograd::best::<f32>(geometry, true, speed)).as_deref() {
        return winograd::weight_gradient(geometry, part.form, x, gy, gw);
    }
    let geometry = in_short_rows(geometry);
    let (rows, isa) = Rows::current();
    let kernels = f32::kernels(isa);
    let layout = PackLayout::new(kernels, &geometry, Direction::Forward);
    let [down, along] = [geometry.forward_axis(0).remove(0), geometry.forward_axis(1).remove(0)];
    let spans = spans(rows.loops(kernels), &layout, &geometry, &along, true);
    let lines = geometry.batch * geometry.out_h;
    let apart = lines.div_ceil(rows.together());
    let of = Lines {
        rows,
        kernels,
        layout: &layout,
        geometry: &geometry,
        down: &down,
        spans: &spans,
        x,
        gy,
        apart,
    };
    in_parts(&layout, &geometry, apart, gw, |line, copy| of.add(line, copy));
}

/// How rows are prepared.
#[derive(Clone, Copy, PartialEq)]
enum Rows {
    /// One by one, in f32.
    Wide,
    /// Two at once, in words of one number of each.
    #[cfg(target_arch = "x86_64")]
    Paired,
}

impl Rows {
    /// The fastest, and the instruction set whose vectors sums are kept in.
    fn current() -> (Self, Isa) {
        match Engine::current() {
            Engine::Widened(isa) => (Self::Wide, isa),
            #[cfg(target_arch = "x86_64")]
            Engine::Paired => (Self::Paired, Isa::Avx512),
            #[allow(unreachable_patterns)]
            _ => (Self::Wide, Isa::current()),
        }
    }

    fn together(self) -> usize {
        match self {
            Self::Wide => 1,
            #[cfg(target_arch = "x86_64")]
            Self::Paired => 2,
        }
    }

    fn loops(self, kernels: &Kernels<f32>) -> &[Heights<OuterFn<f32>>; MAX_NV] {
        match self {
            Self::Wide => &kernels.outer,
            #[cfg(target_arch = "x86_64")]
            Self::Paired => &crate::cpu::simd::pairs::OUTERS,
        }
    }

    /// Writes the channels of the pixels of these rows (counted through all images, `width` pixels long); zeros for one that
    /// is missing.
    fn prepare(self, from: &Source<'_, bf16>, lines: [Option<usize>; 2], width: usize, to: &mut [f32]) {
        let dense = from.len == from.pitch;
        let (pieces, len) = if dense { (1, width * from.len) } else { (width, from.len) };
        let at = |line: usize, piece: usize| {
            let start = if dense { line * width * from.pitch } else { (line * width + piece) * from.pitch };
            &from.data[start + from.start..][..len]
        };
        for (piece, to) in to[..pieces * len].chunks_exact_mut(len.max(1)).enumerate() {
            let [first, second] = lines.map(|line| line.map(|line| at(line, piece)));
            match self {
                Self::Wide => match first {
                    Some(first) => load_all(first, to),
                    None => to.fill(0.0),
                },
                #[cfg(target_arch = "x86_64")]
                Self::Paired => {
                    let start = |row: Option<&[bf16]>| row.map_or(std::ptr::null(), <[bf16]>::as_ptr);
                    // SAFETY: the rows and `to` have `len` numbers each; the engine was chosen because the processor has the
                    // instructions.
                    unsafe {
                        crate::cpu::simd::pairs::interleave(
                            start(first),
                            start(second),
                            len,
                            to.as_mut_ptr(),
                        );
                    }
                }
            }
        }
    }
}

/// Output rows that are taken together: number `i` and, where two are paired, number `i + apart`.
struct Lines<'a> {
    rows: Rows,
    kernels: &'a Kernels<f32>,
    layout: &'a PackLayout,
    geometry: &'a ConvGeometry,
    down: &'a AxisPhase,
    spans: &'a [Span<f32>],
    x: Source<'a, bf16>,
    gy: Source<'a, bf16>,
    apart: usize,
}

impl Lines<'_> {
    /// Adds output row `line`, and the one paired with it, to `copy`.
    fn add(&self, line: usize, copy: &mut [f32]) {
        let (g, down) = (self.geometry, self.down);
        let last = g.batch * g.out_h;
        let second = (self.rows.together() == 2).then_some(line + self.apart).filter(|&line| line < last);
        let lines = [Some(line), second];
        let (input, gradient) = (g.in_w * g.c_in, g.out_w * g.c_out);
        // Whole vectors of the last pixel can be read.
        with_scratch(input + gradient + MAX_WIDTH, |scratch| {
            let (x, gy) = scratch.split_at_mut(input);
            self.rows.prepare(&self.gy, lines, g.out_w, gy);
            for (ky, tap) in down.taps.iter().enumerate() {
                let read = lines.map(|line| {
                    let (image, row) = (line? / g.out_h, line? % g.out_h);
                    let at = ((row * down.source_step) as isize + tap.offset) as usize;
                    (tap.from..tap.to).contains(&row).then_some(image * g.in_h + at)
                });
                if read == [None; 2] {
                    continue;
                }
                self.rows.prepare(&self.x, read, g.in_w, x);
                if ky + 1 == down.taps.len() {
                    // What the next row will read first.
                    read.into_iter().flatten().for_each(|line| self.expect(line + down.source_step));
                }
                let sum = Sum {
                    kernels: self.kernels,
                    layout: self.layout,
                    geometry: g,
                    x: Source { data: x, pitch: g.c_in, start: 0, len: g.c_in },
                    gy: Source { data: gy, pitch: g.c_out, start: 0, len: g.c_out },
                    spans: self.spans,
                };
                sum.pieces().for_each(|piece| sum.piece((0, 0), ky, piece, copy));
            }
        });
    }

    /// Asks for an input row, if there is one of this number.
    fn expect(&self, line: usize) {
        let len = self.geometry.in_w * self.x.pitch;
        if let Some(row) = self.x.data.get(line * len..(line + 1) * len) {
            prefetch_all(row.as_ptr(), len);
        }
    }
}

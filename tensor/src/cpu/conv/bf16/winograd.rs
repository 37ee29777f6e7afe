//! 3×3 convolutions of stride 1 of bf16 images by Winograd's tiles (`../winograd`) in f32: inputs are widened as they are
//! read and results rounded once, so that errors are no larger than those of the direct sum.

use half::bf16;
use rayon::prelude::*;

use super::driver::view;
use super::finish::{self, Pixels};
use super::{Engine, Finish};
use crate::cpu::conv::pack::PackLayout;
use crate::cpu::conv::winograd::{self, Grid, Part, PartJob, STRIP};
use crate::cpu::conv::{ConvGeometry, Direction, Shared, Source};
use crate::cpu::simd::buffer::with_scratch;
use crate::cpu::simd::table::{Kernels, Winograd};
use crate::cpu::simd::{Isa, OutputTile, Scalar, prefetch_all};

/// By the tiles of `part`, whether they pay or not.
pub(super) fn by_tiles(
    geometry: &ConvGeometry,
    direction: Direction,
    part: &Part,
    source: Source<'_, bf16>,
    weights: &[bf16],
    finish: &Finish<'_>,
    y: &mut [bf16],
) {
    let kernels = f32::kernels(Isa::current());
    let Some(transforms) = &kernels.winograd else { unreachable!("f32 has the transforms") };
    let layout = PackLayout::new(kernels, &part.form.packing(geometry), direction);
    let size = [geometry.out_h, geometry.out_w];
    let pixels = geometry.batch * size[0] * size[1];
    assert!(source.holds(pixels * layout.depth) && source.len == layout.depth, "input of {geometry:?}");
    assert_eq!(y.len(), pixels * layout.channels, "room for the results of {geometry:?}");
    assert!(finish.bias.is_none_or(|bias| bias.len() == layout.channels), "bias of {geometry:?}");
    assert!(finish.residual.is_none(), "nothing is added to the results of tiles");
    with_scratch(layout.len(), |packed| {
        winograd::pack(part.form, &layout, weights, packed);
        let job = PartJob { part, layout: &layout, packed };
        let grid = Grid { form: part.form, size, dilation: geometry.dilation[0] };
        let engine = Engine::current();
        Job { kernels, transforms, job, grid, source, finish, engine }.run(geometry.batch, y);
    });
}

/// A convolution as tiles of one form.
struct Job<'a> {
    kernels: &'a Kernels<f32>,
    transforms: &'a Winograd<f32>,
    job: PartJob<'a, f32>,
    grid: Grid,
    source: Source<'a, bf16>,
    finish: &'a Finish<'a>,
    engine: Engine,
}

impl Job<'_> {
    /// One task for each row of tiles.
    fn run(&self, batch: usize, y: &mut [bf16]) {
        let y = Shared(y.as_mut_ptr());
        let rows = &self.job.part.rows;
        let lines = batch * rows.len();
        (0..lines).into_par_iter().with_max_len(1).for_each(|line| {
            self.row(y, (line / rows.len(), rows[line % rows.len()]));
        });
    }

    /// The tiles that start at this image and row.
    fn row(&self, y: Shared<bf16>, place: (usize, usize)) {
        let (form, columns) = (self.grid.form, &self.job.part.columns);
        let (c, k) = (self.job.layout.depth, self.job.layout.channels);
        let strips = columns.len().div_ceil(STRIP);
        let longest = columns.len().div_ceil(strips);
        // Transformed inputs, sums, the results of a tile, and a pixel of zeros.
        let planes = [c, k].map(|channels| form.planes() * longest * channels);
        let lens = [planes[0], planes[1], form.results() * k, c];
        with_scratch::<f32, _>(lens.iter().sum(), |scratch| {
            let (v, rest) = scratch.split_at_mut(lens[0]);
            let (m, rest) = rest.split_at_mut(lens[1]);
            let (pixels, zeros) = rest.split_at_mut(lens[2]);
            zeros.fill(0.0);
            let zeros: &[bf16] = view(zeros);
            for strip in 0..strips {
                let of = |s: usize| columns.len() * s / strips;
                let columns = &columns[of(strip)..of(strip + 1)];
                let inputs = &self.transforms.input_bf16;
                self.grid.inputs(inputs, &self.source, place, columns, zeros, (v, columns.len() * c));
                self.job.products(self.kernels, columns.len(), v, m);
                self.outputs(y, place, columns, m, pixels);
            }
        });
    }

    /// `Aᵀ M A` of a strip of tiles, tile by tile, rounded into the result.
    fn outputs(
        &self,
        y: Shared<bf16>,
        (image, row): (usize, usize),
        columns: &[usize],
        m: &[f32],
        pixels: &mut [f32],
    ) {
        let Grid { form, size: [h, w], dilation: d } = self.grid;
        let (tiles, k, [rows, side]) = (columns.len(), self.job.layout.channels, form.sides);
        let m_step = tiles * k;
        assert!(m.len() >= form.planes() * m_step && pixels.len() >= rows * side * k);
        let rows = (row..h).step_by(d).take(rows);
        let start = pixels.as_mut_ptr();
        for (t, &column) in columns.iter().enumerate() {
            let n = side.min((w - column).div_ceil(d));
            let first = |row: usize| y.0.wrapping_add(((image * h + row) * w + column) * k);
            rows.clone()
                .for_each(|row| (0..n).for_each(|i| prefetch_all(first(row).wrapping_add(i * d * k), k)));
            let lines = rows.clone().flat_map(|row| (0..n).map(move |i| first(row).wrapping_add(i * d * k)));
            lines.for_each(|line| prefetch_all(line, k));
            let places = std::array::from_fn(|at| start.wrapping_add(at % form.results() * k));
            let tile = OutputTile {
                m: m[t * k..].as_ptr(),
                m_step,
                channels: k,
                bias: std::ptr::null(),
                relu: false,
                y: places,
            };
            // SAFETY: the sums are inside `m`, the results inside `pixels`, whose lengths were checked; the instruction set is
            // available.
            unsafe { form.of(&self.transforms.output)(&tile) }
            // Read through the pointer that the tile was written by.
            // SAFETY: all of them were just written.
            let results = unsafe { std::slice::from_raw_parts(start, form.results() * k) };
            for (i, row) in rows.clone().enumerate() {
                let all = Pixels {
                    sums: &results[i * side * k..][..side * k],
                    pitch: k,
                    pixels: n,
                    channels: k,
                    finish: self.finish,
                    residual: std::ptr::null(),
                    residual_step: 0,
                };
                // SAFETY: the pixels are inside the result, whose size was checked, and no other tile writes them.
                unsafe { self.store(&all, first(row), d * k) }
            }
        }
    }

    /// Rounds.
    ///
    /// # Safety
    /// As [`Pixels`] says.
    unsafe fn store(&self, pixels: &Pixels<'_>, to: *mut bf16, step: usize) {
        // SAFETY: as promised by the caller; the engine is chosen where its instructions are there.
        unsafe {
            match self.engine {
                #[cfg(target_arch = "x86_64")]
                Engine::Paired => super::paired::round(pixels, to, step),
                _ => finish::store::<bf16>(pixels, to, step),
            }
        }
    }
}

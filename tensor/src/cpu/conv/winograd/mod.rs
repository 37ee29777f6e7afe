//! 3×3 convolutions of stride 1 by Winograd's tiles: a fraction of the products of the direct sum ([`Form`]).
//!
//! A convolution with dilation `d` is `d²` ordinary ones on every `d`-th pixel, so a tile's inputs and results lie `d` pixels
//! apart; nothing else changes. One task takes one row of tiles, a strip at a time: transforms the inputs, multiplies by the
//! transformed weights (a matrix product on the register tiles for each value of a tile), transforms back into a strip of
//! pixels, and either stores those or goes on with a 1×1 convolution while they are in cache. The cut into tasks follows the
//! geometry alone.

mod form;
mod gradient;
mod tiling;
mod weights;

pub(crate) use form::Form;
pub(crate) use gradient::weight_gradient;
#[cfg(test)]
pub(crate) use tiling::mixed;
pub(crate) use tiling::{Part, best, even};
pub(crate) use weights::pack;

use super::epilogue::{After, Epilogue, Residual};
use super::pack::PackLayout;
use super::stage::Target;
use super::{Shared, Source};
use crate::cpu::simd::buffer::with_scratch;
use crate::cpu::simd::table::{BySides, InputFn, Kernels, Winograd};
use crate::cpu::simd::{InputTile, MAX_PLANES, OutputTile, Scalar, Tap, Tile, prefetch_all};
use rayon::prelude::*;

/// Tiles of a strip: transformed inputs, sums and weights stay in the second-level cache.
pub(crate) const STRIP: usize = 40;

/// Where tiles lie in an image.
#[derive(Clone, Copy)]
pub(crate) struct Grid {
    pub form: Form,
    /// Height and width.
    pub size: [usize; 2],
    /// Pixels between neighbours of a tile.
    pub dilation: usize,
}

impl Grid {
    /// `V` of tiles that start at this image and row, and at these columns: planes of `[tiles, channels]`, `step` numbers apart, of
    /// whose tiles these may be some.
    pub fn inputs<X, T: Scalar>(
        &self,
        transforms: &BySides<InputFn<X, T>>,
        source: &Source<'_, X>,
        (image, row): (usize, usize),
        columns: &[usize],
        zeros: &[X],
        (v, step): (&mut [T], usize),
    ) {
        let ([h, w], c) = (self.size, source.len);
        let [down, across] = self.form.reach();
        assert!(v.len() >= (down * across - 1) * step + columns.len() * c && zeros.len() >= c);
        let lines: [Option<&[X]>; 6] = std::array::from_fn(|i| {
            let line = w * source.pitch;
            self.around(row, i, h).map(|y| &source.data[(image * h + y) * line..][..line])
        });
        for (t, &column) in columns.iter().enumerate() {
            let mut tile = InputTile {
                pixels: [zeros.as_ptr(); MAX_PLANES],
                channels: c,
                v: v[t * c..].as_mut_ptr(),
                v_step: step,
            };
            for j in 0..across {
                let Some(x) = self.around(column, j, w) else { continue };
                for (i, line) in lines.iter().take(down).enumerate() {
                    if let Some(line) = line {
                        tile.pixels[across * i + j] = line[x * source.pitch + source.start..][..c].as_ptr();
                    }
                }
            }
            // SAFETY: pixels are inside their lines, or the zeros, for all channels; `v` has room for all values of each
            // tile; the table's instruction set was chosen as available.
            unsafe { self.form.of(transforms)(&tile) }
        }
    }

    /// Position of input `i` of a tile that starts at `first`, where it is inside the image.
    fn around(&self, first: usize, i: usize, n: usize) -> Option<usize> {
        (first + i * self.dilation).checked_sub(self.dilation).filter(|&at| at < n)
    }
}

/// A convolution as tiles.
pub(crate) struct WinogradJob<'a, T: Scalar> {
    pub kernels: &'a Kernels<T>,
    pub transforms: &'a Winograd<T>,
    pub parts: &'a [PartJob<'a, T>],
    pub batch: usize,
    pub dilation: usize,
    pub source: Source<'a, T>,
    /// Height and width of input and result.
    pub size: [usize; 2],
    pub epilogue: Epilogue<'a, T>,
    pub after: After<'a, T>,
}

/// Tiles of one form with the weights transformed for them.
#[derive(Clone, Copy)]
pub(crate) struct PartJob<'a, T> {
    pub part: &'a Part,
    pub layout: &'a PackLayout,
    pub packed: &'a [T],
}

impl<T: Scalar> PartJob<'_, T> {
    /// `M`: one matrix product for each value of a tile.
    pub fn products(&self, kernels: &Kernels<T>, tiles: usize, v: &[T], m: &mut [T]) {
        self.products_between(kernels, tiles, v, m, |_| ());
    }

    /// [`Self::products`], before each of which `before` is called with its number.
    fn products_between(
        &self,
        kernels: &Kernels<T>,
        tiles: usize,
        v: &[T],
        m: &mut [T],
        mut before: impl FnMut(usize),
    ) {
        let layout = self.layout;
        let (c, k) = (layout.depth, layout.channels);
        let planes = self.part.form.planes();
        let (from, to) = (tiles * c, tiles * k);
        assert!(v.len() >= planes * from && m.len() >= planes * to);
        for p in 0..planes {
            before(p);
            for block in &layout.blocks {
                for part in kernels.tile[block.nv - 1].split(tiles) {
                    let taps = [Tap { x: v[p * from..].as_ptr(), w: p * c, len: c, step: c as isize }];
                    let to = &mut m[p * to + part.start * k + block.start..];
                    let tile = Tile {
                        shift: part.start as isize,
                        w: self.packed[layout.block_start(0, block)..].as_ptr(),
                        y: to.as_mut_ptr(),
                        y_step: k as isize,
                        last: block.last,
                        ..Tile::bare(&taps)
                    };
                    // SAFETY: tiles and channels are inside `v` and `m`, whose lengths were checked; the weights are packed
                    // by this layout; the table's instruction set was chosen as available.
                    unsafe { (part.run)(&tile) }
                }
            }
        }
    }
}

/// Tiles of one phase: their pixels are `dilation` apart.
#[derive(Clone, Copy)]
struct Segment {
    /// First tile of the strip.
    tile: usize,
    /// First column.
    column: usize,
    /// Pixels along the row, those that hang over the edge left out.
    pixels: usize,
}

impl<T: Scalar> WinogradJob<'_, T> {
    /// Runs the job into `y`.
    pub fn run(&self, y: &mut [T]) {
        let [h, w] = self.size;
        assert_eq!(self.source.data.len(), self.batch * h * w * self.source.pitch);
        assert!(self.source.start + self.source.len <= self.source.pitch);
        assert_eq!(y.len(), self.batch * h * w * self.last_channels());
        let fits = |bias: Option<&[T]>, channels| bias.is_none_or(|bias| bias.len() == channels);
        assert!(
            fits(self.epilogue.bias, self.channels()),
            "bias length does not fit {} channels",
            self.channels()
        );
        let y = Shared(y.as_mut_ptr());
        let mut tasks = Vec::new();
        for job in self.parts {
            let images = 0..self.batch;
            tasks.extend(images.flat_map(|image| job.part.rows.iter().map(move |&row| (job, image, row))));
        }
        tasks.into_par_iter().with_max_len(1).for_each(|(job, image, row)| self.row(y, job, (image, row)));
    }

    /// One row of tiles.
    fn row(&self, y: Shared<T>, job: &PartJob<'_, T>, place: (usize, usize)) {
        let (form, columns) = (job.part.form, &job.part.columns);
        let grid = Grid { form, size: self.size, dilation: self.dilation };
        let strips = columns.len().div_ceil(STRIP);
        let longest = columns.len().div_ceil(strips);
        let (c, k) = (job.layout.depth, job.layout.channels);
        // Transformed inputs, sums, pixels, values to add, and a pixel of zeros.
        let lens = [
            form.planes() * longest * c,
            form.planes() * longest * k,
            form.results() * longest * k,
            if self.last_residual().is_some() { form.sides[1] * longest * self.last_channels() } else { 0 },
            c,
        ];
        with_scratch(lens.iter().sum(), |scratch| {
            let (v, rest) = scratch.split_at_mut(lens[0]);
            let (m, rest) = rest.split_at_mut(lens[1]);
            let (pixels, rest) = rest.split_at_mut(lens[2]);
            let (added, zeros) = rest.split_at_mut(lens[3]);
            zeros.fill(T::zero());
            for strip in 0..strips {
                let of = |s: usize| columns.len() * s / strips;
                let columns = &columns[of(strip)..of(strip + 1)];
                let v_step = columns.len() * c;
                grid.inputs(&self.transforms.input, &self.source, place, columns, zeros, (v, v_step));
                if self.stores_at_once() {
                    let to = self.places(y, place, columns, pixels);
                    let some = |p: usize| columns.len() * p / form.planes();
                    job.products_between(self.kernels, columns.len(), v, m, |p| {
                        (some(p)..some(p + 1)).for_each(|t| self.prefetch(form, &to, t));
                    });
                    // SAFETY: a pixel of the result has all channels, and no other task writes it.
                    unsafe { self.transform_back(form, columns.len(), m, to) }
                } else {
                    job.products(self.kernels, columns.len(), v, m);
                    self.outputs(form, columns, m, pixels);
                    self.store(form, y, place, columns, pixels, added);
                }
            }
        });
    }

    /// Whether results are final as they leave the transform.
    fn stores_at_once(&self) -> bool {
        matches!(self.after, After::Store) && self.epilogue.residual.is_none()
    }

    /// Channels of the convolution's own result.
    fn channels(&self) -> usize {
        self.parts.first().map_or(0, |job| job.layout.channels)
    }

    fn last_channels(&self) -> usize {
        match &self.after {
            After::Pointwise(next) => next.layout.channels,
            After::Store | After::Labels { .. } => self.channels(),
        }
    }

    fn last_residual(&self) -> Option<Residual<'_, T>> {
        match &self.after {
            After::Pointwise(next) => next.epilogue.residual,
            After::Store | After::Labels { .. } => self.epilogue.residual,
        }
    }

    /// `Y` of a strip of tiles: rows of pixels `dilation` apart, so many for each tile as it has columns of results.
    fn outputs(&self, form: Form, columns: &[usize], m: &[T], pixels: &mut [T]) {
        let (tiles, k, [rows, side]) = (columns.len(), self.channels(), form.sides);
        assert!(pixels.len() >= rows * side * tiles * k);
        let pixels = pixels.as_mut_ptr();
        // SAFETY: pixel (i, j) of tile t is inside the slice, whose length was checked.
        let place = |t, i, j| unsafe { pixels.add(((i * tiles + t) * side + j) * k) };
        // SAFETY: each of those pixels has `k` channels.
        unsafe { self.transform_back(form, tiles, m, place) }
    }

    /// Where result (i, j) of tile t of a row belongs in the image; what hangs over the edge is left in `outside`.
    fn places(
        &self,
        y: Shared<T>,
        (image, row): (usize, usize),
        columns: &[usize],
        outside: &mut [T],
    ) -> impl Fn(usize, usize, usize) -> *mut T {
        let (d, [h, w], k) = (self.dilation, self.size, self.channels());
        let outside = outside[..k].as_mut_ptr();
        move |t, i, j| {
            let (row, column) = (row + i * d, columns[t] + j * d);
            if row < h && column < w {
                // SAFETY: the pixel is inside the result, whose size `run` checked.
                unsafe { y.0.add(((image * h + row) * w + column) * k) }
            } else {
                outside
            }
        }
    }

    /// Asks for the memory of a tile's results, of which no cache holds anything in a training step.
    fn prefetch(&self, form: Form, place: &impl Fn(usize, usize, usize) -> *mut T, t: usize) {
        let ([rows, side], k) = (form.sides, self.channels());
        (0..rows * side).for_each(|at| prefetch_all(place(t, at / side, at % side).cast_const(), k));
    }

    /// `Aᵀ M A` of so many tiles: result (i, j) of tile t goes to `place(t, i, j)`.
    ///
    /// # Safety
    /// There is room for the channels of a pixel at each place.
    unsafe fn transform_back(
        &self,
        form: Form,
        tiles: usize,
        m: &[T],
        place: impl Fn(usize, usize, usize) -> *mut T,
    ) {
        let (k, [rows, side]) = (self.channels(), form.sides);
        assert!(m.len() >= form.planes() * tiles * k);
        // What is added comes last, with the clamp after it, where the pixels are stored.
        let epilogue = &self.epilogue;
        let bias = epilogue.bias.map_or(std::ptr::null(), |bias| bias.as_ptr());
        for t in 0..tiles {
            // Places beyond the form's results are not written.
            let y = std::array::from_fn(|at| place(t, at / side % rows, at % side));
            let (m, m_step) = (m[t * k..].as_ptr(), tiles * k);
            let tile = OutputTile { m, m_step, channels: k, bias, relu: epilogue.relu, y };
            // SAFETY: the sums are inside `m`, whose length was checked, the places have room; the instruction set is
            // available.
            unsafe { form.of(&self.transforms.output)(&tile) }
        }
    }

    /// Pixels of a strip to the result, perhaps through a 1×1 convolution.
    fn store(
        &self,
        form: Form,
        y: Shared<T>,
        (image, row): (usize, usize),
        columns: &[usize],
        pixels: &[T],
        added: &mut [T],
    ) {
        let (d, [h, w], k) = (self.dilation, self.size, self.channels());
        let out = self.last_channels();
        let [rows, side] = form.sides;
        for (i, row) in (row..h).step_by(d).take(rows).enumerate() {
            for Segment { tile, column, pixels: n } in segments(columns, side, d, w) {
                let strip = &pixels[(i * columns.len() + tile) * side * k..][..n * k];
                let first = (image * h + row) * w + column;
                let target = Target { base: y, start: (first * out) as isize, step: d * out };
                let residual = self.last_residual().map(|residual| {
                    residual.gather(added, out, (0..n).map(|i| (image, row, column + i * d)), [h, w]);
                    Target { base: Shared(added.as_mut_ptr()), start: 0, step: out }
                });
                match &self.after {
                    After::Pointwise(next) => next.run(self.kernels, strip, (0, n), target, residual),
                    After::Store | After::Labels { .. } => {
                        for (p, from) in strip.chunks_exact(k).enumerate() {
                            // SAFETY: the pixel is inside the result, whose size `run` checked, and no other task writes it.
                            let to = unsafe { std::slice::from_raw_parts_mut(target.pixel(p), k) };
                            match residual {
                                None => to.copy_from_slice(from),
                                Some(_) => {
                                    let added = &added[p * out..][..out];
                                    for ((to, &a), &b) in to.iter_mut().zip(from).zip(added) {
                                        let sum = a + b;
                                        *to = if self.epilogue.relu_last && sum < T::zero() {
                                            T::zero()
                                        } else {
                                            sum
                                        };
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Runs of tiles of the same phase.
fn segments(columns: &[usize], side: usize, dilation: usize, width: usize) -> impl Iterator<Item = Segment> {
    let mut tile = 0;
    std::iter::from_fn(move || {
        let first = *columns.get(tile)?;
        let expected = (first..).step_by(side * dilation);
        let tiles = columns[tile..].iter().zip(expected).take_while(|(a, b)| **a == *b).count();
        let pixels = (side * tiles).min((width - first).div_ceil(dilation));
        let segment = Segment { tile, column: first, pixels };
        tile += tiles;
        Some(segment)
    })
}

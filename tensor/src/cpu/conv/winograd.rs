//! 3×3 convolutions of stride 1 by Winograd's F(2×2, 3×3): 16 products for four results instead of 36.
//!
//! A convolution with dilation `d` is `d²` ordinary ones on every `d`-th pixel, so a tile's 4×4 inputs (and 2×2 results) lie `d`
//! pixels apart; nothing else changes. One task takes one row of tiles, a strip at a time: transforms the inputs, multiplies by
//! the transformed weights (16 matrix products on the register tiles), transforms back into a strip of pixels, and either
//! stores those or goes on with a 1×1 convolution while they are in cache. Rounding differs from the direct sum by a few units in
//! the last place; the cut into tasks follows the geometry alone.

use super::direct::Target;
use super::epilogue::{After, Epilogue, Residual};
use super::pack::{Direction, PackLayout};
use super::{ConvGeometry, Shared, Source};
use crate::cpu::simd::buffer::with_scratch;
use crate::cpu::simd::table::Kernels;
use crate::cpu::simd::{InputTile, OutputTile, Scalar, Tap, Tile};
use rayon::prelude::*;

/// Tiles of a strip: transformed inputs, sums and weights stay in the second-level cache.
pub(super) const STRIP: usize = 40;

/// Whether a convolution can be done this way and gains by it.
pub(crate) fn pays<T: Scalar>(g: &ConvGeometry) -> bool {
    let lanes = T::kernels(crate::cpu::simd::Isa::current()).lanes;
    let [d, across] = g.dilation;
    let fits = size_of::<T>() == 4
        && g.groups == 1
        && g.kernel == [3, 3]
        && g.stride == [1, 1]
        && d == across
        && g.padding == [d, d]
        && g.c_in.is_multiple_of(lanes)
        && g.c_out.is_multiple_of(lanes)
        && g.c_in.min(g.c_out) >= 32;
    // Products with tiles that hang over the edge counted, against those of the direct sum, which leaves out taps beyond the
    // edge. The transforms take about a quarter of the time of the products at 64 channels.
    let tiles = tile_starts(g.in_h, d).len() * tile_starts(g.in_w, d).len();
    let taps = |n: usize| n + 2 * n.saturating_sub(d);
    let transforms = 1.0 + 8.0 * (1.0 / g.c_in as f64 + 1.0 / g.c_out as f64);
    fits && 16.0 * tiles as f64 * transforms < 0.95 * (taps(g.in_h) * taps(g.in_w)) as f64
}

/// First output position of each tile along an axis of `n` pixels, phase by phase.
fn tile_starts(n: usize, dilation: usize) -> Vec<usize> {
    (0..dilation.min(n)).flat_map(|phase| (phase..n).step_by(2 * dilation)).collect()
}

/// The geometry under which transformed weights are packed: 16 taps instead of 9.
pub(crate) fn taps(g: &ConvGeometry) -> ConvGeometry {
    ConvGeometry { kernel: [4, 4], ..*g }
}

/// Weights transformed, `U = G g Gᵀ`, in the order in which [`PackLayout`] wants them for this direction. The input gradient is
/// a convolution by the filters turned by half a turn.
pub(crate) fn transform<T: Scalar>(direction: Direction, weights: &[T], u: &mut [T]) {
    assert_eq!(weights.len() / 9, u.len() / 16);
    let half = T::one() / (T::one() + T::one());
    let row = |[a, b, c]: [T; 3]| [a, (a + b + c) * half, (a - b + c) * half, c];
    for (w, u) in weights.chunks_exact(9).zip(u.chunks_exact_mut(16)) {
        let mut g: [T; 9] = std::array::from_fn(|i| w[i]);
        if direction == Direction::InputGradient {
            g.reverse();
        }
        let rows = [0, 3, 6].map(|i| row([g[i], g[i + 1], g[i + 2]]));
        let columns: [[T; 4]; 4] = std::array::from_fn(|j| row([rows[0][j], rows[1][j], rows[2][j]]));
        for (i, u) in u.iter_mut().enumerate() {
            *u = columns[i % 4][i / 4];
        }
        // Packing for the gradient turns the taps round; these have been turned.
        if direction == Direction::InputGradient {
            u.reverse();
        }
    }
}

/// Where tiles lie in an image.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    /// Height and width.
    pub size: [usize; 2],
    /// Pixels between neighbours of a tile.
    pub dilation: usize,
}

impl Grid {
    /// First result of each tile along an axis, phase by phase.
    pub fn starts(&self, axis: usize) -> Vec<usize> {
        tile_starts(self.size[axis], self.dilation)
    }

    /// `V` of a strip of tiles that start at this image and row, and at these columns: 16 planes of `[tiles, channels]`.
    pub fn inputs<T: Scalar>(
        &self,
        kernels: &Kernels<T>,
        source: &Source<'_, T>,
        (image, row): (usize, usize),
        columns: &[usize],
        zeros: &[T],
        v: &mut [T],
    ) {
        let ([h, w], c) = (self.size, source.len);
        assert!(v.len() >= 16 * columns.len() * c && zeros.len() >= c);
        let lines: [Option<&[T]>; 4] = std::array::from_fn(|i| {
            let line = w * source.pitch;
            self.around(row, i, h).map(|y| &source.data[(image * h + y) * line..][..line])
        });
        for (t, &column) in columns.iter().enumerate() {
            let mut tile = InputTile {
                pixels: [zeros.as_ptr(); 16],
                channels: c,
                v: v[t * c..].as_mut_ptr(),
                v_step: columns.len() * c,
            };
            for j in 0..4 {
                let Some(x) = self.around(column, j, w) else { continue };
                for (i, line) in lines.iter().enumerate() {
                    if let Some(line) = line {
                        tile.pixels[4 * i + j] = line[x * source.pitch + source.start..][..c].as_ptr();
                    }
                }
            }
            // SAFETY: pixels are inside their lines, or the zeros, for all channels; `v` has room for 16 values of each
            // tile; the table's instruction set was chosen as available.
            unsafe { (kernels.winograd_input)(&tile) }
        }
    }

    /// Position of input `i` of 4 of a tile that starts at `first`, where it is inside the image.
    fn around(&self, first: usize, i: usize, n: usize) -> Option<usize> {
        (first + i * self.dilation).checked_sub(self.dilation).filter(|&at| at < n)
    }
}

/// A convolution as tiles.
pub(crate) struct WinogradJob<'a, T: Scalar> {
    pub kernels: &'a Kernels<T>,
    /// Of the transformed weights.
    pub layout: &'a PackLayout,
    pub packed: &'a [T],
    pub batch: usize,
    pub dilation: usize,
    pub source: Source<'a, T>,
    /// Height and width of input and result.
    pub size: [usize; 2],
    pub epilogue: Epilogue<'a, T>,
    pub after: After<'a, T>,
}

/// Tiles of one phase: their pixels are `dilation` apart.
#[derive(Clone, Copy)]
struct Segment {
    /// First tile of the strip.
    tile: usize,
    /// First column.
    column: usize,
    /// Pixels along the row; one less than twice the tiles where the last hangs over the edge.
    pixels: usize,
}

impl<T: Scalar> WinogradJob<'_, T> {
    /// Runs the job into `y`.
    pub fn run(&self, y: &mut [T]) {
        let [h, w] = self.size;
        assert_eq!(self.source.data.len(), self.batch * h * w * self.source.pitch);
        assert!(self.source.start + self.source.len <= self.source.pitch);
        assert_eq!(y.len(), self.batch * h * w * self.last_channels());
        let grid = Grid { size: self.size, dilation: self.dilation };
        let (rows, columns) = (grid.starts(0), grid.starts(1));
        if rows.is_empty() || columns.is_empty() {
            return;
        }
        let strips = columns.len().div_ceil(STRIP);
        let longest = columns.len().div_ceil(strips);
        let (c, k) = (self.layout.depth, self.layout.channels);
        let y = Shared(y.as_mut_ptr());
        (0..self.batch * rows.len()).into_par_iter().with_max_len(1).for_each(|task| {
            let (image, row) = (task / rows.len(), rows[task % rows.len()]);
            // Transformed inputs, sums, pixels, values to add, and a pixel of zeros.
            let lens = [16 * longest * c, 16 * longest * k, 4 * longest * k, self.residual_len(longest), c];
            with_scratch(lens.iter().sum(), |scratch| {
                let (v, rest) = scratch.split_at_mut(lens[0]);
                let (m, rest) = rest.split_at_mut(lens[1]);
                let (pixels, rest) = rest.split_at_mut(lens[2]);
                let (added, zeros) = rest.split_at_mut(lens[3]);
                zeros.fill(T::zero());
                for strip in 0..strips {
                    let of = |s: usize| columns.len() * s / strips;
                    let columns = &columns[of(strip)..of(strip + 1)];
                    grid.inputs(self.kernels, &self.source, (image, row), columns, zeros, v);
                    self.products(columns.len(), v, m);
                    self.outputs(columns, m, pixels);
                    self.store(y, (image, row), columns, pixels, added);
                }
            });
        });
    }

    fn last_channels(&self) -> usize {
        match &self.after {
            After::Pointwise(next) => next.layout.channels,
            After::Store | After::Labels { .. } => self.layout.channels,
        }
    }

    fn last_residual(&self) -> Option<Residual<'_, T>> {
        match &self.after {
            After::Pointwise(next) => next.epilogue.residual,
            After::Store | After::Labels { .. } => self.epilogue.residual,
        }
    }

    fn residual_len(&self, tiles: usize) -> usize {
        if self.last_residual().is_some() { 2 * tiles * self.last_channels() } else { 0 }
    }

    /// `M`: one matrix product for each of the 16 values.
    fn products(&self, tiles: usize, v: &[T], m: &mut [T]) {
        let layout = self.layout;
        let (c, k) = (layout.depth, layout.channels);
        assert!(v.len() >= 16 * tiles * c && m.len() >= 16 * tiles * k);
        for p in 0..16 {
            for block in &layout.blocks {
                for part in self.kernels.tile[block.nv - 1].split(tiles) {
                    let tap = Tap { x: v[p * tiles * c..].as_ptr(), w: p * c, len: c, step: c as isize };
                    let to = &mut m[(p * tiles + part.start) * k + block.start..];
                    let tile = Tile {
                        taps: &[tap],
                        shift: part.start as isize,
                        channel: 0,
                        w: self.packed[layout.block_start(0, block)..].as_ptr(),
                        y: to.as_mut_ptr(),
                        y_step: k as isize,
                        last: block.last,
                        bias: std::ptr::null(),
                        residual: std::ptr::null(),
                        residual_step: 0,
                        relu: false,
                        relu_last: false,
                        accumulate: false,
                    };
                    // SAFETY: tiles and channels are inside `v` and `m`, whose lengths were checked; the weights are packed
                    // by this layout; the table's instruction set was chosen as available.
                    unsafe { (part.run)(&tile) }
                }
            }
        }
    }

    /// `Y` of a strip of tiles: a row of pixels, two for each tile, then the row `dilation` below it.
    fn outputs(&self, columns: &[usize], m: &[T], pixels: &mut [T]) {
        let (tiles, k) = (columns.len(), self.layout.channels);
        assert!(m.len() >= 16 * tiles * k && pixels.len() >= 4 * tiles * k);
        // What is added comes last, with the clamp after it, where the pixels are stored.
        let epilogue = &self.epilogue;
        let bias = epilogue.bias.map_or(std::ptr::null(), |bias| bias.as_ptr());
        let (above, below) = pixels[..4 * tiles * k].split_at_mut(2 * tiles * k);
        let pairs = above.chunks_exact_mut(2 * k).zip(below.chunks_exact_mut(2 * k));
        for (t, (above, below)) in pairs.enumerate() {
            let [(a, b), (c, d)] = [above, below].map(|pair| pair.split_at_mut(k));
            let y = [a, b, c, d].map(|pixel| pixel.as_mut_ptr());
            let (m, m_step) = (m[t * k..].as_ptr(), tiles * k);
            let tile = OutputTile { m, m_step, channels: k, bias, relu: epilogue.relu, y };
            // SAFETY: the 16 sums are inside `m`, whose length was checked, the four pixels have `k` channels each; the
            // instruction set is available.
            unsafe { (self.kernels.winograd_output)(&tile) }
        }
    }

    /// Pixels of a strip to the result, perhaps through a 1×1 convolution.
    fn store(
        &self,
        y: Shared<T>,
        (image, row): (usize, usize),
        columns: &[usize],
        pixels: &[T],
        added: &mut [T],
    ) {
        let (d, [h, w], k) = (self.dilation, self.size, self.layout.channels);
        let out = self.last_channels();
        for (i, row) in [row, row + d].into_iter().enumerate().filter(|&(_, row)| row < h) {
            for Segment { tile, column, pixels: n } in segments(columns, d, w) {
                let strip = &pixels[(i * columns.len() + tile) * 2 * k..][..n * k];
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
fn segments(columns: &[usize], dilation: usize, width: usize) -> impl Iterator<Item = Segment> {
    let mut tile = 0;
    std::iter::from_fn(move || {
        let first = *columns.get(tile)?;
        let tiles = columns[tile..]
            .iter()
            .zip((first..).step_by(2 * dilation))
            .take_while(|(a, b)| **a == *b)
            .count();
        let last = first + (2 * tiles - 1) * dilation;
        let segment = Segment { tile, column: first, pixels: 2 * tiles - usize::from(last >= width) };
        tile += tiles;
        Some(segment)
    })
}

//! The four inner loops of convolution and matrix product, each written once for every instruction set.
//!
//! - [`tile`]: `MR` output pixels × `NV` vectors of output channels, summed over taps and input channels in registers. It is
//!   forward convolution, its data gradient, transposed convolution and matrix product.
//! - [`outer`]: a block of the weight gradient, `MR` input channels × `NV` vectors of output channels, summed over pixels.
//! - [`depthwise`] and [`depthwise_gradient`]: the same two for one channel per group, vectors running across channels.
//!
//! All of them take raw pointers with strides instead of slices: which memory a call touches is decided (and kept in bounds)
//! by the drivers in `conv` and `gemm`, and a bounds check per multiplication would cost more than the multiplication.

use super::{Scalar, Simd};

/// One filter tap of a [`Tile`], or the part of it that reads one run of channels.
#[derive(Clone, Copy)]
pub(crate) struct Tap<T> {
    /// Input of the first output pixel, first channel, once the tile's shift is added (before, it may lie outside).
    pub x: *const T,
    /// First row of its weights: filter taps before it × channels + channels before it.
    pub w: usize,
    /// Channels that it sums. Not used by the depthwise kernel.
    pub len: usize,
    /// Elements from one output pixel's input to the next one's.
    pub step: isize,
}

/// Arguments of [`tile`] and [`depthwise`].
pub(crate) struct Tile<'a, T> {
    /// The taps.
    pub taps: &'a [Tap<T>],
    /// Pixels added to every tap's `x`.
    pub shift: isize,
    /// Elements added to every tap's `x`: the first channel of a group or depthwise block.
    pub channel: isize,
    /// Packed weights of this block: rows of `NV` vectors, one for each tap and input channel.
    pub w: *const T,
    /// First output pixel, first channel of the block.
    pub y: *mut T,
    /// Elements from one output pixel to the next.
    pub y_step: isize,
    /// Lanes used of the last vector (1..=LANES).
    pub last: usize,
    /// Per-channel values to add, or null.
    pub bias: *const T,
    /// Values to add, or null.
    pub residual: *const T,
    /// Elements from one pixel's `residual` to the next.
    pub residual_step: isize,
    /// Clamp below at zero before `residual` is added.
    pub relu: bool,
    /// Clamp below at zero after `residual` was added.
    pub relu_last: bool,
    /// Start from the values in `y` instead of zero.
    pub accumulate: bool,
}

impl<'a, T> Tile<'a, T> {
    /// The sum over these taps and nothing else; the weights and the place of the result are for the caller to set.
    pub fn bare(taps: &'a [Tap<T>]) -> Self {
        Self {
            taps,
            shift: 0,
            channel: 0,
            w: std::ptr::null(),
            y: std::ptr::null_mut(),
            y_step: 0,
            last: 0,
            bias: std::ptr::null(),
            residual: std::ptr::null(),
            residual_step: 0,
            relu: false,
            relu_last: false,
            accumulate: false,
        }
    }
}

/// Arguments of [`outer`], `sum[j][k] += Σ_i x[i·x_step + j] · g[i·g_step + k]`, and of [`depthwise_gradient`],
/// `sum[c] += Σ_i x[i·x_step + c] · g[i·g_step + c]`. Whole vectors are read and added up: lanes past a block's last channel
/// hold its neighbours' values in memory, and their sums are never looked at.
#[derive(Clone, Copy)]
pub(crate) struct OuterTile<T> {
    /// First pixel's first input channel.
    pub x: *const T,
    /// Elements between pixels of `x`.
    pub x_step: isize,
    /// First pixel's first output channel.
    pub g: *const T,
    /// Elements between pixels of `g`.
    pub g_step: isize,
    /// Pixels.
    pub len: usize,
    /// Sums, one row of whole vectors for each input channel.
    pub sum: *mut T,
    /// Elements between rows of `sum`.
    pub sum_step: usize,
}

/// Repeats a block for `$i` in `0..$n` (at most 14) as straight-line code. Loops over accumulators must not be left to the
/// optimiser: one that it unrolls too late keeps the whole array in memory, at a fifth of the speed.
macro_rules! each {
    ($i:ident < $n:expr => $body:block) => {
        each!(@ $i $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (@ $i:ident $n:expr, $body:block, $($k:literal)*) => {{
        $(if $k < $n {
            let $i: usize = $k;
            $body
        })*
    }};
}

/// [`each`] for the at most three vectors of a block: nested in it, every needless repetition would count fourteen times
/// in what the compiler has to read.
macro_rules! each_vector {
    ($i:ident < $n:expr => $body:block) => {
        each!(@ $i $n, $body, 0 1 2)
    };
}

pub(super) use {each, each_vector};

/// Most pixels of a tile: what [`each`] repeats.
pub(crate) const MAX_MR: usize = 14;

/// Loads vector `v` of `NV`, of which only the last may be partial.
///
/// # Safety
/// `from` is valid for the lanes in use.
#[inline(always)]
unsafe fn load<S: Simd<T>, T: Scalar>(from: *const T, partial: bool, last: usize) -> S::V {
    // SAFETY: as promised by the caller.
    unsafe { if partial { S::load_part(from, last) } else { S::load(from) } }
}

/// The values that a tile starts from.
///
/// # Safety
/// The tile's `y` is valid for `MR` pixels of `NV` vectors (the last one `last` lanes).
#[inline(always)]
unsafe fn start<S: Simd<T>, T: Scalar, const MR: usize, const NV: usize>(
    a: &Tile<'_, T>,
) -> [[S::V; NV]; MR] {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut acc = [[S::splat(T::zero()); NV]; MR];
        if a.accumulate {
            each!(p < MR => {
                let y = a.y.offset(p as isize * a.y_step);
                each_vector!(v < NV => {
                    acc[p][v] = load::<S, T>(y.add(v * S::LANES), v + 1 == NV && a.last < S::LANES, a.last);
                });
            });
        }
        acc
    }
}

/// Adds bias and residual, clamps before or after the latter, and stores.
///
/// # Safety
/// As for [`start`], and the same for bias and residual where they are given.
#[inline(always)]
unsafe fn finish<S: Simd<T>, T: Scalar, const MR: usize, const NV: usize>(
    a: &Tile<'_, T>,
    mut acc: [[S::V; NV]; MR],
) {
    // SAFETY: as promised by the caller.
    unsafe {
        let partial = a.last < S::LANES;
        if !a.bias.is_null() {
            each_vector!(v < NV => {
                let bias = load::<S, T>(a.bias.add(v * S::LANES), partial && v + 1 == NV, a.last);
                each!(p < MR => { acc[p][v] = S::add(acc[p][v], bias) });
            });
        }
        if a.relu {
            each!(p < MR => { each_vector!(v < NV => { acc[p][v] = S::relu(acc[p][v]) }) });
        }
        if !a.residual.is_null() {
            each!(p < MR => {
                let residual = a.residual.offset(p as isize * a.residual_step);
                each_vector!(v < NV => {
                    let r = load::<S, T>(residual.add(v * S::LANES), partial && v + 1 == NV, a.last);
                    acc[p][v] = S::add(acc[p][v], r);
                });
            });
            if a.relu_last {
                each!(p < MR => { each_vector!(v < NV => { acc[p][v] = S::relu(acc[p][v]) }) });
            }
        }
        if partial {
            each!(p < MR => {
                let y = a.y.offset(p as isize * a.y_step);
                each_vector!(v < NV - 1 => { S::store(y.add(v * S::LANES), acc[p][v]) });
                S::store_part(y.add((NV - 1) * S::LANES), acc[p][NV - 1], a.last);
            });
        } else {
            each!(p < MR => {
                let y = a.y.offset(p as isize * a.y_step);
                each_vector!(v < NV => { S::store(y.add(v * S::LANES), acc[p][v]) });
            });
        }
    }
}

/// `MR` pixels × `NV` vectors of channels: `y[p][k] = Σ_tap Σ_c x_tap[p][c] · w_tap[c][k]`, then the epilogue.
///
/// # Safety
/// All pointers of `a` are valid for what its fields say; the instruction set of `S` is available.
#[inline(always)]
pub(crate) unsafe fn tile<S: Simd<T>, T: Scalar, const MR: usize, const NV: usize>(a: &Tile<'_, T>) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut acc = start::<S, T, MR, NV>(a);
        for tap in a.taps {
            let mut w = a.w.add(tap.w * NV * S::LANES);
            let step = tap.step;
            let mut x = tap.x.wrapping_offset(a.shift * step + a.channel);
            let mut left = tap.len;
            macro_rules! channel {
                ($c:expr) => {
                    let mut weights = [S::splat(T::zero()); NV];
                    each_vector!(v < NV => { weights[v] = S::load(w.add(($c * NV + v) * S::LANES)) });
                    each!(p < MR => {
                        let value = S::splat(*x.offset(p as isize * step).add($c));
                        each_vector!(v < NV => { acc[p][v] = S::fma(value, weights[v], acc[p][v]) });
                    });
                };
            }
            while left >= 4 {
                channel!(0);
                channel!(1);
                channel!(2);
                channel!(3);
                x = x.add(4);
                w = w.add(4 * NV * S::LANES);
                left -= 4;
            }
            while left > 0 {
                channel!(0);
                x = x.add(1);
                w = w.add(NV * S::LANES);
                left -= 1;
            }
        }
        finish::<S, T, MR, NV>(a, acc);
    }
}

/// `MR` pixels × `NV` vectors of channels, each channel on its own: `y[p][c] = Σ_tap x_tap[p][c] · w_tap[c]`.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
pub(crate) unsafe fn depthwise<S: Simd<T>, T: Scalar, const MR: usize, const NV: usize>(a: &Tile<'_, T>) {
    // SAFETY: as promised by the caller; packed weights are padded to whole vectors.
    unsafe {
        let mut acc = start::<S, T, MR, NV>(a);
        let partial = a.last < S::LANES;
        for tap in a.taps {
            let w = a.w.add(tap.w * NV * S::LANES);
            let x = tap.x.wrapping_offset(a.shift * tap.step + a.channel);
            each_vector!(v < NV => {
                let weight = S::load(w.add(v * S::LANES));
                each!(p < MR => {
                    let from = x.offset(p as isize * tap.step).add(v * S::LANES);
                    let value = load::<S, T>(from, partial && v + 1 == NV, a.last);
                    acc[p][v] = S::fma(value, weight, acc[p][v]);
                });
            });
        }
        finish::<S, T, MR, NV>(a, acc);
    }
}

/// `MR` input channels × `NV` vectors of output channels of the weight gradient, summed over `len` pixels.
///
/// # Safety
/// All pointers of `a` are valid for what its fields say, `g` and `sum` for whole vectors; the instruction set of `S` is
/// available.
#[inline(always)]
pub(crate) unsafe fn outer<S: Simd<T>, T: Scalar, const MR: usize, const NV: usize>(a: &OuterTile<T>) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut acc = [[S::splat(T::zero()); NV]; MR];
        let (mut x, mut g) = (a.x, a.g);
        let mut gradient = [S::splat(T::zero()); NV];
        for _ in 0..a.len {
            each_vector!(v < NV => { gradient[v] = S::load(g.add(v * S::LANES)) });
            each!(j < MR => {
                let value = S::splat(*x.add(j));
                each_vector!(v < NV => { acc[j][v] = S::fma(value, gradient[v], acc[j][v]) });
            });
            x = x.wrapping_offset(a.x_step);
            g = g.wrapping_offset(a.g_step);
        }
        each!(j < MR => {
            each_vector!(v < NV => {
                let to = a.sum.add(j * a.sum_step + v * S::LANES);
                S::store(to, S::add(S::load(to), acc[j][v]));
            });
        });
    }
}

/// `NV` vectors of channels of a depthwise weight gradient at one tap, summed over `len` pixels.
///
/// # Safety
/// As for [`outer`], `x` valid for whole vectors too.
#[inline(always)]
pub(crate) unsafe fn depthwise_gradient<S: Simd<T>, T: Scalar, const NV: usize>(a: &OuterTile<T>) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut acc = [S::splat(T::zero()); NV];
        let (mut x, mut g) = (a.x, a.g);
        for _ in 0..a.len {
            each_vector!(v < NV => {
                acc[v] = S::fma(S::load(x.add(v * S::LANES)), S::load(g.add(v * S::LANES)), acc[v]);
            });
            x = x.wrapping_offset(a.x_step);
            g = g.wrapping_offset(a.g_step);
        }
        each_vector!(v < NV => {
            let to = a.sum.add(v * S::LANES);
            S::store(to, S::add(S::load(to), acc[v]));
        });
    }
}

/// `12 · rounds` dependent-in-twelve-chains multiply-adds on registers alone: the processor's ceiling.
///
/// # Safety
/// The instruction set of `S` is available.
#[inline(always)]
pub(crate) unsafe fn peak<S: Simd<T>, T: Scalar>(rounds: usize, factor: T) -> T {
    // SAFETY: registers only, but for the last store into an array of the vector's size.
    unsafe {
        let factor = S::splat(factor);
        let mut acc = [factor; PEAK_CHAINS];
        for _ in 0..rounds {
            each!(c < PEAK_CHAINS => { acc[c] = S::fma(acc[c], factor, factor) });
        }
        let mut lanes = [T::zero(); 64];
        for chain in acc {
            let sum = S::add(S::load(lanes.as_ptr()), chain);
            S::store(lanes.as_mut_ptr(), sum);
        }
        lanes.iter().fold(T::zero(), |a, &b| a + b)
    }
}

/// Independent chains of [`peak`]: enough to hide the latency of two multiply-add units.
pub(crate) const PEAK_CHAINS: usize = 12;

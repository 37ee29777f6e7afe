//! The transforms of Winograd's convolutions F(m×n, 3×3) for m and n of 2, 3 and 4 (Lavin & Gray 2016), for one tile and all
//! of its channels: of inputs, of sums to results, and of the results' gradients for the gradient of the weights.
//!
//! The m×n results of a 3×3 filter take (m + 2)(n + 2) products of transformed values instead of 9·m·n. With `d` the inputs of
//! a tile, `V = Bᵀ d B`; after the products are summed over channels, `Y = Aᵀ M A`, each axis with the matrix of its side:
//!
//! ```text
//!      1  0 −1  0         2 −1 −2  1  0             4  0 −5  0  1  0
//! Bᵀ = 0  1  1  0    Bᵀ = 0 −2 −1  1  0        Bᵀ = 0 −4 −4  1  1  0
//!      0 −1  1  0         0  2 −3  1  0             0  4 −4 −1  1  0
//!      0  1  0 −1         0 −1  0  1  0             0 −2 −1  2  1  0
//!                         0  2 −1 −2  1             0  2 −1 −2  1  0
//!                                                   0  4  0 −5  0  1
//!
//! Aᵀ = 1  1  1  0    Aᵀ = 1  1  1  1  0        Aᵀ = 1  1  1  1  1  0
//!      0  1 −1 −1         0  1 −1  2  0             0  1 −1  2 −2  0
//!                         0  1  1  4  1             0  1  1  4  4  0
//!                                                   0  1 −1  8 −8  1
//! ```

use super::micro::each;
use super::{Reads, Scalar, Simd};

/// [`each`] for the at most six inputs of a tile along an axis.
macro_rules! each_input {
    ($i:ident < $n:expr => $body:block) => {
        each!(@ $i $n, $body, 0 1 2 3 4 5)
    };
}

/// [`each`] for the at most four results.
macro_rules! each_result {
    ($i:ident < $n:expr => $body:block) => {
        each!(@ $i $n, $body, 0 1 2 3)
    };
}

/// Most transformed values of a tile.
pub(crate) const MAX_PLANES: usize = 36;

/// Arguments of [`input`], whose pixels hold numbers of type `X`.
pub(crate) struct InputTile<X, T> {
    /// First channel of each pixel, row by row.
    pub pixels: [*const X; MAX_PLANES],
    /// Channels, a multiple of the vector's length.
    pub channels: usize,
    /// First of the transformed values.
    pub v: *mut T,
    /// Elements between them.
    pub v_step: usize,
}

/// Arguments of [`output`].
pub(crate) struct OutputTile<T> {
    /// First of the sums.
    pub m: *const T,
    /// Elements between them.
    pub m_step: usize,
    /// Channels, a multiple of the vector's length.
    pub channels: usize,
    /// Values to add, or null.
    pub bias: *const T,
    /// Clamp below at zero.
    pub relu: bool,
    /// First channel of each result, row by row.
    pub y: [*mut T; 16],
}

/// Arguments of [`gradient`], whose pixels hold numbers of type `X`.
pub(crate) struct GradientTile<X, T> {
    /// First channel of the gradient of each result, row by row.
    pub pixels: [*const X; 16],
    /// Channels, a multiple of the vector's length.
    pub channels: usize,
    /// First of the transformed values.
    pub v: *mut T,
    /// Elements between them.
    pub v_step: usize,
}

/// `Bᵀ d` along one axis, of whose six values the first `N` count.
///
/// # Safety
/// The instruction set of `S` is available.
#[inline(always)]
unsafe fn input_axis<S: Simd<T>, T: Scalar, const N: usize>(d: [S::V; 6]) -> [S::V; 6] {
    // SAFETY: as promised by the caller.
    unsafe {
        let two = S::splat(T::one() + T::one());
        match N {
            4 => [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[1], d[3]), d[4], d[5]],
            5 => {
                let (near, far) = (S::sub(d[3], d[1]), S::sub(d[3], d[2]));
                let minus2 = S::sub(S::splat(T::zero()), two);
                [
                    S::fma(S::sub(d[0], d[2]), two, near),
                    S::fma(d[1], minus2, far),
                    S::fma(S::sub(d[1], d[2]), two, far),
                    near,
                    S::fma(near, minus2, S::sub(d[4], d[2])),
                    d[5],
                ]
            }
            _ => {
                let (four, minus4) = (S::add(two, two), S::sub(S::splat(T::zero()), S::add(two, two)));
                let minus5 = S::sub(minus4, S::splat(T::one()));
                let (a, b) = (S::fma(d[2], minus4, d[4]), S::fma(d[1], minus4, d[3]));
                let (c, e) = (S::sub(d[4], d[2]), S::sub(d[3], d[1]));
                let e = S::add(e, e);
                [
                    S::fma(d[0], four, S::fma(d[2], minus5, d[4])),
                    S::add(a, b),
                    S::sub(a, b),
                    S::add(c, e),
                    S::sub(c, e),
                    S::fma(d[1], four, S::fma(d[3], minus5, d[5])),
                ]
            }
        }
    }
}

/// `Aᵀ m` along one axis, of `N` sums; `N − 2` results count.
///
/// # Safety
/// The instruction set of `S` is available.
#[inline(always)]
unsafe fn output_axis<S: Simd<T>, T: Scalar, const N: usize>(m: [S::V; 6]) -> [S::V; 4] {
    // SAFETY: as promised by the caller.
    unsafe {
        let two = S::splat(T::one() + T::one());
        let four = S::add(two, two);
        let (s, u) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        match N {
            4 => [S::add(m[0], s), S::sub(u, m[3]), m[0], m[0]],
            5 => [
                S::add(S::add(m[0], s), m[3]),
                S::fma(m[3], two, u),
                S::add(S::fma(m[3], four, s), m[4]),
                m[0],
            ],
            _ => {
                let (v, w) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
                [
                    S::add(S::add(m[0], s), v),
                    S::fma(w, two, u),
                    S::fma(v, four, s),
                    S::add(S::fma(w, S::add(four, four), u), m[5]),
                ]
            }
        }
    }
}

/// `Bᵀ d B` for each channel, of tiles of `R`×`C` inputs.
///
/// # Safety
/// Pointers are valid for the channels, `v` for a row of them for each value; the instruction set of `S` is available.
#[inline(always)]
pub(crate) unsafe fn input<S: Reads<X, T>, X, T: Scalar, const R: usize, const C: usize>(
    a: &InputTile<X, T>,
) {
    // SAFETY: as promised by the caller.
    unsafe {
        let zero = S::splat(T::zero());
        let mut c = 0;
        while c < a.channels {
            let mut t = [[zero; 6]; 6];
            each_input!(j < C => {
                let mut column = [zero; 6];
                each_input!(i < R => { column[i] = S::read(a.pixels[C * i + j].add(c)) });
                t[j] = input_axis::<S, T, R>(column);
            });
            let v = a.v.add(c);
            each_input!(i < R => {
                let row = input_axis::<S, T, C>([t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]]);
                let v = v.add(C * i * a.v_step);
                each_input!(j < C => { S::store(v.add(j * a.v_step), row[j]) });
            });
            c += S::LANES;
        }
    }
}

/// `A g` along one axis, of `N − 2` gradients; `N` values count.
///
/// # Safety
/// The instruction set of `S` is available.
#[inline(always)]
unsafe fn gradient_axis<S: Simd<T>, T: Scalar, const N: usize>(g: [S::V; 4]) -> [S::V; 6] {
    // SAFETY: as promised by the caller.
    unsafe {
        let zero = S::splat(T::zero());
        let two = S::splat(T::one() + T::one());
        let four = S::add(two, two);
        match N {
            4 => [g[0], S::add(g[0], g[1]), S::sub(g[0], g[1]), S::sub(zero, g[1]), zero, zero],
            5 => {
                let even = S::add(g[0], g[2]);
                let double = S::fma(g[2], four, S::fma(g[1], two, g[0]));
                [g[0], S::add(even, g[1]), S::sub(even, g[1]), double, g[2], zero]
            }
            _ => {
                let (even, odd) = (S::add(g[0], g[2]), S::add(g[1], g[3]));
                let even2 = S::fma(g[2], four, g[0]);
                let odd2 = S::fma(g[3], four, g[1]);
                let odd2 = S::add(odd2, odd2);
                [g[0], S::add(even, odd), S::sub(even, odd), S::add(even2, odd2), S::sub(even2, odd2), g[3]]
            }
        }
    }
}

/// `A g Aᵀ` for each channel: what the gradient of the results is for the sums, of tiles of `R`×`C` inputs.
///
/// # Safety
/// As for [`input`].
#[inline(always)]
pub(crate) unsafe fn gradient<S: Reads<X, T>, X, T: Scalar, const R: usize, const C: usize>(
    a: &GradientTile<X, T>,
) {
    // SAFETY: as promised by the caller.
    unsafe {
        let zero = S::splat(T::zero());
        let mut c = 0;
        while c < a.channels {
            let mut t = [[zero; 6]; 4];
            each_result!(j < C - 2 => {
                let mut column = [zero; 4];
                each_result!(i < R - 2 => { column[i] = S::read(a.pixels[(C - 2) * i + j].add(c)) });
                t[j] = gradient_axis::<S, T, R>(column);
            });
            let v = a.v.add(c);
            each_input!(i < R => {
                let row = gradient_axis::<S, T, C>([t[0][i], t[1][i], t[2][i], t[3][i]]);
                let v = v.add(C * i * a.v_step);
                each_input!(j < C => { S::store(v.add(j * a.v_step), row[j]) });
            });
            c += S::LANES;
        }
    }
}

/// `relu(Aᵀ M A + bias)` for each channel, of tiles of `R`×`C` inputs.
///
/// # Safety
/// As for [`input`].
#[inline(always)]
pub(crate) unsafe fn output<S: Simd<T>, T: Scalar, const R: usize, const C: usize>(a: &OutputTile<T>) {
    // SAFETY: as promised by the caller.
    unsafe {
        let zero = S::splat(T::zero());
        let mut c = 0;
        while c < a.channels {
            let m = a.m.add(c);
            let mut t = [[zero; 4]; 6];
            each_input!(j < C => {
                let mut column = [zero; 6];
                each_input!(i < R => { column[i] = S::load(m.add((C * i + j) * a.m_step)) });
                t[j] = output_axis::<S, T, R>(column);
            });
            let bias = if a.bias.is_null() { zero } else { S::load(a.bias.add(c)) };
            each_result!(i < R - 2 => {
                let row = output_axis::<S, T, C>([t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]]);
                each_result!(j < C - 2 => {
                    let sum = S::add(row[j], bias);
                    S::store(a.y[(C - 2) * i + j].add(c), if a.relu { S::relu(sum) } else { sum });
                });
            });
            c += S::LANES;
        }
    }
}

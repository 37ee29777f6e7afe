//! The transforms of Winograd's convolutions F(2×2, 3×3) and F(4×4, 3×3) (Lavin & Gray 2016), for one tile and all of its
//! channels: of inputs, of sums to results, and of the results' gradients for the gradient of the weights.
//!
//! The 2×2 (4×4) results of a 3×3 filter take 16 (36) products of transformed values instead of 36 (144). With `d` the inputs
//! of a tile, `V = Bᵀ d B`; after the products are summed over channels, `Y = Aᵀ M A`:
//!
//! ```text
//!      1  0 −1  0                                     4  0 −5  0  1  0
//! Bᵀ = 0  1  1  0                                     0 −4 −4  1  1  0          1  1  1  1  1  0
//!      0 −1  1  0      Aᵀ = 1  1  1  0           Bᵀ = 0  4 −4 −1  1  0     Aᵀ = 0  1 −1  2 −2  0
//!      0  1  0 −1           0  1 −1 −1                0 −2 −1  2  1  0          0  1  1  4  4  0
//!                                                     0  2 −1 −2  1  0          0  1 −1  8 −8  1
//!                                                     0  4  0 −5  0  1
//! ```

use super::micro::each;
use super::{Scalar, Simd};

/// Most transformed values of a tile.
pub(crate) const MAX_PLANES: usize = 36;

/// Arguments of [`input`] and [`input4`].
pub(crate) struct InputTile<T> {
    /// First channel of each of the 4×4 or 6×6 pixels, row by row.
    pub pixels: [*const T; MAX_PLANES],
    /// Channels, a multiple of the vector's length.
    pub channels: usize,
    /// First of the transformed values.
    pub v: *mut T,
    /// Elements between them.
    pub v_step: usize,
}

/// Arguments of [`output`] and [`output4`].
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
    /// First channel of each of the 2×2 or 4×4 results.
    pub y: [*mut T; 16],
}

/// Arguments of [`gradient`].
pub(crate) struct GradientTile<T> {
    /// First channel of each of the 2×2 gradients, row by row.
    pub pixels: [*const T; 4],
    /// Channels, a multiple of the vector's length.
    pub channels: usize,
    /// First of the 16 transformed values.
    pub v: *mut T,
    /// Elements between them.
    pub v_step: usize,
}

/// `Bᵀ d B` for each channel, of F(2×2).
///
/// # Safety
/// Pointers are valid for the channels, `v` for a row of them for each value; the instruction set of `S` is available.
#[inline(always)]
pub(crate) unsafe fn input<S: Simd<T>, T: Scalar>(a: &InputTile<T>) {
    // SAFETY: as promised by the caller.
    unsafe {
        let zero = S::splat(T::zero());
        let mut c = 0;
        while c < a.channels {
            let mut d = [zero; 16];
            let mut t = [zero; 16];
            each!(i < 8 => { d[i] = S::load(a.pixels[i].add(c)) });
            each!(i < 8 => { d[i + 8] = S::load(a.pixels[i + 8].add(c)) });
            each!(j < 4 => {
                t[j] = S::sub(d[j], d[j + 8]);
                t[j + 4] = S::add(d[j + 4], d[j + 8]);
                t[j + 8] = S::sub(d[j + 8], d[j + 4]);
                t[j + 12] = S::sub(d[j + 4], d[j + 12]);
            });
            let v = a.v.add(c);
            each!(i < 4 => {
                let (row, v) = (4 * i, v.add(4 * i * a.v_step));
                S::store(v, S::sub(t[row], t[row + 2]));
                S::store(v.add(a.v_step), S::add(t[row + 1], t[row + 2]));
                S::store(v.add(2 * a.v_step), S::sub(t[row + 2], t[row + 1]));
                S::store(v.add(3 * a.v_step), S::sub(t[row + 1], t[row + 3]));
            });
            c += S::LANES;
        }
    }
}

/// `A g Aᵀ` for each channel: what the gradient of the 2×2 results is for the 16 sums.
///
/// # Safety
/// As for [`input`].
#[inline(always)]
pub(crate) unsafe fn gradient<S: Simd<T>, T: Scalar>(a: &GradientTile<T>) {
    // SAFETY: as promised by the caller.
    unsafe {
        let zero = S::splat(T::zero());
        let mut c = 0;
        while c < a.channels {
            let mut t = [zero; 8];
            each!(j < 2 => {
                let (above, below) = (S::load(a.pixels[j].add(c)), S::load(a.pixels[j + 2].add(c)));
                t[j] = above;
                t[j + 2] = S::add(above, below);
                t[j + 4] = S::sub(above, below);
                t[j + 6] = S::sub(zero, below);
            });
            let v = a.v.add(c);
            each!(i < 4 => {
                let (left, right, v) = (t[2 * i], t[2 * i + 1], v.add(4 * i * a.v_step));
                S::store(v, left);
                S::store(v.add(a.v_step), S::add(left, right));
                S::store(v.add(2 * a.v_step), S::sub(left, right));
                S::store(v.add(3 * a.v_step), S::sub(zero, right));
            });
            c += S::LANES;
        }
    }
}

/// `relu(Aᵀ M A + bias)` for each channel, of F(2×2).
///
/// # Safety
/// As for [`input`].
#[inline(always)]
pub(crate) unsafe fn output<S: Simd<T>, T: Scalar>(a: &OutputTile<T>) {
    // SAFETY: as promised by the caller.
    unsafe {
        let zero = S::splat(T::zero());
        let mut c = 0;
        while c < a.channels {
            let m = a.m.add(c);
            let mut t = [zero; 8];
            each!(j < 4 => {
                let (m0, m1) = (S::load(m.add(j * a.m_step)), S::load(m.add((j + 4) * a.m_step)));
                let (m2, m3) = (S::load(m.add((j + 8) * a.m_step)), S::load(m.add((j + 12) * a.m_step)));
                t[j] = S::add(S::add(m0, m1), m2);
                t[j + 4] = S::sub(S::sub(m1, m2), m3);
            });
            let bias = if a.bias.is_null() { zero } else { S::load(a.bias.add(c)) };
            each!(i < 2 => {
                let row = 4 * i;
                let mut first = S::add(S::add(S::add(t[row], t[row + 1]), t[row + 2]), bias);
                let mut second = S::add(S::sub(S::sub(t[row + 1], t[row + 2]), t[row + 3]), bias);
                if a.relu {
                    first = S::relu(first);
                    second = S::relu(second);
                }
                S::store(a.y[2 * i].add(c), first);
                S::store(a.y[2 * i + 1].add(c), second);
            });
            c += S::LANES;
        }
    }
}

/// `Bᵀ d B` for each channel, of F(4×4).
///
/// # Safety
/// As for [`input`].
#[inline(always)]
pub(crate) unsafe fn input4<S: Simd<T>, T: Scalar>(a: &InputTile<T>) {
    // SAFETY: as promised by the caller.
    unsafe {
        let two = S::splat(T::one() + T::one());
        let (four, minus4) = (S::add(two, two), S::sub(S::splat(T::zero()), S::add(two, two)));
        let minus5 = S::sub(minus4, S::splat(T::one()));
        // One axis of the transform.
        macro_rules! axis {
            ($d:expr) => {{
                let d: [S::V; 6] = $d;
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
            }};
        }
        let mut c = 0;
        while c < a.channels {
            let mut t = [[two; 6]; 6];
            each!(j < 6 => {
                let at = |i: usize| S::load(a.pixels[6 * i + j].add(c));
                t[j] = axis!([at(0), at(1), at(2), at(3), at(4), at(5)]);
            });
            let v = a.v.add(c);
            each!(i < 6 => {
                let row = axis!([t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]]);
                let v = v.add(6 * i * a.v_step);
                each!(j < 6 => { S::store(v.add(j * a.v_step), row[j]) });
            });
            c += S::LANES;
        }
    }
}

/// `relu(Aᵀ M A + bias)` for each channel, of F(4×4).
///
/// # Safety
/// As for [`input`].
#[inline(always)]
pub(crate) unsafe fn output4<S: Simd<T>, T: Scalar>(a: &OutputTile<T>) {
    // SAFETY: as promised by the caller.
    unsafe {
        let zero = S::splat(T::zero());
        let two = S::splat(T::one() + T::one());
        let (four, eight) = (S::add(two, two), S::add(S::add(two, two), S::add(two, two)));
        // One axis of the transform.
        macro_rules! axis {
            ($m:expr) => {{
                let m: [S::V; 6] = $m;
                let (s, u) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
                let (v, w) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
                [
                    S::add(S::add(m[0], s), v),
                    S::fma(w, two, u),
                    S::fma(v, four, s),
                    S::add(S::fma(w, eight, u), m[5]),
                ]
            }};
        }
        let mut c = 0;
        while c < a.channels {
            let m = a.m.add(c);
            let mut t = [[zero; 4]; 6];
            each!(j < 6 => {
                let at = |i: usize| S::load(m.add((6 * i + j) * a.m_step));
                t[j] = axis!([at(0), at(1), at(2), at(3), at(4), at(5)]);
            });
            let bias = if a.bias.is_null() { zero } else { S::load(a.bias.add(c)) };
            each!(i < 4 => {
                let row = axis!([t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]]);
                each!(j < 4 => {
                    let sum = S::add(row[j], bias);
                    S::store(a.y[4 * i + j].add(c), if a.relu { S::relu(sum) } else { sum });
                });
            });
            c += S::LANES;
        }
    }
}

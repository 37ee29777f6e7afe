//! The float types that kernels compute in, with the few functions that the compiler can not vectorise by
//! itself: `exp` and `ln` of f32 as branch-free polynomials. f64 uses the system's library: it serves checks.

use num_traits::{Float, NumAssign};

use crate::Element;

/// f32 or f64.
pub(crate) trait Real: Element + Float + NumAssign + Default {
    /// As f64.
    fn wide(self) -> f64;
    /// From f64, rounded.
    fn narrow(v: f64) -> Self;
    /// eˣ; for f32 within 2e-7 of the true value, relatively.
    fn fast_exp(self) -> Self;
    /// ln x for a normal positive x; for f32 within 2e-7 of the true value, relatively.
    fn fast_ln(self) -> Self;
}

impl Real for f64 {
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn narrow(v: f64) -> Self {
        v
    }
    #[inline(always)]
    fn fast_exp(self) -> Self {
        self.exp()
    }
    #[inline(always)]
    fn fast_ln(self) -> Self {
        self.ln()
    }
}

impl Real for f32 {
    #[inline(always)]
    fn wide(self) -> f64 {
        self as f64
    }
    #[inline(always)]
    fn narrow(v: f64) -> Self {
        v as f32
    }
    #[inline(always)]
    fn fast_exp(self) -> Self {
        exp(self)
    }
    #[inline(always)]
    fn fast_ln(self) -> Self {
        ln(self)
    }
}

/// `condition ? a : b` without a branch.
///
/// Do not choose between a new value and what the place to be written holds: the compiler turns that into a
/// masked store, which is many times slower than a plain one. Choose in local arrays, or add a choice of zero.
#[inline(always)]
pub(crate) fn select<T>(condition: bool, a: T, b: T) -> T {
    std::hint::select_unpredictable(condition, a, b)
}

/// ln 2 in two parts: a product of the first with an integer below 2⁹ is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// eˣ = 2ᵏ·eʳ with |r| ≤ ½ ln 2, eʳ by its Taylor polynomial (whose first term left out is below 6e-9).
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Beyond these bounds the result is infinite or zero; NaN passes.
    let x = select(x > 89.0, 89.0, x);
    let x = select(x < -105.0, -105.0, x);
    // Adding 1.5·2²³ rounds to an integer, which the low bits of the sum then hold.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (x - k * LN2_HIGH) - k * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + c;
    }
    // 2ᵏ as a product of two powers, each of which is a normal number even where 2ᵏ is none.
    let k = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = k >> 1;
    let power = |k: i32| f32::from_bits((k.wrapping_add(127) as u32) << 23);
    p * power(half) * power(k.wrapping_sub(half))
}

/// ln x = k·ln 2 + ln m with m in [√½, √2), ln m by the series of 2·artanh((m − 1)/(m + 1)).
#[inline(always)]
fn ln(x: f32) -> f32 {
    let bits = x.to_bits().wrapping_sub(0x3f35_04f3);
    let k = ((bits as i32) >> 23) as f32;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut p = 2.0 / 11.0;
    for c in [2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0] {
        p = p * z + c;
    }
    let y = k * LN2_HIGH + (k * LN2_LOW + (2.0 * s + s * z * p));
    select(x < f32::INFINITY, y, x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(got: f32, want: f64) -> f64 {
        ((got as f64 - want) / want).abs()
    }

    #[test]
    fn exp_is_accurate() {
        let mut worst = 0.0f64;
        for i in -870_000..=880_000 {
            let x = i as f32 * 1e-4;
            worst = worst.max(error(x.fast_exp(), (x as f64).exp()));
        }
        assert!(worst < 2e-7, "{worst:e}");
    }

    #[test]
    fn exp_at_the_ends() {
        assert_eq!(0f32.fast_exp(), 1.0);
        assert_eq!((-0f32).fast_exp(), 1.0);
        assert_eq!(f32::INFINITY.fast_exp(), f32::INFINITY);
        assert_eq!(89f32.fast_exp(), f32::INFINITY);
        assert_eq!(f32::NEG_INFINITY.fast_exp(), 0.0);
        assert_eq!((-1e30f32).fast_exp(), 0.0);
        assert!(f32::NAN.fast_exp().is_nan());
        // Results below the normal numbers are within their spacing.
        for x in [-88.0f32, -95.0, -100.0, -103.0] {
            assert!((x.fast_exp() as f64 - (x as f64).exp()).abs() < 2.9e-45, "{x}");
        }
    }

    #[test]
    fn ln_is_accurate() {
        assert_eq!(1f32.fast_ln(), 0.0);
        assert_eq!(f32::INFINITY.fast_ln(), f32::INFINITY);
        assert!(f32::NAN.fast_ln().is_nan());
        let mut worst = 0.0f64;
        for i in 1..2_000_000u32 {
            for x in [i as f32 * 1e-4, 1.0 + i as f32 * 1e-6, f32::from_bits(0x0080_0000 + i * 1000)] {
                if x != 1.0 {
                    worst = worst.max(error(x.fast_ln(), (x as f64).ln()));
                }
            }
        }
        assert!(worst < 2e-7, "{worst:e}");
    }
}

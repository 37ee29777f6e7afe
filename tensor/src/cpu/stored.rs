//! Number types as they are stored: kernels that move much memory read and write bf16 and compute in f32, in registers, so
//! that no f32 copy of a map is ever made.

use half::bf16;

use super::conv::bf16::round;
use super::dispatch::vectorized;
use super::math::{Real, select};
use crate::Element;

/// A type that tensors hold, and the one in which kernels compute with it.
pub(crate) trait Stored: Element {
    /// The type of arithmetic.
    type Real: Real + Stored<Real = Self::Real>;
    /// The value to compute with; exact.
    fn load(self) -> Self::Real;
    /// A result, rounded to the nearest number.
    fn store(value: Self::Real) -> Self;
    /// `self` where the condition holds, else zero: without a branch.
    fn keep_if(self, condition: bool) -> Self;
}

macro_rules! itself {
    ($($t:ty)*) => {$(
        impl Stored for $t {
            type Real = $t;
            #[inline(always)]
            fn load(self) -> $t {
                self
            }
            #[inline(always)]
            fn store(value: $t) -> $t {
                value
            }
            #[inline(always)]
            fn keep_if(self, condition: bool) -> $t {
                select(condition, self, 0.0)
            }
        }
    )*};
}
itself!(f32 f64);

impl Stored for bf16 {
    type Real = f32;
    #[inline(always)]
    fn load(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    #[inline(always)]
    fn store(value: f32) -> bf16 {
        round(value)
    }
    #[inline(always)]
    fn keep_if(self, condition: bool) -> bf16 {
        // Of 32-bit numbers, which vectorises.
        bf16::from_bits(select(condition, u32::from(self.to_bits()), 0) as u16)
    }
}

vectorized! {
    /// Values as they are computed with.
    pub(crate) fn load_all<S: Stored>(from: &[S], to: &mut [S::Real]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.load();
        }
    }

    /// Results as they are stored.
    pub(crate) fn store_all<S: Stored>(from: &[S::Real], to: &mut [S]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = S::store(*from);
        }
    }
}

/// Runs `$body` with `$s` bound to a [`Stored`] type: f32, f64 or bf16.
macro_rules! dispatch_stored {
    ($op:expr, $dtype:expr, $s:ident => $body:expr) => {
        match $dtype {
            $crate::DType::F32 => {
                type $s = f32;
                $body
            }
            $crate::DType::F64 => {
                type $s = f64;
                $body
            }
            $crate::DType::BF16 => {
                type $s = half::bf16;
                $body
            }
            other => {
                Err($crate::Error::value($op, format!("the CPU kernel takes f32, f64 or bf16, got {other}")))
            }
        }
    };
}
pub(crate) use dispatch_stored;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::{Isa, with_isa};

    /// All bf16 numbers there and back, and f32 numbers between them rounded as the number type does it.
    #[test]
    fn every_number_survives_and_rounds() {
        let all: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
        let between: Vec<f32> =
            (0..200_001u32).map(|i| f32::from_bits(i.wrapping_mul(21_474) ^ 0x5a5a)).collect();
        for isa in Isa::available() {
            with_isa(isa, || {
                let mut wide = vec![0.0f32; all.len()];
                load_all(&all, &mut wide);
                let mut back = vec![bf16::ZERO; all.len()];
                store_all(&wide, &mut back);
                for ((a, w), b) in all.iter().zip(&wide).zip(&back) {
                    assert!(a.is_nan() && w.is_nan() && b.is_nan() || a.to_bits() == b.to_bits(), "{a}");
                    assert!(a.is_nan() || a.to_f32() == *w);
                }
                let mut rounded = vec![bf16::ZERO; between.len()];
                store_all(&between, &mut rounded);
                for (v, r) in between.iter().zip(rounded) {
                    let wanted = bf16::from_f32(*v);
                    assert!(v.is_nan() && r.is_nan() || r.to_bits() == wanted.to_bits(), "{isa} {v:e}");
                }
            });
        }
    }
}

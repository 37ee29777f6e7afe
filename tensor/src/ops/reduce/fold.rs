//! How a reduction combines elements: a sum, a maximum, a minimum, as values that the loops in `cpu.rs` take.
//!
//! Elements go into lanes, a bounded number into each ([`DEPTH`]), lanes into accumulators, accumulators into
//! the result. For f32 sums lanes are f32 and accumulators f64: as fast as f32 and nearly as accurate as f64.

use std::marker::PhantomData;

use half::bf16;

use crate::{Element, cpu::stored::Stored};

/// Elements that a lane takes before it is flushed.
pub(super) const DEPTH: usize = 64;

pub(super) trait Fold: Sized {
    type In: Element;
    type Lane: Copy;
    type Acc: Copy + Send + Sync;
    type Out: Element;

    /// A lane, and an accumulator, of no elements.
    fn lane() -> Self::Lane;
    fn acc() -> Self::Acc;
    fn step(lane: Self::Lane, x: Self::In) -> Self::Lane;
    fn flush(acc: Self::Acc, lane: Self::Lane) -> Self::Acc;
    fn merge(a: Self::Acc, b: Self::Acc) -> Self::Acc;
    /// The result; sums are divided by `divisor` (1, or the count for a mean).
    fn finish(acc: Self::Acc, divisor: f64) -> Self::Out;
}

pub(super) struct Sum<T>(PhantomData<T>);
pub(super) struct Max<T>(PhantomData<T>);
pub(super) struct Min<T>(PhantomData<T>);

macro_rules! sum {
    ($($t:ty, $lane:ty, $acc:ty, $out:ty, |$a:ident, $b:ident| $add:expr, |$s:ident, $d:ident| $finish:expr;)*) => {$(
        impl Fold for Sum<$t> {
            type In = $t;
            type Lane = $lane;
            type Acc = $acc;
            type Out = $out;

            fn lane() -> $lane {
                <$lane>::default()
            }

            fn acc() -> $acc {
                <$acc>::default()
            }

            #[inline(always)]
            fn step(lane: $lane, x: $t) -> $lane {
                let ($a, $b) = (lane, <$lane>::from(x));
                $add
            }

            #[inline(always)]
            fn flush(acc: $acc, lane: $lane) -> $acc {
                Self::merge(acc, <$acc>::from(lane))
            }

            #[inline(always)]
            fn merge(x: $acc, y: $acc) -> $acc {
                let ($a, $b) = (x, y);
                $add
            }

            fn finish($s: $acc, $d: f64) -> $out {
                $finish
            }
        }
    )*};
}

sum! {
    f32, f32, f64, f32, |a, b| a + b, |s, d| (s / d) as f32;
    f64, f64, f64, f64, |a, b| a + b, |s, d| s / d;
    i64, i64, i64, i64, |a, b| a.wrapping_add(b), |s, _d| s;
    u8, u32, i64, i64, |a, b| a.wrapping_add(b), |s, _d| s;
}

/// As of f32, rounded once more.
impl Fold for Sum<bf16> {
    type In = bf16;
    type Lane = f32;
    type Acc = f64;
    type Out = bf16;

    fn lane() -> f32 {
        Sum::<f32>::lane()
    }

    fn acc() -> f64 {
        Sum::<f32>::acc()
    }

    #[inline(always)]
    fn step(lane: f32, x: bf16) -> f32 {
        Sum::<f32>::step(lane, x.load())
    }

    #[inline(always)]
    fn flush(acc: f64, lane: f32) -> f64 {
        Sum::<f32>::flush(acc, lane)
    }

    #[inline(always)]
    fn merge(a: f64, b: f64) -> f64 {
        Sum::<f32>::merge(a, b)
    }

    fn finish(acc: f64, divisor: f64) -> bf16 {
        bf16::store(Sum::<f32>::finish(acc, divisor))
    }
}

macro_rules! extremum {
    ($name:ident, $empty:expr, |$x:ident, $m:ident| $better:expr) => {
        impl<T: Element> Fold for $name<T> {
            type In = T;
            type Lane = T;
            type Acc = T;
            type Out = T;

            fn lane() -> T {
                T::from_f64($empty)
            }

            fn acc() -> T {
                T::from_f64($empty)
            }

            #[inline(always)]
            fn step($m: T, $x: T) -> T {
                // NaN is unequal to itself; once it is held, nothing is larger or smaller.
                #[allow(clippy::eq_op)]
                if ($better) | ($x != $x) { $x } else { $m }
            }

            #[inline(always)]
            fn flush(acc: T, lane: T) -> T {
                Self::step(acc, lane)
            }

            #[inline(always)]
            fn merge(a: T, b: T) -> T {
                Self::step(a, b)
            }

            fn finish(acc: T, _: f64) -> T {
                acc
            }
        }
    };
}
extremum!(Max, f64::NEG_INFINITY, |x, m| x > m);
extremum!(Min, f64::INFINITY, |x, m| x < m);

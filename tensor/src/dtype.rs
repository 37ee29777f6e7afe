//! Element types: which numbers a tensor can hold.

use std::fmt;

use half::{bf16, f16};

/// The element type of a tensor. Comparisons yield `U8` with the values 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// 16-bit IEEE half; arithmetic is done in f32.
    F16,
    /// bfloat16; arithmetic is done in f32.
    BF16,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 64-bit signed integer (indices, counts).
    I64,
    /// 8-bit unsigned integer (images, labels, pool offsets, truth values).
    U8,
}

impl DType {
    /// All element types.
    pub const ALL: [DType; 6] = [DType::F16, DType::BF16, DType::F32, DType::F64, DType::I64, DType::U8];

    /// Size of one element in bytes.
    pub const fn size(self) -> usize {
        match self {
            DType::U8 => 1,
            DType::F16 | DType::BF16 => 2,
            DType::F32 => 4,
            DType::F64 | DType::I64 => 8,
        }
    }

    /// Whether this is a floating-point type.
    pub const fn is_float(self) -> bool {
        match self {
            DType::F16 | DType::BF16 | DType::F32 | DType::F64 => true,
            DType::I64 | DType::U8 => false,
        }
    }

    /// Whether this is a 16-bit float, whose arithmetic is done in f32.
    pub const fn is_half(self) -> bool {
        matches!(self, DType::F16 | DType::BF16)
    }

    /// The type that arithmetic on this one is done in, and sums are kept in: f32 for 16-bit floats, else the type itself.
    pub const fn wide(self) -> Self {
        if self.is_half() { Self::F32 } else { self }
    }

    /// Short name, as in Rust: `f32`, `i64`, …
    pub const fn name(self) -> &'static str {
        match self {
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::I64 => "i64",
            DType::U8 => "u8",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that a tensor can hold. Every bit pattern of it is a valid value: buffers are reinterpreted.
pub trait Element:
    sealed::Sealed + Copy + Send + Sync + fmt::Debug + PartialEq + PartialOrd + 'static
{
    /// The matching [`DType`].
    const DTYPE: DType;
    /// Zero.
    const ZERO: Self;
    /// The value as f64 (i64 beyond 2⁵³ rounds).
    fn to_f64(self) -> f64;
    /// The nearest value to `v`; integers truncate and saturate.
    fn from_f64(v: f64) -> Self;
}

macro_rules! element {
    ($($t:ty, $d:ident, $zero:expr, $to:expr, $from:expr;)*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            const ZERO: Self = $zero;
            #[inline]
            fn to_f64(self) -> f64 { ($to)(self) }
            #[inline]
            fn from_f64(v: f64) -> Self { ($from)(v) }
        }
    )*};
}
element! {
    f16, F16, f16::ZERO, f16::to_f64, f16::from_f64;
    bf16, BF16, bf16::ZERO, bf16::to_f64, bf16::from_f64;
    f32, F32, 0.0, |v| v as f64, |v| v as f32;
    f64, F64, 0.0, |v| v, |v| v;
    i64, I64, 0, |v| v as f64, |v| v as i64;
    u8, U8, 0, |v| v as f64, |v| v as u8;
}

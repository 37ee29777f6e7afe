//! The number types that the floating-point kernels are written for.

use super::Isa;
use super::table::Kernels;
use num_traits::{Float, NumAssign};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`: what convolution and matrix product compute in. Sealed, since each type brings its own table of kernels.
pub trait Scalar:
    sealed::Sealed + Float + NumAssign + Default + Send + Sync + std::fmt::Debug + 'static
{
    /// The kernels of `isa` for this type. The processor must have `isa`.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn kernels(isa: Isa) -> &'static Kernels<Self>;
}

impl Scalar for f32 {
    #[allow(private_interfaces)]
    fn kernels(isa: Isa) -> &'static Kernels<f32> {
        super::table::f32_kernels(isa)
    }
}

impl Scalar for f64 {
    #[allow(private_interfaces)]
    fn kernels(isa: Isa) -> &'static Kernels<f64> {
        super::table::f64_kernels(isa)
    }
}

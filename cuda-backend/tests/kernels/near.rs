//! Comparing what a kernel wrote with what the CPU backend says.

use tensor::{DType, Ops, Tensor, ops::Distribution, rng::Key};

/// The floats that kernels take.
pub const FLOATS: [DType; 4] = [DType::F32, DType::F16, DType::BF16, DType::F64];

/// Fails unless all elements differ by at most `steps` roundings of their type, relative to the larger of their size and
/// `scale`; NaN equals NaN. With 0 steps they have to be equal.
pub fn near(got: &Tensor, want: &Tensor, steps: f64, scale: f64, what: &str) {
    assert_eq!((got.dims(), got.dtype()), (want.dims(), want.dtype()), "{what}");
    let epsilon = match got.dtype() {
        DType::F16 => 2f64.powi(-10),
        DType::BF16 => 2f64.powi(-7),
        DType::F32 => 2f64.powi(-23),
        DType::F64 => 2f64.powi(-52),
        DType::I64 | DType::U8 => 0.0,
    };
    let (got, want) = (got.to_f64_vec().unwrap(), want.to_f64_vec().unwrap());
    for (i, (&g, &w)) in got.iter().zip(&want).enumerate() {
        let room = if steps == 0.0 { 0.0 } else { steps * epsilon * w.abs().max(scale) };
        let fits = g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= room;
        assert!(fits, "{what}: element {i} is {g}, the CPU says {w}");
    }
}

/// Fails unless all elements are equal, NaN to NaN.
pub fn equal(got: &Tensor, want: &Tensor, what: &str) {
    near(got, want, 0.0, 0.0, what);
}

/// Normal numbers (for integers, and everything else, small ones of both signs).
pub fn normal(dims: &[usize], dtype: DType, stream: u64) -> Tensor {
    let (wide, std) = (if dtype == DType::F64 { DType::F64 } else { DType::F32 }, 1.5);
    let spread = if dtype.is_float() { std } else { 40.0 };
    let drawn =
        Tensor::random(Distribution::Normal { mean: 0.0, std: spread }, dims, wide, Key::new(7, stream));
    drawn.unwrap().cast(dtype).unwrap()
}

/// Whole numbers in `0..below`.
pub fn whole(dims: &[usize], below: usize, dtype: DType, stream: u64) -> Tensor {
    let uniform = Distribution::Uniform { low: 0.0, high: below as f64 };
    let drawn = Tensor::random(uniform, dims, DType::F32, Key::new(8, stream)).unwrap();
    drawn.cast(DType::I64).unwrap().cast(dtype).unwrap()
}

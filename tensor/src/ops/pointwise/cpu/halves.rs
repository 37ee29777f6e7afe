//! Functions of the table on bf16 numbers: widened, computed and rounded in registers.

use half::bf16;

use super::super::table::{VisitBinary, VisitUnary};
use crate::{
    Result, Tensor,
    cpu::{
        dispatch::vectorized,
        stored::Stored,
        strided::{map1, map2},
    },
};

/// Runs a function of the table over a tensor.
pub(super) struct Over1<'a>(pub &'a Tensor);

impl VisitUnary<f32, Result<Tensor>> for Over1<'_> {
    fn visit(self, f: impl Fn(f32) -> f32 + Send + Sync + Copy) -> Result<Tensor> {
        map1::<bf16, bf16>(self.0, &move |x, y| each(x, y, f))
    }
}

/// Runs a function of the table over two tensors broadcast to the given dims.
pub(super) struct Over2<'a>(pub &'a [usize], pub &'a Tensor, pub &'a Tensor);

impl VisitBinary<f32, f32, Result<Tensor>> for Over2<'_> {
    fn visit(self, f: impl Fn(f32, f32) -> f32 + Send + Sync + Copy) -> Result<Tensor> {
        map2::<bf16, bf16, bf16>(self.0, self.1, self.2, &move |a, b, y| each_pair(a, b, y, f))
    }
}

/// A function of one number.
trait One: Fn(f32) -> f32 {}
impl<F: Fn(f32) -> f32> One for F {}

/// A function of two numbers.
trait Two: Fn(f32, f32) -> f32 {}
impl<F: Fn(f32, f32) -> f32> Two for F {}

vectorized! {
    fn each<F: One>(x: &[bf16], y: &mut [bf16], f: F) {
        for (x, y) in x.iter().zip(y) {
            *y = bf16::store(f(x.load()));
        }
    }

    fn each_pair<F: Two>(a: &[bf16], b: &[bf16], y: &mut [bf16], f: F) {
        for ((a, b), y) in a.iter().zip(b).zip(y) {
            *y = bf16::store(f(a.load(), b.load()));
        }
    }
}

//! Every operation against the CPU backend: types, odd sizes, operands row-major, channels-last and scattered.

mod conv;
mod movement;
mod pointwise;

use tensor::DType;

/// The types in which floats are computed.
pub const FLOATS: [DType; 4] = [DType::F32, DType::F64, DType::F16, DType::BF16];
/// All types.
pub const ALL: [DType; 6] = [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I64, DType::U8];

macro_rules! checks {
    ($($variant:ident $test:ident $check:path;)*) => {
        $(#[test] fn $test() { $check() })*

        #[test]
        fn every_operation_is_compared() {
            let compared = [$(stringify!($variant)),*];
            for variant in tensor::Op::VARIANTS {
                assert!(compared.contains(variant), "Op::{variant} is not compared: add it to this list");
            }
        }
    };
}

checks! {
    Full full movement::full;
    Arange arange movement::arange;
    Random random movement::random;
    Reshape reshape movement::reshape;
    Permute permute movement::permute;
    BroadcastTo broadcast_to movement::broadcast_to;
    Slice slice movement::slice;
    Cast cast movement::cast;
    Copy copy movement::copy;
    Unary unary pointwise::unary;
    Binary binary pointwise::binary;
    Compare compare pointwise::compare;
    Select select pointwise::select;
    MatMul matmul conv::matmul;
    Conv2d conv2d conv::conv2d;
    ConvTranspose2d conv_transpose2d conv::conv_transpose2d;
    Conv2dWeight conv2d_weight conv::conv2d_weight;
}

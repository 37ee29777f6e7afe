//! Every operation against the CPU backend: types, odd sizes, operands row-major, channels-last and scattered.

mod channels;
mod conv;
mod faults;
mod joins;
mod movement;
mod pointwise;
mod reductions;
mod updates;
mod windows;

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
    Unslice unslice joins::unslice;
    Cat cat joins::cat;
    ChannelShuffle channel_shuffle joins::channel_shuffle;
    Interleave interleave joins::interleave;
    Deinterleave deinterleave joins::deinterleave;
    Gather gather joins::gather;
    ScatterAdd scatter_add joins::scatter_add;
    Reduce reduce reductions::reduce;
    ArgReduce arg_reduce reductions::arg_reduce;
    Bincount bincount reductions::bincount;
    Histogram histogram reductions::histogram;
    MaxPool2d max_pool2d windows::max_pool2d;
    PoolGather pool_gather windows::pool_gather;
    MaxUnpool2d max_unpool2d windows::max_unpool2d;
    AvgPool2d avg_pool2d windows::avg_pool2d;
    AvgPool2dInput avg_pool2d_input windows::avg_pool2d_input;
    Resize2d resize2d windows::resize2d;
    Resize2dInput resize2d_input windows::resize2d_input;
    Softmax softmax channels::softmax;
    LogSoftmax log_softmax channels::log_softmax;
    BatchNorm batch_norm channels::batch_norm;
    BatchNormStats batch_norm_stats channels::batch_norm_stats;
    BatchNormApply batch_norm_apply channels::batch_norm_apply;
    BatchNormReduce batch_norm_reduce channels::batch_norm_reduce;
    BatchNormInput batch_norm_input channels::batch_norm_input;
    FocalLoss focal_loss channels::focal_loss;
    FocalLossInput focal_loss_input channels::focal_loss_input;
    Update update updates::update;
    SquareSum square_sum updates::square_sum;
}

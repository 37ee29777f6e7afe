//! Checks the derivatives of every operation: first and second, in 64 bits, every input used twice, in row-major,
//! channels-last and scattered memory, for drawn shapes, strides, paddings, dilations and groups. An operation
//! without a check fails `every_operation_is_checked`; a row of the pointwise table without one, its family's.

mod case;
mod draw;
mod image;
mod movement;
mod norm;
mod pointwise;

macro_rules! checks {
    ($($variant:ident $test:ident $check:path;)*) => {
        $(#[test] fn $test() { $check() })*

        #[test]
        fn every_operation_is_checked() {
            let checked = [$(stringify!($variant)),*];
            for variant in tensor::Op::VARIANTS {
                assert!(checked.contains(variant), "Op::{variant} has no check: add one to this list");
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
    Unslice unslice movement::unslice;
    Cast cast movement::cast;
    Copy copy movement::copy;
    Unary unary pointwise::unary;
    Binary binary pointwise::binary;
    Compare compare pointwise::compare;
    Select select pointwise::select;
    Reduce reduce movement::reduce;
    ArgReduce arg_reduce movement::arg_reduce;
    Bincount bincount movement::bincount;
    Histogram histogram movement::histogram;
    Cat cat movement::cat;
    Gather gather movement::gather;
    ScatterAdd scatter_add movement::scatter_add;
    MatMul matmul image::matmul;
    Conv2d conv2d image::conv2d;
    ConvTranspose2d conv_transpose2d image::conv_transpose2d;
    Conv2dWeight conv2d_weight image::conv2d_weight;
    MaxPool2d max_pool2d image::max_pool2d;
    PoolGather pool_gather image::pool_gather;
    MaxUnpool2d max_unpool2d image::max_unpool2d;
    AvgPool2d avg_pool2d image::avg_pool2d;
    AvgPool2dInput avg_pool2d_input image::avg_pool2d_input;
    Resize2d resize2d image::resize2d;
    Resize2dInput resize2d_input image::resize2d_input;
    Softmax softmax movement::softmax;
    LogSoftmax log_softmax movement::log_softmax;
    ChannelShuffle channel_shuffle movement::channel_shuffle;
    Interleave interleave movement::interleave;
    Deinterleave deinterleave movement::deinterleave;
    BatchNorm batch_norm norm::batch_norm;
    BatchNormStats batch_norm_stats norm::stats;
    BatchNormApply batch_norm_apply norm::apply;
    BatchNormReduce batch_norm_reduce norm::reduce;
    BatchNormInput batch_norm_input norm::input;
    FocalLoss focal_loss norm::focal_loss;
    FocalLossInput focal_loss_input norm::focal_loss_input;
}

//! The check of each operation.

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
    Full full crate::movement::full;
    Arange arange crate::movement::arange;
    Random random crate::movement::random;
    Reshape reshape crate::movement::reshape;
    Permute permute crate::movement::permute;
    BroadcastTo broadcast_to crate::movement::broadcast_to;
    Slice slice crate::movement::slice;
    Unslice unslice crate::movement::unslice;
    Cast cast crate::movement::cast;
    Copy copy crate::movement::copy;
    Unary unary crate::pointwise::unary;
    Binary binary crate::pointwise::binary;
    Compare compare crate::pointwise::compare;
    Select select crate::pointwise::select;
    Reduce reduce crate::movement::reduce;
    ArgReduce arg_reduce crate::movement::arg_reduce;
    Bincount bincount crate::movement::bincount;
    Histogram histogram crate::movement::histogram;
    Cat cat crate::movement::cat;
    Gather gather crate::movement::gather;
    ScatterAdd scatter_add crate::movement::scatter_add;
    MatMul matmul crate::image::matmul;
    Conv2d conv2d crate::image::conv2d;
    ConvTranspose2d conv_transpose2d crate::image::conv_transpose2d;
    Conv2dWeight conv2d_weight crate::image::conv2d_weight;
    MaxPool2d max_pool2d crate::image::max_pool2d;
    PoolGather pool_gather crate::image::pool_gather;
    MaxUnpool2d max_unpool2d crate::image::max_unpool2d;
    AvgPool2d avg_pool2d crate::image::avg_pool2d;
    AvgPool2dInput avg_pool2d_input crate::image::avg_pool2d_input;
    Resize2d resize2d crate::image::resize2d;
    Resize2dInput resize2d_input crate::image::resize2d_input;
    Softmax softmax crate::movement::softmax;
    LogSoftmax log_softmax crate::movement::log_softmax;
    ChannelShuffle channel_shuffle crate::movement::channel_shuffle;
    Interleave interleave crate::movement::interleave;
    Deinterleave deinterleave crate::movement::deinterleave;
    BatchNorm batch_norm crate::norm::batch_norm;
    BatchNormStats batch_norm_stats crate::norm::stats;
    BatchNormApply batch_norm_apply crate::norm::apply;
    BatchNormReduce batch_norm_reduce crate::norm::reduce;
    BatchNormInput batch_norm_input crate::norm::input;
    FocalLoss focal_loss crate::norm::focal_loss;
    FocalLossInput focal_loss_input crate::norm::focal_loss_input;
    Update update crate::movement::update;
    SquareSum square_sum crate::movement::square_sum;
}

//! Derivative rules, written in `Var`s. Three matches over the operations say which of them gradients pass, what
//! each one saves and which rule it has; the rules themselves lie in one file for each family. A rule returns
//! gradients of the result's size: the engine sums them down where an operand was broadcast, and puts them back
//! where a slice was taken.

mod linear;
mod loss;
mod movement;
mod norm;
mod pointwise;
mod pool;
mod reduce;
mod resize;
mod softmax;

use tensor::Op;

use crate::{Context, Result, Var};

/// Gradients of the operands, `None` where there is none.
type Gradients = Result<Vec<Option<Var>>>;

/// Which operands and results a rule wants to see, as bit masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Saves {
    pub inputs: u32,
    pub outputs: u32,
}

impl Saves {
    pub const NOTHING: Self = Self { inputs: 0, outputs: 0 };
    pub const EVERYTHING: Self = Self { inputs: u32::MAX, outputs: u32::MAX };

    /// Operands by mask.
    const fn inputs(inputs: u32) -> Self {
        Self { inputs, outputs: 0 }
    }

    /// Results by mask.
    const fn outputs(outputs: u32) -> Self {
        Self { inputs: 0, outputs }
    }
}

/// Whether gradients pass through `op` at all.
pub(crate) fn differentiable(op: &Op) -> bool {
    match op {
        Op::Full(_) | Op::Arange(_) | Op::Random(_) => false,
        Op::Compare(_) | Op::ArgReduce(_) | Op::Bincount(_) | Op::Histogram(_) => false,
        Op::Unary(f) => pointwise::differentiable(*f),
        Op::Cast(cast) => cast.dtype.is_float(),
        Op::Reshape(_) | Op::Permute(_) | Op::BroadcastTo(_) | Op::Slice(_) | Op::Unslice(_) => true,
        Op::Copy(_) | Op::Cat(_) | Op::Gather(_) | Op::ScatterAdd(_) | Op::ChannelShuffle(_) => true,
        Op::Interleave(_) | Op::Deinterleave(_) => true,
        Op::Binary(_) | Op::Select(_) | Op::Reduce(_) | Op::Softmax(_) | Op::LogSoftmax(_) => true,
        Op::MatMul(_) | Op::Conv2d(_) | Op::ConvTranspose2d(_) | Op::Conv2dWeight(_) => true,
        Op::MaxPool2d(_) | Op::PoolGather(_) | Op::MaxUnpool2d(_) => true,
        Op::AvgPool2d(_) | Op::AvgPool2dInput(_) | Op::Resize2d(_) | Op::Resize2dInput(_) => true,
        Op::BatchNorm(_) | Op::BatchNormStats(_) | Op::BatchNormApply(_) => true,
        Op::BatchNormReduce(_) | Op::BatchNormInput(_) => true,
        Op::FocalLoss(_) | Op::FocalLossInput(_) => true,
        Op::Update(_) | Op::SquareSum(_) => false,
    }
}

/// What the rule of `op` wants to see, given which operands want gradients: no more, because every value saved
/// here stays in memory until backward reaches it.
pub(crate) fn saves(op: &Op, needs: &[bool]) -> Saves {
    match op {
        Op::Full(_) | Op::Arange(_) | Op::Random(_) => Saves::NOTHING,
        Op::Compare(_) | Op::ArgReduce(_) | Op::Bincount(_) | Op::Histogram(_) => Saves::NOTHING,
        Op::Update(_) | Op::SquareSum(_) => Saves::NOTHING,
        Op::Reshape(_) | Op::Permute(_) | Op::BroadcastTo(_) | Op::Slice(_) | Op::Unslice(_) => {
            Saves::NOTHING
        }
        Op::Cast(_) | Op::Copy(_) | Op::Cat(_) | Op::ChannelShuffle(_) => Saves::NOTHING,
        Op::Interleave(_) | Op::Deinterleave(_) => Saves::NOTHING,
        Op::AvgPool2d(_) | Op::AvgPool2dInput(_) | Op::Resize2d(_) | Op::Resize2dInput(_) => Saves::NOTHING,
        Op::Unary(f) => pointwise::unary_saves(*f),
        Op::Binary(f) => pointwise::binary_saves(*f, needs),
        Op::Select(_) => Saves::inputs(0b001),
        Op::Reduce(reduce) => reduce::saves(reduce),
        Op::Gather(_) | Op::ScatterAdd(_) | Op::PoolGather(_) | Op::MaxUnpool2d(_) => Saves::inputs(0b10),
        Op::MatMul(_) | Op::Conv2d(_) | Op::ConvTranspose2d(_) | Op::Conv2dWeight(_) => {
            Saves::other_factor(needs)
        }
        Op::MaxPool2d(_) => Saves::outputs(0b10),
        Op::Softmax(_) | Op::LogSoftmax(_) => Saves::outputs(0b1),
        Op::BatchNorm(_) => Saves { inputs: 0b111, outputs: 0b110 },
        Op::BatchNormStats(_) => Saves { inputs: 0b1, outputs: 0b01 },
        Op::BatchNormApply(_) | Op::BatchNormReduce(_) | Op::BatchNormInput(_) => Saves::inputs(0xff),
        Op::FocalLoss(_) | Op::FocalLossInput(_) => Saves::inputs(0b1_1111),
    }
}

impl Saves {
    /// For products of operands 0 and 1: each one's gradient needs the other.
    fn other_factor(needs: &[bool]) -> Self {
        let wants = |i: usize| needs.get(i).copied().unwrap_or(false) as u32;
        Self::inputs(wants(1) | wants(0) << 1)
    }
}

/// The gradients of the operands of `op`.
pub(crate) fn backward(op: &Op, cx: &Context<'_>) -> Gradients {
    match op {
        Op::Full(_) | Op::Arange(_) | Op::Random(_) => Ok(vec![]),
        Op::Compare(_) | Op::ArgReduce(_) | Op::Bincount(_) | Op::Histogram(_) => Ok(vec![None; cx.inputs()]),
        Op::Update(_) | Op::SquareSum(_) => Ok(vec![None; cx.inputs()]),
        Op::Unary(f) => pointwise::unary(*f, cx),
        Op::Binary(f) => pointwise::binary(*f, cx),
        Op::Select(_) => pointwise::select(cx),
        Op::Reshape(_) => movement::reshape(cx),
        Op::Permute(permute) => movement::permute(permute, cx),
        Op::BroadcastTo(_) | Op::Slice(_) | Op::Copy(_) => movement::same(cx),
        Op::Unslice(unslice) => movement::unslice(unslice, cx),
        Op::Cast(_) => movement::cast(cx),
        Op::Cat(cat) => movement::cat(cat, cx),
        Op::Gather(gather) => movement::gather(gather, cx),
        Op::ScatterAdd(scatter) => movement::scatter_add(scatter, cx),
        Op::ChannelShuffle(shuffle) => movement::channel_shuffle(shuffle, cx),
        Op::Interleave(_) => movement::interleave(cx),
        Op::Deinterleave(_) => movement::deinterleave(cx),
        Op::Reduce(reduce) => reduce::reduce(reduce, cx),
        Op::MatMul(_) => linear::matmul(cx),
        Op::Conv2d(conv) => linear::conv2d(conv, cx),
        Op::ConvTranspose2d(conv) => linear::conv_transpose2d(conv, cx),
        Op::Conv2dWeight(conv) => linear::conv2d_weight(conv, cx),
        Op::MaxPool2d(pool) => pool::max_pool2d(pool, cx),
        Op::PoolGather(gather) => pool::pool_gather(gather, cx),
        Op::MaxUnpool2d(unpool) => pool::max_unpool2d(unpool, cx),
        Op::AvgPool2d(pool) => pool::avg_pool2d(pool, cx),
        Op::AvgPool2dInput(pool) => pool::avg_pool2d_input(pool, cx),
        Op::Resize2d(resize) => resize::resize2d(resize, cx),
        Op::Resize2dInput(resize) => resize::resize2d_input(resize, cx),
        Op::Softmax(softmax) => softmax::softmax(softmax, cx),
        Op::LogSoftmax(softmax) => softmax::log_softmax(softmax, cx),
        Op::BatchNorm(norm) => norm::batch_norm(norm, cx),
        Op::BatchNormStats(_) => norm::stats(cx),
        Op::BatchNormApply(norm) => norm::apply(norm, cx),
        Op::BatchNormReduce(norm) => norm::reduce(norm, cx),
        Op::BatchNormInput(norm) => norm::input(norm, cx),
        Op::FocalLoss(loss) => loss::focal_loss(loss, cx),
        Op::FocalLossInput(loss) => loss::focal_loss_input(loss, cx),
    }
}

/// The gradient of a single operand.
fn single(grad: Var) -> Gradients {
    Ok(vec![Some(grad)])
}

/// The gradient of operand `i`, computed only where somebody wants it.
fn wanted(cx: &Context<'_>, i: usize, grad: impl FnOnce() -> Result<Var>) -> Result<Option<Var>> {
    cx.needs(i).then(grad).transpose()
}

//! Operations on a GPU: which kernel or library call does each, in one file per group of `tensor::ops`.
//!
//! [`run`] matches over `Op` without a rest arm, so that an operation without a CUDA path is a compile error. A mapping is a
//! function of the [`Run`] (memory, kernels), the operation's parameters and its operands:
//!
//! ```text
//! pub fn cast(run: &Run, op: &Cast, x: &Tensor) -> Result<Tensor> {
//!     let format = x.layout().preferred_format();
//!     let x = run.dense(x, format)?;                          // operands dense, or anywhere with a `Walk`
//!     let y = run.empty(x.dims(), op.dtype, format)?;         // from the pool, under the operation's name
//!     let name = format!("cast_{}_{}", suffix(x.dtype()), suffix(op.dtype));
//!     run.kernel("cast", &name)?                              // kernels/cast.cu
//!         .over(y.len())                                      // or `.grid([..]).block([..])`
//!         .arg(address(&x)?).arg(address(&y)?)                // each argument in the C type of the kernel's parameter
//!         .arg(y.len() as i64)
//!         .run()?;
//!     Ok(y)
//! }
//! ```
//!
//! - An empty result returns before any launch.
//! - Memory of a kernel's own goes back to the pool when the function returns, which is safe: the pool serves one stream.
//! - `run.fault(..)` gives word and ticket to kernels that check values.
//! - Nothing here waits for the device, so that everything can be recorded in a graph.

mod batch_norm;
mod cast;
pub(crate) mod conv;
mod conv_own;
mod copy;
mod counting;
mod create;
mod focal_loss;
mod gather;
mod geometry;
mod interleave;
mod join;
pub(crate) mod matmul;
mod pointwise;
mod pool;
pub(crate) mod reduce;
mod resize;
mod run;
mod softmax;
mod update;
mod walk;

use tensor::{Meta, Op, Outputs, Tensor};

use crate::backend::one;
use crate::error::{Error, Result};
pub(crate) use run::{Run, address, suffix};
pub(crate) use walk::Walk;

/// Runs `op`, which is no view, on operands that its shape rule accepted; `outs` is what the rule returned.
pub(crate) fn run(run: &Run, op: &Op, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
    match op {
        Op::Full(op) => create::full(run, op).map(one),
        Op::Arange(op) => create::arange(run, op).map(one),
        Op::Random(op) => create::random(run, op).map(one),
        Op::Reshape(_) | Op::Permute(_) | Op::BroadcastTo(_) | Op::Slice(_) => {
            Err(Error::Unsupported { op: op.name(), what: "is a view and has no kernel".to_owned() })
        }
        Op::Cast(op) => cast::cast(run, op, ins[0]).map(one),
        Op::Copy(op) => copy::copy(run, op, ins[0]).map(one),
        Op::Unary(f) => pointwise::unary(run, f, ins[0]).map(one),
        Op::Binary(f) => pointwise::binary(run, *f, ins[0], ins[1], &outs[0]).map(one),
        Op::Compare(f) => pointwise::compare(run, *f, ins[0], ins[1], &outs[0]).map(one),
        Op::Select(op) => pointwise::select(run, op, [ins[0], ins[1], ins[2]], &outs[0]).map(one),
        Op::MatMul(_) => matmul::matmul(run, ins[0], ins[1], &outs[0]).map(one),
        Op::Conv2d(op) => conv::conv2d(run, op, ins, &outs[0]).map(one),
        Op::ConvTranspose2d(op) => conv::conv_transpose2d(run, op, ins, &outs[0]).map(one),
        Op::Conv2dWeight(op) => conv::conv2d_weight(run, op, ins[0], ins[1], &outs[0]).map(one),
        Op::Unslice(op) => join::unslice(run, op, ins[0]).map(one),
        Op::Cat(op) => join::cat(run, op, ins, &outs[0]).map(one),
        Op::ChannelShuffle(op) => join::channel_shuffle(run, op, ins[0]).map(one),
        Op::Interleave(_) => interleave::interleave(run, ins, &outs[0]).map(one),
        Op::Deinterleave(op) => interleave::deinterleave(run, op, ins, outs),
        Op::Gather(op) => gather::gather(run, op, ins[0], ins[1], &outs[0]).map(one),
        Op::ScatterAdd(op) => gather::scatter_add(run, op, ins[0], ins[1], &outs[0]).map(one),
        Op::Reduce(op) => reduce::reduce(run, op, ins[0], &outs[0]).map(one),
        Op::ArgReduce(op) => reduce::arg_reduce(run, op, ins[0], &outs[0]).map(one),
        Op::Bincount(op) => counting::bincount(run, op, ins[0], &outs[0]).map(one),
        Op::Histogram(op) => counting::histogram(run, op, ins[0], &outs[0]).map(one),
        Op::MaxPool2d(op) => pool::max_pool(run, op, ins[0], outs).map(Outputs::from),
        Op::PoolGather(op) => pool::pool_gather(run, op, ins[0], ins[1], &outs[0]).map(one),
        Op::MaxUnpool2d(op) => pool::max_unpool(run, op, ins[0], ins[1], &outs[0]).map(one),
        Op::AvgPool2d(op) => pool::avg_pool(run, op, ins[0], &outs[0]).map(one),
        Op::AvgPool2dInput(op) => pool::avg_pool_input(run, op, ins[0], &outs[0]).map(one),
        Op::Resize2d(op) => resize::resize(run, op, ins[0], &outs[0]).map(one),
        Op::Resize2dInput(op) => resize::resize_input(run, op, ins[0], &outs[0]).map(one),
        Op::Softmax(op) => softmax::softmax(run, ins[0], op.axis, false).map(one),
        Op::LogSoftmax(op) => softmax::softmax(run, ins[0], op.axis, true).map(one),
        Op::BatchNorm(op) => batch_norm::batch_norm(run, op, ins),
        Op::BatchNormStats(_) => batch_norm::stats(run, ins[0]),
        Op::BatchNormApply(op) => batch_norm::batch_norm_apply(run, op, ins).map(one),
        Op::BatchNormReduce(op) => batch_norm::batch_norm_reduce(run, op, ins),
        Op::BatchNormInput(op) => batch_norm::batch_norm_input(run, op, ins).map(one),
        Op::FocalLoss(op) => focal_loss::focal_loss(run, op, ins),
        Op::FocalLossInput(op) => focal_loss::focal_loss_input(run, op, ins).map(one),
        Op::Update(op) => update::update(run, op, ins, outs),
        Op::SquareSum(_) => update::square_sum(run, ins).map(one),
    }
}

/// Zeros into a tensor that nobody else has seen yet.
fn fill_zeros(run: &Run, t: &Tensor) -> Result<()> {
    run.exec.stream.fill(crate::buffer::CudaBuffer::of(t)?.memory(), 0)
}

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
//! - `run.fault()` gives word and ticket to kernels that check values.
//! - Nothing here waits for the device, so that everything can be recorded in a graph.

mod cast;
mod conv;
mod copy;
mod create;
mod matmul;
mod pointwise;
mod run;
mod walk;

use tensor::{Meta, Op, Outputs, Tensor};

use crate::backend::one;
use crate::error::{Error, Result};
pub(crate) use run::{Run, address, suffix};
pub(crate) use walk::Walk;

/// Runs `op`, which is no view, on operands that its shape rule accepted; `outs` is what the rule returned.
pub(crate) fn run(run: &Run, op: &Op, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
    let todo = || Err(Error::Unsupported { op: op.name(), what: "has no CUDA path yet".to_owned() });
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
        // Free: each with the kernels of its group.
        Op::Unslice(_) | Op::Cat(_) | Op::Gather(_) | Op::ScatterAdd(_) | Op::ChannelShuffle(_) => todo(),
        Op::Reduce(_) | Op::ArgReduce(_) | Op::Bincount(_) | Op::Histogram(_) => todo(),
        Op::MaxPool2d(_)
        | Op::PoolGather(_)
        | Op::MaxUnpool2d(_)
        | Op::AvgPool2d(_)
        | Op::AvgPool2dInput(_) => todo(),
        Op::Resize2d(_) | Op::Resize2dInput(_) | Op::Softmax(_) | Op::LogSoftmax(_) => todo(),
        Op::BatchNorm(_) | Op::BatchNormStats(_) | Op::BatchNormApply(_) => todo(),
        Op::BatchNormReduce(_) | Op::BatchNormInput(_) | Op::FocalLoss(_) | Op::FocalLossInput(_) => todo(),
    }
}

/// Zeros into a tensor that nobody else has seen yet.
fn fill_zeros(run: &Run, t: &Tensor) -> Result<()> {
    run.exec.stream.fill(crate::buffer::CudaBuffer::of(t)?.memory(), 0)
}

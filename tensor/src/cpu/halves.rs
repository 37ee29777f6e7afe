//! 16-bit floats: which operations have kernels for them, and the way through f32 of all others.

use smallvec::SmallVec;

use super::backend::kernel;
use crate::{DType, Meta, Op, Ops, Outputs, Result, Tensor, ops::Reduction};

/// Runs an operation with 16-bit floats among its operands or results.
pub(super) fn run(op: &Op, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
    let f16 = ins.iter().any(|x| x.dtype() == DType::F16) || outs.iter().any(|m| m.dtype == DType::F16);
    if moves_only(op) || !f16 && takes_bf16(op, ins) { kernel(op, ins, outs) } else { widened(op, ins, outs) }
}

/// Whether the kernel only makes, moves or converts elements, and so takes every element type.
fn moves_only(op: &Op) -> bool {
    match op {
        Op::Full(_) | Op::Arange(_) | Op::Reshape(_) | Op::Permute(_) | Op::BroadcastTo(_) | Op::Slice(_) => {
            true
        }
        Op::Unslice(_) | Op::Cast(_) | Op::Copy(_) | Op::Select(_) | Op::Cat(_) | Op::Gather(_) => true,
        Op::ChannelShuffle(_) | Op::Interleave(_) | Op::Deinterleave(_) | Op::Random(_) => true,
        Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Reduce(_) | Op::ArgReduce(_) => false,
        Op::Bincount(_) | Op::Histogram(_) | Op::ScatterAdd(_) | Op::MatMul(_) => false,
        Op::Conv2d(_) | Op::ConvTranspose2d(_) | Op::Conv2dWeight(_) => false,
        Op::MaxPool2d(_)
        | Op::PoolGather(_)
        | Op::MaxUnpool2d(_)
        | Op::AvgPool2d(_)
        | Op::AvgPool2dInput(_) => false,
        Op::Resize2d(_) | Op::Resize2dInput(_) | Op::Softmax(_) | Op::LogSoftmax(_) => false,
        Op::BatchNorm(_) | Op::BatchNormStats(_) | Op::BatchNormApply(_) => false,
        Op::BatchNormReduce(_) | Op::BatchNormInput(_) | Op::FocalLoss(_) | Op::FocalLossInput(_) => false,
        Op::Update(_) | Op::SquareSum(_) => false,
    }
}

/// Whether the kernel reads these bf16 operands as they are and writes bf16.
fn takes_bf16(op: &Op, ins: &[&Tensor]) -> bool {
    // Operands of which there are whole maps.
    let maps = |n: usize| ins.iter().take(n).all(|x| x.dtype() == DType::BF16);
    match op {
        Op::Unary(_) | Op::Binary(_) => maps(2),
        Op::Conv2d(op) => op.groups == 1 && maps(2),
        Op::ConvTranspose2d(op) => op.conv.groups == 1 && maps(2),
        Op::Conv2dWeight(op) => op.conv.groups == 1 && maps(2),
        Op::MaxPool2d(_) | Op::PoolGather(_) | Op::MaxUnpool2d(_) => maps(1),
        Op::AvgPool2d(_) | Op::AvgPool2dInput(_) => maps(1),
        Op::BatchNorm(_) | Op::BatchNormStats(_) | Op::BatchNormApply(_) => maps(1),
        Op::BatchNormReduce(_) | Op::BatchNormInput(_) => maps(2),
        Op::FocalLoss(_) | Op::FocalLossInput(_) => maps(1),
        Op::Reduce(op) => matches!(op.kind, Reduction::Sum | Reduction::Mean) && maps(1),
        Op::Full(_) | Op::Arange(_) | Op::Reshape(_) | Op::Permute(_) | Op::BroadcastTo(_) | Op::Slice(_) => {
            false
        }
        Op::Unslice(_) | Op::Cast(_) | Op::Copy(_) | Op::Select(_) | Op::Cat(_) | Op::Gather(_) => false,
        Op::ChannelShuffle(_) | Op::Interleave(_) | Op::Deinterleave(_) => false,
        Op::Random(_) | Op::Compare(_) | Op::ArgReduce(_) => false,
        Op::Bincount(_) | Op::Histogram(_) | Op::ScatterAdd(_) | Op::MatMul(_) => false,
        Op::Resize2d(_) | Op::Resize2dInput(_) | Op::Softmax(_) | Op::LogSoftmax(_) => false,
        Op::Update(_) | Op::SquareSum(_) => false,
    }
}

/// Runs an operation on halves in f32: operands widened, results rounded once at the end.
fn widened(op: &Op, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
    let ins: SmallVec<[Tensor; 4]> = ins.iter().map(|x| x.cast(x.dtype().wide())).collect::<Result<_>>()?;
    let wide_outs: SmallVec<[Meta; 2]> =
        outs.iter().map(|m| Meta::new(m.dims.clone(), m.dtype.wide())).collect();
    let results = kernel(op, &ins.iter().collect::<SmallVec<[&Tensor; 4]>>(), &wide_outs)?;
    results.into_iter().zip(outs).map(|(y, m)| y.cast(m.dtype)).collect()
}

//! The CPU as a backend: sends each operation to its kernel.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{CpuBuffer, plan::CpuPlan};
use crate::{Backend, Buffer, Error, Graph, Meta, Op, Ops, Outputs, Plan, Result, Tensor};

/// The CPU.
#[derive(Debug)]
pub struct CpuBackend;

impl Backend for CpuBackend {
    fn name(&self) -> &str {
        "cpu"
    }

    fn run(&self, op: &Op, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let half = ins.iter().any(|x| x.dtype().is_half()) || outs.iter().any(|m| m.dtype.is_half());
        if half && !moves_only(op) { widened(op, ins, outs) } else { kernel(op, ins, outs) }
    }

    fn upload(&self, bytes: &[u8]) -> Result<Arc<dyn Buffer>> {
        let mut buffer = CpuBuffer::new(bytes.len());
        buffer.as_mut_slice::<u8>().copy_from_slice(bytes);
        Ok(Arc::new(buffer))
    }

    fn download(&self, buffer: &dyn Buffer) -> Result<Vec<u8>> {
        let buffer = buffer.as_any().downcast_ref::<CpuBuffer>();
        let buffer =
            buffer.ok_or_else(|| Error::Device { device: "cpu".into(), what: "not a CPU buffer".into() })?;
        Ok(buffer.as_slice::<u8>().to_vec())
    }

    fn plan(&self, graph: &Graph) -> Result<Box<dyn Plan>> {
        Ok(Box::new(CpuPlan::new(graph)?))
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}

/// Whether the kernel only moves (or converts) elements, and so takes every element type.
fn moves_only(op: &Op) -> bool {
    match op {
        Op::Full(_) | Op::Arange(_) | Op::Reshape(_) | Op::Permute(_) | Op::BroadcastTo(_) | Op::Slice(_) => {
            true
        }
        Op::Unslice(_) | Op::Cast(_) | Op::Copy(_) | Op::Select(_) | Op::Cat(_) | Op::Gather(_) => true,
        Op::ChannelShuffle(_) | Op::Interleave(_) | Op::Deinterleave(_) => true,
        Op::Random(_) | Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Reduce(_) | Op::ArgReduce(_) => {
            false
        }
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
    }
}

/// Runs an operation on halves in f32: operands widened, results rounded once at the end.
fn widened(op: &Op, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
    let ins: SmallVec<[Tensor; 4]> = ins.iter().map(|x| x.cast(x.dtype().wide())).collect::<Result<_>>()?;
    let wide_outs: SmallVec<[Meta; 2]> =
        outs.iter().map(|m| Meta::new(m.dims.clone(), m.dtype.wide())).collect();
    let op = match op {
        Op::Random(r) => &Op::Random(crate::ops::Random { dtype: r.dtype.wide(), ..r.clone() }),
        other => other,
    };
    let results = kernel(op, &ins.iter().collect::<SmallVec<[&Tensor; 4]>>(), &wide_outs)?;
    results.into_iter().zip(outs).map(|(y, m)| y.cast(m.dtype)).collect()
}

fn kernel(op: &Op, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
    match op {
        Op::Full(op) => op.cpu(),
        Op::Arange(op) => op.cpu(),
        Op::Random(op) => op.cpu(),
        Op::Reshape(_) | Op::Permute(_) | Op::BroadcastTo(_) | Op::Slice(_) => {
            Err(Error::value(op.name(), "is a view and has no kernel"))
        }
        Op::Unslice(op) => op.cpu(ins),
        Op::Cast(op) => op.cpu(ins),
        Op::Copy(op) => op.cpu(ins),
        Op::Unary(op) => op.cpu(ins),
        Op::Binary(op) => op.cpu(ins, outs),
        Op::Compare(op) => op.cpu(ins, outs),
        Op::Select(op) => op.cpu(ins, outs),
        Op::Reduce(op) => op.cpu(ins, outs),
        Op::ArgReduce(op) => op.cpu(ins, outs),
        Op::Bincount(op) => op.cpu(ins),
        Op::Histogram(op) => op.cpu(ins),
        Op::Cat(op) => op.cpu(ins, outs),
        Op::Gather(op) => op.cpu(ins),
        Op::ScatterAdd(op) => op.cpu(ins, outs),
        Op::MatMul(op) => op.cpu(ins, outs),
        Op::Conv2d(op) => op.cpu(ins, outs),
        Op::ConvTranspose2d(op) => op.cpu(ins, outs),
        Op::Conv2dWeight(op) => op.cpu(ins, outs),
        Op::MaxPool2d(op) => op.cpu(ins, outs),
        Op::PoolGather(op) => op.cpu(ins, outs),
        Op::MaxUnpool2d(op) => op.cpu(ins, outs),
        Op::AvgPool2d(op) => op.cpu(ins, outs),
        Op::AvgPool2dInput(op) => op.cpu(ins, outs),
        Op::Resize2d(op) => op.cpu(ins, outs),
        Op::Resize2dInput(op) => op.cpu(ins, outs),
        Op::Softmax(op) => op.cpu(ins),
        Op::LogSoftmax(op) => op.cpu(ins),
        Op::ChannelShuffle(op) => op.cpu(ins),
        Op::Interleave(op) => op.cpu(ins, outs),
        Op::Deinterleave(op) => op.cpu(ins, outs),
        Op::BatchNorm(op) => op.cpu(ins, outs),
        Op::BatchNormStats(op) => op.cpu(ins, outs),
        Op::BatchNormApply(op) => op.cpu(ins),
        Op::BatchNormReduce(op) => op.cpu(ins, outs),
        Op::BatchNormInput(op) => op.cpu(ins),
        Op::FocalLoss(op) => op.cpu(ins),
        Op::FocalLossInput(op) => op.cpu(ins),
    }
}

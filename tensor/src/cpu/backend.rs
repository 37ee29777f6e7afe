//! The CPU as a backend: sends each operation to its kernel.

use std::sync::Arc;

use super::{CpuBuffer, halves, plan::CpuPlan};
use crate::{Backend, Buffer, Error, Graph, Meta, Op, Outputs, Plan, Result, Tensor};

/// The CPU.
#[derive(Debug)]
pub struct CpuBackend;

impl Backend for CpuBackend {
    fn name(&self) -> &str {
        "cpu"
    }

    fn run(&self, op: &Op, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let half = ins.iter().any(|x| x.dtype().is_half()) || outs.iter().any(|m| m.dtype.is_half());
        if half { halves::run(op, ins, outs) } else { kernel(op, ins, outs) }
    }

    fn upload(&self, bytes: &[u8]) -> Result<Arc<dyn Buffer>> {
        let mut buffer = CpuBuffer::new(bytes.len())?;
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

/// Runs the kernel of an operation on operands of types that it takes.
pub(super) fn kernel(op: &Op, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
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
        Op::Update(op) => op.cpu(ins, outs),
        Op::SquareSum(op) => op.cpu(ins),
    }
}

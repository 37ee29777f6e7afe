//! Where operations run. A [`Backend`] owns memory and kernels of one device; tensors carry their buffer,
//! the buffer knows its backend, and [`execute`] sends an operation there.

use std::{any::Any, fmt, sync::Arc};

use smallvec::SmallVec;

use crate::{
    Error, Format, Graph, Meta, Op, Plan, Result, Tensor, ops::Copy, profile::sampled, tensor::Outputs,
};

/// A device that holds tensors and runs operations on them.
pub trait Backend: fmt::Debug + Send + Sync {
    /// Name of the device: `cpu`, `cuda:0`.
    fn name(&self) -> &str;

    /// Runs `op`, which is no view, on operands that live here and that its shape rule accepted; `outs` is
    /// what the rule returned. Results are dense; which [`Format`] they have is the backend's choice.
    ///
    /// # Errors
    /// Where the device fails or a value (an index, a label) is out of range.
    fn run(&self, op: &Op, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>>;

    /// Copies host bytes (little-endian elements, row-major) into a new buffer.
    ///
    /// # Errors
    /// Where memory runs out.
    fn upload(&self, bytes: &[u8]) -> Result<Arc<dyn Buffer>>;

    /// Copies a whole buffer to the host.
    ///
    /// # Errors
    /// Where the device fails or the buffer is another device's.
    fn download(&self, buffer: &dyn Buffer) -> Result<Vec<u8>>;

    /// Makes a graph executable here.
    ///
    /// # Errors
    /// Where the graph has a step that the device can not run, or memory runs out.
    fn plan(&self, graph: &Graph) -> Result<Box<dyn Plan>>;

    /// Waits until everything that was started is done.
    ///
    /// # Errors
    /// Whatever failed since the last call, on devices that run asynchronously.
    fn synchronize(&self) -> Result<()>;
}

/// A handle on a backend.
pub type Device = Arc<dyn Backend>;

/// Memory of a device.
pub trait Buffer: fmt::Debug + Send + Sync {
    /// Size in bytes.
    fn bytes(&self) -> usize;

    /// The device.
    fn device(&self) -> Device;

    /// For the backend to find its own type again.
    fn as_any(&self) -> &dyn Any;

    /// The same, to write into memory that only the caller holds; `None` where a backend never does.
    fn as_any_mut(&mut self) -> Option<&mut dyn Any> {
        None
    }
}

/// Applies `op` to operands on one device.
///
/// # Errors
/// A broken shape rule, operands on different devices, or what the backend reports.
pub fn execute(op: &Op, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
    match ins.first() {
        Some(first) => execute_on(&first.device(), op, ins),
        None => execute_on(&crate::cpu::device(), op, ins),
    }
}

/// Applies `op` to operands that all live on `device`; operations without operands make their result there.
///
/// # Errors
/// A broken shape rule, operands on different devices, or what the backend reports.
pub fn execute_on(device: &Device, op: &Op, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
    let metas: SmallVec<[Meta; 4]> = ins.iter().map(|t| t.meta()).collect();
    let outs = op.infer(&metas)?;
    for x in ins {
        let other = x.device();
        if other.name() != device.name() {
            let (first, second) = (device.name().to_string(), other.name().to_string());
            return Err(Error::Devices { op: op.name(), first, second });
        }
    }
    if ins.iter().any(|x| !x.has_values()) {
        return Ok(outs.iter().map(|meta| Tensor::without_values(meta, device)).collect());
    }
    let view = match op {
        Op::Permute(p) => Some(ins[0].with_layout(ins[0].layout().permute(&p.axes))),
        Op::BroadcastTo(b) => Some(ins[0].with_layout(ins[0].layout().broadcast_to(&b.dims))),
        Op::Slice(s) => Some(ins[0].with_layout(s.view(ins[0].layout()))),
        Op::Reshape(r) => {
            let dense;
            let x = if ins[0].layout().reshape(&r.dims).is_some() {
                ins[0]
            } else {
                let copy = Op::Copy(Copy { format: Format::Contiguous });
                dense = sampled(&copy, ins, &metas, || device.run(&copy, ins, &metas))?;
                &dense[0]
            };
            x.layout().reshape(&r.dims).map(|layout| x.with_layout(layout))
        }
        _ => None,
    };
    match view {
        Some(tensor) => Ok(Outputs::from_iter([tensor])),
        None => sampled(op, ins, &outs, || device.run(op, ins, &outs)),
    }
}

//! What the mapping of an operation has at hand: memory for results, kernels, addresses of operands.

use std::sync::Arc;

use tensor::ops::Copy;
use tensor::{DType, Format, Layout, Tensor};

use crate::backend::CudaBackend;
use crate::buffer::CudaBuffer;
use crate::error::Result;
use crate::faults::Check;
use crate::gpu::Exec;
use crate::memory::Memory;
use crate::runtime::{Launch, Scalar, bytes_of};

/// One operation under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    pub exec: &'a Exec,
    device: &'a Arc<CudaBackend>,
    op: &'static str,
}

impl<'a> Run<'a> {
    /// `op` names the holder of new memory, and the culprit in errors.
    pub fn new(exec: &'a Exec, device: &'a Arc<CudaBackend>, op: &'static str) -> Self {
        Self { exec, device, op }
    }

    /// Name of the operation.
    pub fn op(&self) -> &'static str {
        self.op
    }

    /// A dense tensor with any content: a kernel must write all of it.
    pub fn empty(&self, dims: &[usize], dtype: DType, format: Format) -> Result<Tensor> {
        let layout = Layout::dense(dims, format);
        let memory = self.scratch(layout.len() * dtype.size())?;
        Ok(Tensor::from_parts(Arc::new(CudaBuffer::new(memory, self.device)), layout, dtype))
    }

    /// Memory for the time of this operation. It may be dropped as soon as the kernels that use it are launched.
    pub fn scratch(&self, bytes: usize) -> Result<Memory> {
        self.exec.pool.take(bytes, self.op)
    }

    /// Structs that a kernel reads from device memory, for the time of this operation.
    pub fn table<T: Scalar>(&self, values: &[T]) -> Result<Arc<Memory>> {
        let bytes = bytes_of(values);
        if let Some(kept) = self.exec.recording() {
            let memory = Arc::new(kept.upload(bytes, self.op)?);
            kept.table(&memory);
            return Ok(memory);
        }
        let memory = Arc::new(self.scratch(bytes.len())?);
        self.exec.stream.upload(bytes, &memory)?;
        Ok(memory)
    }

    /// Where random kernels read by how much their stream is shifted; 0: not at all.
    pub fn shift(&self) -> u64 {
        self.exec.recording().map_or(0, |kept| kept.shift())
    }

    /// The kernel `name` of `kernels/<group>.cu`, to be given a grid and arguments.
    pub fn kernel(&self, group: &'static str, name: &str) -> Result<Launch<'a>> {
        Ok(Launch::new(&self.exec.stream, self.exec.gpu.kernels.get(group, name)?, name))
    }

    /// `t` as a dense tensor in `format`; a cheap clone where it already is one.
    pub fn dense(&self, t: &Tensor, format: Format) -> Result<Tensor> {
        if t.layout().is_dense(format) {
            return Ok(t.clone());
        }
        super::copy::copy(self, &Copy { format }, t)
    }

    /// The same, at an address that libraries read 16 bytes at a time: views may start anywhere, and are copied then.
    pub fn aligned(&self, t: &Tensor, format: Format) -> Result<Tensor> {
        let t = self.dense(t, format)?;
        if address(&t)?.is_multiple_of(16) { Ok(t) } else { super::copy::copy(self, &Copy { format }, &t) }
    }

    /// Whether products of f32 may round their factors to TF32.
    pub fn tf32(&self) -> bool {
        self.exec.gpu.tf32.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Word and ticket for a kernel that checks the elements of a tensor of `dims`, which it counts in the order of
    /// `format`. The message about one will be `the SUBJECT at [place] RULE`.
    pub fn fault(&self, subject: &'static str, rule: String, dims: &[usize], format: Format) -> (u64, u32) {
        self.fault_of(Check { op: self.op, subject, rule, dims: dims.into(), format, beyond: None })
    }

    /// The same for any check.
    pub fn fault_of(&self, check: Check) -> (u64, u32) {
        match self.exec.recording() {
            Some(kept) => kept.ticket(check),
            None => self.exec.gpu.faults.ticket(check),
        }
    }
}

/// Device address of a tensor's first element.
pub(crate) fn address(t: &Tensor) -> Result<u64> {
    Ok(CudaBuffer::of(t)?.memory().address() + (t.layout().offset() * t.dtype().size()) as u64)
}

/// A dtype's name in the names of kernels.
pub(crate) fn suffix(dtype: DType) -> &'static str {
    match dtype {
        DType::F16 => "f16",
        DType::BF16 => "bf16",
        DType::F32 => "f32",
        DType::F64 => "f64",
        DType::I64 => "i64",
        DType::U8 => "u8",
    }
}

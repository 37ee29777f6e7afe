//! A tensor's memory on a GPU.

use std::any::Any;
use std::sync::Arc;

use tensor::{Buffer, Device, Tensor};

use crate::backend::CudaBackend;
use crate::error::{Error, Result};
use crate::memory::Memory;

/// Device memory with the device that it belongs to.
#[derive(Debug)]
pub struct CudaBuffer {
    memory: Memory,
    device: Arc<CudaBackend>,
}

impl CudaBuffer {
    pub(crate) fn new(memory: Memory, device: &Arc<CudaBackend>) -> Self {
        Self { memory, device: device.clone() }
    }

    /// The memory.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The buffer of a tensor that lives on a GPU.
    pub(crate) fn of(t: &Tensor) -> Result<&Self> {
        t.buffer().as_any().downcast_ref::<Self>().ok_or_else(|| {
            let what = if t.has_values() {
                "not a buffer of a GPU"
            } else {
                "a tensor of which only the shape is known has no values"
            };
            Error::Unusable(what.to_owned())
        })
    }
}

impl Buffer for CudaBuffer {
    fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

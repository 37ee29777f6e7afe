//! A tensor's memory on a GPU.

use std::any::Any;
use std::sync::Arc;

use tensor::{Buffer, Device, Tensor};

use crate::backend::CudaBackend;
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::runtime::Event;
use crate::staging::Free;

/// Device memory with the device that it belongs to.
#[derive(Debug)]
pub struct CudaBuffer {
    memory: Arc<Memory>,
    device: Arc<CudaBackend>,
    /// Where the memory goes instead of back to its pool.
    home: Option<Arc<Free>>,
}

impl CudaBuffer {
    pub(crate) fn new(memory: Memory, device: &Arc<CudaBackend>) -> Self {
        Self { memory: Arc::new(memory), device: device.clone(), home: None }
    }

    /// Memory of another stream's, that the device's stream uses until this is dropped.
    pub(crate) fn staged(memory: Arc<Memory>, device: &Arc<CudaBackend>, home: &Arc<Free>) -> Self {
        Self { memory, device: device.clone(), home: Some(home.clone()) }
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

impl Drop for CudaBuffer {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.give(&self.memory, Event::record(&self.device.exec().stream));
        }
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

//! Host values on their way to the device while it computes: through page-locked memory, on a stream of their own.
//!
//! Values are copied twice: by the calling thread into one of two page-locked buffers, and from there by the device, which
//! needs no host for that. Device memory comes back with a mark in the device's stream, made when the tensor goes: the next
//! copy into it waits for the mark, so that nobody's work is overwritten.

use std::sync::{Arc, Mutex, PoisonError};

use tensor::cpu::CpuBuffer;
use tensor::{Layout, Tensor};

use crate::backend::CudaBackend;
use crate::buffer::CudaBuffer;
use crate::error::{Error, Result};
use crate::gpu::Exec;
use crate::memory::Memory;
use crate::runtime::{Event, Pinned};

/// Copies to one device, two at a time.
#[derive(Debug)]
pub struct Staging {
    device: Arc<CudaBackend>,
    /// Stream and memory of the copies.
    exec: Exec,
    /// Page-locked buffers, each with the mark after the last copy from it; the older one first.
    buffers: [(Option<Pinned>, Option<Event>); 2],
    free: Arc<Free>,
}

/// Device memory that can be copied to once its mark is reached.
#[derive(Debug, Default)]
pub(crate) struct Free(Mutex<Vec<(Arc<Memory>, Option<Event>)>>);

impl Free {
    /// Takes memory back, with a mark after the work that may use it: without one it is of no use any more.
    pub fn give(&self, memory: &Arc<Memory>, mark: Result<Event>) {
        if let Ok(mark) = mark {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push((memory.clone(), Some(mark)));
        }
    }

    fn take(&self, bytes: usize, exec: &Exec) -> Result<(Arc<Memory>, Option<Event>)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(i) = all.iter().position(|(memory, _)| memory.bytes() == bytes) {
            return Ok(all.remove(i));
        }
        // Other sizes than before: what lies here is not needed again. Work may still use it, so that is waited for.
        for (_, mark) in all.drain(..) {
            mark.map_or(Ok(()), |mark| mark.synchronize())?;
        }
        Ok((Arc::new(exec.pool.take(bytes, "batches on their way")?), None))
    }
}

/// Values on their way.
#[derive(Debug)]
pub struct Staged {
    values: Vec<Tensor>,
    copied: Event,
    device: Arc<CudaBackend>,
}

impl CudaBackend {
    /// A way for batches to this device.
    ///
    /// # Errors
    /// Where the driver has no more streams.
    pub fn staging(&self) -> tensor::Result<Staging> {
        let made = self.shared().and_then(|device| {
            let exec = device.exec().apart()?;
            Ok(Staging { device, exec, buffers: Default::default(), free: Arc::default() })
        });
        made.map_err(|e| e.on(tensor::Backend::name(self)))
    }
}

impl Staging {
    /// Starts copying values of the CPU. Returns when they may be dropped; where two copies are under way, the older one is
    /// waited for.
    ///
    /// # Errors
    /// Where the device fails or its memory is full.
    pub fn stage(&mut self, values: &[&Tensor]) -> tensor::Result<Staged> {
        let name = tensor::Backend::name(&*self.device).to_owned();
        self.start(values).map_err(|e| e.on(&name))
    }

    fn start(&mut self, values: &[&Tensor]) -> Result<Staged> {
        let cpu = tensor::cpu::device();
        let dense = values.iter().map(|t| {
            let t = t.to_device(&cpu)?;
            t.to_format(t.layout().preferred_format())
        });
        let dense = dense.collect::<tensor::Result<Vec<_>>>()?;
        let bytes: usize = dense.iter().map(|t| t.len() * t.dtype().size()).sum();
        self.buffers.swap(0, 1);
        let (buffer, copied) = &mut self.buffers[1];
        if let Some(copied) = copied.take() {
            copied.synchronize()?;
        }
        if buffer.as_ref().is_none_or(|b| b.len() < bytes) {
            *buffer = None;
        }
        let buffer = match buffer {
            Some(buffer) => buffer,
            None => buffer.insert(Pinned::new(&self.exec.gpu.context, bytes)?),
        };
        let (mut at, mut staged) = (0, Vec::new());
        for t in &dense {
            let (start, len) = (t.layout().offset() * t.dtype().size(), t.len() * t.dtype().size());
            let host = t.buffer().as_any().downcast_ref::<CpuBuffer>();
            let host = host.ok_or_else(|| Error::Unusable("a batch without values".to_owned()))?;
            buffer[at..][..len].copy_from_slice(&host.as_slice::<u8>()[start..][..len]);
            let (memory, mark) = self.free.take(len, &self.exec)?;
            if let Some(mark) = mark {
                self.exec.stream.wait(&mark)?;
            }
            self.exec.stream.upload_pinned(buffer, at, &memory, len)?;
            let layout = Layout::dense(t.dims(), t.layout().preferred_format());
            let buffer = CudaBuffer::staged(memory, &self.device, &self.free);
            staged.push(Tensor::from_parts(Arc::new(buffer), layout, t.dtype()));
            at += len;
        }
        // One mark for whoever uses the values, one for whoever uses the buffer.
        self.buffers[1].1 = Some(Event::record(&self.exec.stream)?);
        let copied = Event::record(&self.exec.stream)?;
        Ok(Staged { values: staged, copied, device: self.device.clone() })
    }
}

impl Staged {
    /// The values; work that the device is given from here on waits for them, nobody else does.
    ///
    /// # Errors
    /// Where the device refuses.
    pub fn arrive(self) -> tensor::Result<Vec<Tensor>> {
        let waits = self.device.exec().stream.wait(&self.copied);
        waits.map_err(|e| e.on(tensor::Backend::name(&*self.device)))?;
        Ok(self.values)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The page-locked buffers must outlive the copies from them.
        let _ = self.exec.stream.synchronize();
    }
}

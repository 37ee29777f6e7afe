//! What recorded work needs for as long as it may be replayed: constants that were uploaded meanwhile, what its launches
//! check, and how far its random streams are shifted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tensor::Buffer;

use crate::error::Result;
use crate::faults::Check;
use crate::gpu::Gpu;
use crate::memory::{Memory, Pool};
use crate::runtime::Stream;

/// Held by the [`Exec`](crate::gpu::Exec) whose work is recorded.
#[derive(Debug)]
pub(crate) struct Kept {
    gpu: Arc<Gpu>,
    /// The device's own memory, and its stream: for what is not recorded. Memory of the recording's own would be written by
    /// each replay before the constant in it is read.
    outer: Arc<Pool>,
    shift: Memory,
    on: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    tickets: Vec<u32>,
    tables: Vec<Arc<Memory>>,
    buffers: Vec<Arc<dyn Buffer>>,
}

impl Kept {
    /// Nothing kept yet.
    pub fn new(gpu: &Arc<Gpu>, outer: &Arc<Pool>) -> Result<Self> {
        let shift = outer.take(8, "the shift of random streams")?;
        let (gpu, outer) = (gpu.clone(), outer.clone());
        let kept = Self { gpu, outer, shift, on: AtomicBool::new(false), held: Mutex::default() };
        kept.set_shift(kept.outer.stream(), 0)?;
        Ok(kept)
    }

    /// Whether work is being recorded right now.
    pub fn on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Runs `work` as work that is recorded.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.on.store(true, Ordering::Release);
        let result = work();
        self.on.store(false, Ordering::Release);
        result
    }

    /// Memory with these bytes, there before any replay, that no recorded work writes.
    pub fn upload(&self, bytes: &[u8], label: &str) -> Result<Memory> {
        let memory = self.outer.take(bytes.len(), label)?;
        self.outer.stream().upload(bytes, &memory)?;
        Ok(memory)
    }

    /// Keeps a table that a recorded launch reads.
    pub fn table(&self, memory: &Arc<Memory>) {
        self.lock().tables.push(memory.clone());
    }

    /// Keeps a constant.
    pub fn buffer(&self, buffer: &Arc<dyn Buffer>) {
        self.lock().buffers.push(buffer.clone());
    }

    /// Word and ticket for a recorded launch that checks values: the ticket is its own as long as the recording lives.
    pub fn ticket(&self, check: Check) -> (u64, u32) {
        let (word, ticket) = self.gpu.faults.keep(check);
        self.lock().tickets.push(ticket);
        (word, ticket)
    }

    /// Where random kernels read the shift.
    pub fn shift(&self) -> u64 {
        self.shift.address()
    }

    /// Sets the shift for work that comes after it on `stream`.
    pub fn set_shift(&self, stream: &Stream, shift: u64) -> Result<()> {
        stream.upload(&shift.to_le_bytes(), &self.shift)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let tickets = std::mem::take(&mut self.lock().tickets);
        self.gpu.faults.release(&tickets);
    }
}

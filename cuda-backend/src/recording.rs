//! Work that is recorded once and done again by one call: a whole training step.
//!
//! Values of tensors never change; a recording is the one place where memory is written twice. It reads *places*
//! ([`CudaBackend::place`]): tensors whose memory is nobody else's, which [`CudaBackend::overwrite`] gives new values between
//! two replays. What a replay computes lies in memory of the recording's own until [`Recording::accept`] copies it over the
//! places that hold the state. In between the host sees the outputs: where it does not like them, or something failed, the
//! state is as before.
//!
//! While a thread records, its operations go to a stream and a pool of the recording's, so that nobody else is handed the
//! addresses and nobody else's work is recorded. What it uploads meanwhile is a constant of the recording. Random values
//! come from the recorded streams plus the shift of the replay.

use std::sync::Arc;
use std::thread::ThreadId;

use tensor::{DType, Device, Layout, Tensor};

use crate::backend::CudaBackend;
use crate::buffer::CudaBuffer;
use crate::error::{Error, Result};
use crate::gpu::{Captured, Exec};
use crate::memory::Memory;
use crate::ops::{Run, address};
use crate::runtime::{Launch, Pinned, Scalar};

/// What recorded work leaves behind.
#[derive(Debug, Default)]
pub struct Recorded {
    /// Places, and the values that [`Recording::accept`] copies to them.
    pub state: Vec<(Tensor, Tensor)>,
    /// What the host wants to see of each replay: a few numbers.
    pub outputs: Vec<Tensor>,
}

/// The thread that records, and where its work goes.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub thread: ThreadId,
    pub exec: Exec,
}

/// Recorded work.
#[derive(Debug)]
pub struct Recording {
    graph: Captured,
    /// Places and new values, for the kernel that copies them.
    table: Arc<Memory>,
    pairs: u32,
    outputs: Vec<(Layout, DType, usize)>,
    host: Pinned,
    /// Keeps what the graph reads and writes.
    recorded: Recorded,
    inner: Exec,
    device: Arc<CudaBackend>,
}

/// `Pair` of `kernels/copy.cu`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Pair {
    from: u64,
    to: u64,
    bytes: i64,
}

// SAFETY: the struct of the kernel, of 8-byte fields without padding.
unsafe impl Scalar for Pair {}

impl CudaBackend {
    fn as_device(&self) -> tensor::Result<Device> {
        Ok(self.shared().map_err(|e| e.on(tensor::Backend::name(self)))?)
    }

    /// A copy of a value in memory of its own: for a recording to read, and [`CudaBackend::overwrite`] to write.
    ///
    /// # Errors
    /// Where memory runs out.
    pub fn place(&self, value: &Tensor) -> tensor::Result<Tensor> {
        let device = self.as_device()?;
        let value = value.to_device(&device)?;
        let format = value.layout().preferred_format();
        let place =
            self.run_named("place of a recording", |run| run.empty(value.dims(), value.dtype(), format))?;
        self.overwrite(&place, &value)?;
        Ok(place)
    }

    /// Gives a place another value, of the same dims and type. Everything that shares its memory sees it.
    ///
    /// # Errors
    /// Other dims or another type; where the device fails.
    pub fn overwrite(&self, place: &Tensor, value: &Tensor) -> tensor::Result<()> {
        let value = value.to_device(&self.as_device()?)?;
        self.run_named("overwrite", |run| {
            if place.meta() != value.meta() {
                let what = format!("a place of {} takes no {}", place.meta(), value.meta());
                return Err(Error::Unsupported { op: "overwrite", what });
            }
            let value = run.dense(&value, place.layout().preferred_format())?;
            run.exec.stream.copy(address(&value)?, address(place)?, place.len() * place.dtype().size())
        })
    }

    /// Records what `work` puts on this device, instead of doing it. Everything that `work` needs must have been done before,
    /// uncaptured: kernels loaded, algorithms of convolutions chosen. It must not read values on the host.
    ///
    /// # Errors
    /// What `work` returns; something that can not be recorded; memory that runs out. Nothing has changed then.
    pub fn record(&self, work: impl FnOnce() -> tensor::Result<Recorded>) -> tensor::Result<Recording> {
        // The recording has memory of its own: what earlier steps left in this device's pool must not lie idle beside it.
        self.release_cached_memory().map_err(|e| e.on(tensor::Backend::name(self)))?;
        self.record_here(work).map_err(|e| e.on(tensor::Backend::name(self)))
    }

    fn record_here(&self, work: impl FnOnce() -> tensor::Result<Recorded>) -> Result<Recording> {
        let device = self.shared()?;
        let inner = self.exec().apart()?;
        let _turn = self.begin_recording(&inner)?;
        let (mut recorded, mut host, mut outputs) = (Recorded::default(), None, Vec::new());
        let graph = inner.capture(|| {
            recorded = work()?;
            let run = Run::new(&inner, &device, "recording");
            for (place, value) in &mut recorded.state {
                if place.meta() != value.meta() {
                    let what = format!("a place of {} takes no {}", place.meta(), value.meta());
                    return Err(Error::Unsupported { op: "recording", what });
                }
                *value = run.dense(value, place.layout().preferred_format())?;
            }
            let mut at = 0;
            for t in &mut recorded.outputs {
                *t = run.dense(t, t.layout().preferred_format())?;
                outputs.push((t.layout().clone(), t.dtype(), at));
                at += t.len() * t.dtype().size();
            }
            let pinned = Pinned::new(&inner.gpu.context, at)?;
            for (t, (.., at)) in recorded.outputs.iter().zip(&outputs) {
                let memory = CudaBuffer::of(t)?.memory();
                let start = t.layout().offset() * t.dtype().size();
                inner.stream.download_later(memory, start, &pinned, *at, t.len() * t.dtype().size())?;
            }
            host = Some(pinned);
            Ok(())
        })?;
        // Values that are their own place have nothing to copy.
        let mut pairs = Vec::new();
        for (place, value) in &recorded.state {
            let (from, to) = (address(value)?, address(place)?);
            if from != to {
                pairs.push(Pair { from, to, bytes: (place.len() * place.dtype().size()) as i64 });
            }
        }
        let host = host.ok_or_else(|| Error::Unusable("nothing was recorded".to_owned()))?;
        let outer = Run::new(self.exec(), &device, "recording");
        let (table, pairs) = (outer.table(&pairs)?, pairs.len() as u32);
        Ok(Recording { graph, table, pairs, outputs, host, recorded, inner, device })
    }
}

impl Recording {
    /// Does the recorded work, and waits for it. Random values come from the recorded streams plus `shift`. Returns the
    /// outputs, on the CPU; the state is as before.
    ///
    /// # Errors
    /// Where the device fails, or a value (a label) is out of range.
    pub fn replay(&mut self, shift: u64) -> tensor::Result<Vec<Tensor>> {
        let outer = self.device.exec();
        let result = (|| {
            self.inner.shift(&outer.stream, shift)?;
            outer.gpu.faults.expect();
            self.graph.launch(&outer.stream)?;
            outer.stream.synchronize()?;
            outer.gpu.faults.check(&outer.stream)
        })();
        result.map_err(|e: Error| e.on(tensor::Backend::name(&*self.device)))?;
        let cpu = tensor::cpu::device();
        let read = |(layout, dtype, at): &(Layout, DType, usize)| {
            let bytes = &self.host[*at..][..layout.len() * dtype.size()];
            Ok(Tensor::from_parts(tensor::Backend::upload(&*cpu, bytes)?, layout.clone(), *dtype))
        };
        self.outputs.iter().map(read).collect()
    }

    /// Copies the new state of the last replay over the old.
    ///
    /// # Errors
    /// Where the device refuses; the state is then as before.
    pub fn accept(&mut self) -> tensor::Result<()> {
        if self.pairs == 0 {
            return Ok(());
        }
        let exec = self.device.exec();
        let copied = exec.gpu.kernels.get("copy", "copy_many").and_then(|function| {
            Launch::new(&exec.stream, function, "copy_many")
                .grid([16, self.pairs, 1])
                .arg(self.table.address())
                .run()
        });
        copied.map_err(|e| e.on(tensor::Backend::name(&*self.device)))
    }

    /// Bytes of device memory that the recording holds besides its places.
    pub fn bytes(&self) -> usize {
        self.inner.pool.stats().reserved
    }

    /// The places and values that it was given.
    pub fn places(&self) -> impl Iterator<Item = &Tensor> {
        self.recorded.state.iter().map(|(place, _)| place)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // Replays run on the device's stream, of which the recording's pool knows nothing.
        let _ = self.device.exec().stream.synchronize();
    }
}

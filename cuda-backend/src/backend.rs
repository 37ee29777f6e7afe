//! A GPU as a [`Backend`] of `tensor`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use smallvec::SmallVec;
use tensor::{Backend, Buffer, DType, Graph, Meta, Op, Outputs, Plan, Tensor};

use crate::buffer::CudaBuffer;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::gpu::Exec;
use crate::memory::{Pool, PoolStats};
use crate::ops::{self, Run};
use crate::plan::CudaPlan;
use crate::recording::Recorder;
use crate::runtime::Context;

/// One GPU.
#[derive(Debug)]
pub struct CudaBackend {
    name: String,
    exec: Exec,
    this: Weak<CudaBackend>,
    /// Whether plans compute in f16 (1) or bf16 (2) instead of f32.
    plans: AtomicU8,
    /// The thread that records, if one does.
    recorder: Mutex<Option<Recorder>>,
    /// Memory of recordings.
    recordings: Mutex<Vec<Weak<Pool>>>,
    /// The peak of its memory before the last recording.
    peak_before: AtomicUsize,
}

impl CudaBackend {
    /// Opens device number `ordinal` in `env`; every call opens it anew, with memory of its own ([`device`] shares one).
    ///
    /// # Errors
    /// Where the driver or the device is missing or does not work: each says what to do.
    pub fn open(env: &Environment, ordinal: usize) -> Result<Arc<Self>> {
        let exec = Exec::open(env, ordinal)?;
        Ok(Self::of(format!("cuda:{ordinal}"), exec))
    }

    fn of(name: String, exec: Exec) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            name,
            exec,
            this: this.clone(),
            plans: AtomicU8::new(0),
            recorder: Mutex::default(),
            recordings: Mutex::default(),
            peak_before: AtomicUsize::new(0),
        })
    }

    /// The same device with a stream and memory of its own.
    pub(crate) fn apart(&self) -> Result<Arc<Self>> {
        Ok(Self::of(self.name.clone(), self.exec.apart()?))
    }

    /// Its own stream and memory.
    pub(crate) fn exec(&self) -> &Exec {
        &self.exec
    }

    /// Where work of this thread goes: to a recording of its own, or to the device's stream.
    fn current(&self) -> Exec {
        self.recorder()
            .as_ref()
            .filter(|r| r.thread == thread::current().id())
            .map_or(&self.exec, |r| &r.exec)
            .clone()
    }

    fn recorder(&self) -> MutexGuard<'_, Option<Recorder>> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the work of this thread to `exec` until the result is dropped.
    pub(crate) fn begin_recording(&self, exec: &Exec) -> Result<EndRecording<'_>> {
        let mut recorder = self.recorder();
        if recorder.is_some() {
            return Err(Error::Unusable("another thread records a step on this device".to_owned()));
        }
        self.peak_before.store(self.memory().peak, Ordering::Relaxed);
        self.exec.pool.reset_peak();
        let mut recordings = self.recordings();
        recordings.retain(|pool| pool.strong_count() > 0);
        recordings.push(Arc::downgrade(&exec.pool));
        *recorder = Some(Recorder { thread: thread::current().id(), exec: exec.clone() });
        Ok(EndRecording(self))
    }

    /// Fails while this thread records.
    fn waits(&self, what: &str) -> Result<()> {
        match self.current().recording() {
            Some(_) => {
                Err(Error::Unusable(format!("{what} while a step is recorded: it can not be replayed")))
            }
            None => Ok(()),
        }
    }

    /// In which type plans made from now on compute: f32 (at first), f16 or bf16. Their inputs and outputs stay f32.
    ///
    /// # Errors
    /// For any other type.
    pub fn set_plan_dtype(&self, dtype: DType) -> Result<()> {
        let code = match dtype {
            DType::F32 => 0,
            DType::F16 => 1,
            DType::BF16 => 2,
            DType::F64 | DType::I64 | DType::U8 => {
                return Err(Error::Unsupported { op: "plan", what: format!("does not compute in {dtype}") });
            }
        };
        self.plans.store(code, Ordering::Relaxed);
        Ok(())
    }

    fn plan_dtype(&self) -> DType {
        match self.plans.load(Ordering::Relaxed) {
            1 => DType::F16,
            2 => DType::BF16,
            _ => DType::F32,
        }
    }

    /// Opens the libraries that one GPU needs, which otherwise happens at their first use.
    ///
    /// # Errors
    /// The first that is missing or unusable, with every place tried.
    pub fn open_libraries(&self) -> Result<()> {
        self.exec.gpu.context.libs.nvrtc()?;
        self.exec.gpu.blas()?;
        self.exec.gpu.dnn().map(drop)
    }

    /// The device.
    pub fn context(&self) -> &Arc<Context> {
        &self.exec.gpu.context
    }

    /// Account of its memory. All that a recording has counts as held as long as the recording lives.
    pub fn memory(&self) -> PoolStats {
        let mut sum = self.exec.pool.stats();
        for pool in self.recordings().iter().filter_map(Weak::upgrade) {
            let PoolStats { reserved, slabs, .. } = pool.stats();
            (sum.held, sum.peak) = (sum.held + reserved, sum.peak + reserved);
            (sum.reserved, sum.slabs) = (sum.reserved + reserved, sum.slabs + slabs);
        }
        sum.peak = sum.peak.max(self.peak_before.load(Ordering::Relaxed));
        sum
    }

    fn recordings(&self) -> MutexGuard<'_, Vec<Weak<Pool>>> {
        self.recordings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the peak of [`CudaBackend::memory`] start anew.
    pub fn reset_peak_memory(&self) {
        self.exec.pool.reset_peak();
        self.peak_before.store(0, Ordering::Relaxed);
    }

    /// Gives memory that no tensor holds back to the driver.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn release_cached_memory(&self) -> Result<()> {
        self.exec.pool.release()
    }

    /// Lets products and convolutions of f32 round their factors to TF32 (10 bits of fraction): several times faster on
    /// tensor cores, and visible in results. Off at first.
    pub fn set_tf32(&self, on: bool) {
        self.exec.gpu.tf32.store(on, Ordering::Relaxed);
    }

    pub(crate) fn shared(&self) -> Result<Arc<Self>> {
        self.this.upgrade().ok_or_else(|| Error::Unusable(format!("{} was closed", self.name)))
    }

    fn on<T>(&self, result: Result<T>) -> tensor::Result<T> {
        result.map_err(|e| e.on(&self.name))
    }

    /// Runs `work` with what an operation called `op` would have at hand.
    pub(crate) fn run_named<T>(
        &self,
        op: &'static str,
        work: impl FnOnce(&Run) -> Result<T>,
    ) -> tensor::Result<T> {
        self.on(self.shared().and_then(|device| work(&Run::new(&self.current(), &device, op))))
    }

    fn run_here(&self, op: &Op, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let device = self.shared()?;
        ops::run(&Run::new(&self.current(), &device, op.name()), op, ins, outs)
    }

    fn upload_here(&self, bytes: &[u8]) -> Result<Arc<dyn Buffer>> {
        let exec = self.current();
        let Some(kept) = exec.recording() else {
            let memory = exec.pool.take(bytes.len(), "upload")?;
            exec.stream.upload(bytes, &memory)?;
            return Ok(Arc::new(CudaBuffer::new(memory, &self.shared()?)));
        };
        let memory = kept.upload(bytes, "constant of a recording")?;
        let buffer: Arc<dyn Buffer> = Arc::new(CudaBuffer::new(memory, &self.shared()?));
        kept.buffer(&buffer);
        Ok(buffer)
    }

    fn download_here(&self, buffer: &dyn Buffer) -> Result<Vec<u8>> {
        self.waits("a value is read")?;
        let buffer = buffer.as_any().downcast_ref::<CudaBuffer>();
        let buffer = buffer.ok_or_else(|| Error::Unusable("not a buffer of a GPU".to_owned()))?;
        let mut bytes = vec![0; buffer.bytes()];
        self.exec.stream.download(buffer.memory(), 0, &mut bytes)?;
        self.exec.gpu.faults.check(&self.exec.stream)?;
        Ok(bytes)
    }
}

impl Backend for CudaBackend {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&self, op: &Op, ins: &[&Tensor], outs: &[Meta]) -> tensor::Result<Outputs<Tensor>> {
        self.on(self.run_here(op, ins, outs))
    }

    fn upload(&self, bytes: &[u8]) -> tensor::Result<Arc<dyn Buffer>> {
        self.on(self.upload_here(bytes))
    }

    fn download(&self, buffer: &dyn Buffer) -> tensor::Result<Vec<u8>> {
        self.on(self.download_here(buffer))
    }

    fn plan(&self, graph: &Graph) -> tensor::Result<Box<dyn Plan>> {
        let plan = self.shared().and_then(|this| CudaPlan::new(graph, &this, self.plan_dtype()));
        Ok(Box::new(self.on(plan)?))
    }

    fn synchronize(&self) -> tensor::Result<()> {
        let waited = self.waits("somebody waits").and_then(|()| self.exec.stream.synchronize());
        self.on(waited.and_then(|()| self.exec.gpu.faults.check(&self.exec.stream)))
    }
}

/// Ends what [`CudaBackend::begin_recording`] began.
#[derive(Debug)]
pub(crate) struct EndRecording<'a>(&'a CudaBackend);

impl Drop for EndRecording<'_> {
    fn drop(&mut self) {
        *self.0.recorder() = None;
    }
}

/// Device number `ordinal` of this process's environment. It is opened once and stays open: tensors of one device can be
/// used together wherever they were made.
///
/// # Errors
/// As [`CudaBackend::open`].
pub fn device(ordinal: usize) -> Result<Arc<CudaBackend>> {
    static OPEN: Mutex<BTreeMap<usize, Arc<CudaBackend>>> = Mutex::new(BTreeMap::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = open.get(&ordinal) {
        return Ok(device.clone());
    }
    let device = CudaBackend::open(&Environment::current(), ordinal)?;
    open.insert(ordinal, device.clone());
    Ok(device)
}

/// One result.
pub(crate) fn one(t: Tensor) -> Outputs<Tensor> {
    let mut outs = SmallVec::new();
    outs.push(t);
    outs
}

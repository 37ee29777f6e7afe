//! What all work on one device shares: the context, loaded kernels, the word in which kernels report faults.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use crate::blas::Blas;
use crate::dnn::Dnn;
use crate::environment::Environment;
use crate::error::Result;
use crate::faults::Faults;
use crate::kept::Kept;
use crate::memory::{KeptSlabs, Pool};
use crate::runtime::{CapturedGraph, Context, Kernels, Priority, Stream};

/// One device, ready for work.
#[derive(Debug)]
pub(crate) struct Gpu {
    pub context: Arc<Context>,
    pub kernels: Kernels,
    pub faults: Faults,
    /// Whether products of f32 may round their factors to TF32.
    pub tf32: AtomicBool,
    env: Environment,
    dnn: OnceLock<Result<Dnn>>,
    blas: OnceLock<Result<Blas>>,
}

impl Gpu {
    /// cuDNN, opened when first asked for.
    pub fn dnn(&self) -> Result<&Dnn> {
        self.dnn.get_or_init(|| Dnn::new(&self.context, &self.env)).as_ref().map_err(Clone::clone)
    }

    /// cuBLASLt, opened when first asked for.
    pub fn blas(&self) -> Result<&Blas> {
        self.blas.get_or_init(|| Blas::new(&self.context)).as_ref().map_err(Clone::clone)
    }
}

/// Recorded work. Its pool gives none of the memory that it names back to the driver as long as it lives, not even what no
/// tensor holds any more.
#[derive(Debug)]
pub(crate) struct Captured {
    /// Before the memory: fields are dropped in this order.
    graph: CapturedGraph,
    _slabs: KeptSlabs,
}

impl Captured {
    /// Does the recorded work on `stream`.
    ///
    /// # Errors
    /// Where the driver refuses.
    pub fn launch(&self, stream: &Stream) -> Result<()> {
        self.graph.launch(stream)
    }
}

/// A stream with the memory that its work uses.
#[derive(Debug, Clone)]
pub(crate) struct Exec {
    pub gpu: Arc<Gpu>,
    pub stream: Arc<Stream>,
    pub pool: Arc<Pool>,
    /// Where its work is made to be recorded.
    kept: Option<Arc<Kept>>,
}

impl Exec {
    /// Opens a device, with its compute stream.
    pub fn open(env: &Environment, ordinal: usize) -> Result<Self> {
        let context = Context::open(env, ordinal)?;
        let stream = Stream::new(&context, Priority::Normal)?;
        let pool = Pool::new(&stream);
        let faults = Faults::new(&pool)?;
        let kernels = Kernels::new(&context, env);
        let (tf32, env) = (AtomicBool::new(false), env.clone());
        let gpu = Gpu { context, kernels, faults, tf32, env, dnn: OnceLock::new(), blas: OnceLock::new() };
        Ok(Self { gpu: Arc::new(gpu), stream, pool, kept: None })
    }

    /// The same device with a stream and memory of its own: what a recorded graph uses must not be handed to anybody else,
    /// and what others put on their streams meanwhile must not be recorded.
    pub fn apart(&self) -> Result<Self> {
        let kept = Some(Arc::new(Kept::new(&self.gpu, &self.pool)?));
        let stream = Stream::new(&self.gpu.context, Priority::Normal)?;
        Ok(Self { gpu: self.gpu.clone(), pool: Pool::new(&stream), stream, kept })
    }

    /// Records what `work` puts on this stream, which was made apart.
    pub fn capture(&self, work: impl FnOnce() -> Result<()>) -> Result<Captured> {
        let slabs = self.pool.keep_slabs();
        let graph = match &self.kept {
            Some(kept) => self.stream.capture(|| kept.during(work)),
            None => self.stream.capture(work),
        };
        Ok(Captured { graph: graph?, _slabs: slabs })
    }

    /// What is kept for the recording that is under way, if one is.
    pub fn recording(&self) -> Option<&Arc<Kept>> {
        self.kept.as_ref().filter(|kept| kept.on())
    }

    /// Sets the shift of random streams in replays that come after it on `stream`.
    pub fn shift(&self, stream: &Stream, by: u64) -> Result<()> {
        self.kept.as_ref().map_or(Ok(()), |kept| kept.set_shift(stream, by))
    }
}

//! What all work on one device shares: the context, loaded kernels, the word in which kernels report faults.

use std::sync::Arc;

use crate::environment::Environment;
use crate::error::Result;
use crate::faults::Faults;
use crate::memory::Pool;
use crate::runtime::{Context, Kernels, Priority, Stream};

/// One device, ready for work.
#[derive(Debug)]
pub(crate) struct Gpu {
    pub context: Arc<Context>,
    pub kernels: Kernels,
    pub faults: Faults,
}

/// A stream with the memory that its work uses.
#[derive(Debug, Clone)]
pub(crate) struct Exec {
    pub gpu: Arc<Gpu>,
    pub stream: Arc<Stream>,
    pub pool: Arc<Pool>,
}

impl Exec {
    /// Opens a device, with its compute stream.
    pub fn open(env: &Environment, ordinal: usize) -> Result<Self> {
        let context = Context::open(env, ordinal)?;
        let stream = Stream::new(&context, Priority::Normal)?;
        let pool = Pool::new(&stream);
        let faults = Faults::new(&pool)?;
        let kernels = Kernels::new(&context, env);
        Ok(Self { gpu: Arc::new(Gpu { context, kernels, faults }), stream, pool })
    }

    /// The same stream with memory of its own: what a recorded graph uses must not be handed to anybody else.
    pub fn with_own_pool(&self) -> Self {
        Self { pool: Pool::new(&self.stream), ..self.clone() }
    }
}

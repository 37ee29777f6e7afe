//! Slabs from the driver, and pieces of them as owned values.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::sys;

use super::blocks::Blocks;
use super::full::Full;
use crate::error::{Error, Result};
use crate::ffi::abi::call;
use crate::runtime::Stream;

/// Requests up to this size share slabs of [`SMALL_SLAB`] bytes.
const SMALL: usize = 1 << 20;
const SMALL_SLAB: usize = 2 << 20;
/// Larger ones share slabs of this size, or get one of their own, rounded up to [`SMALL_SLAB`].
const SLAB: usize = 32 << 20;

/// Memory of one device for the work of one stream.
#[derive(Debug)]
pub struct Pool {
    stream: Arc<Stream>,
    /// How many graphs are recorded or being recorded whose work uses its memory.
    graphs: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    blocks: Blocks,
    peak: usize,
    slabs: usize,
}

/// Account of a pool, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStats {
    /// Held by tensors.
    pub held: usize,
    /// The most that was held at any time.
    pub peak: usize,
    /// Taken from the driver.
    pub reserved: usize,
    /// Number of slabs.
    pub slabs: usize,
}

impl Pool {
    /// An empty pool for `stream`.
    pub fn new(stream: &Arc<Stream>) -> Arc<Self> {
        Arc::new(Self { stream: stream.clone(), graphs: AtomicUsize::new(0), state: Mutex::default() })
    }

    /// Gives no slab back to the driver until the result is dropped: a recorded graph names addresses in them, those of pieces
    /// that were given back while it was recorded among them.
    pub(crate) fn keep_slabs(self: &Arc<Self>) -> KeptSlabs {
        self.graphs.fetch_add(1, Ordering::AcqRel);
        KeptSlabs(self.clone())
    }

    /// `bytes` of memory with any content for the operation `op`: with the module that runs ([`tensor::scope`]), it names the
    /// holder in messages.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], after everything cached was given back to the driver.
    pub fn take(self: &Arc<Self>, bytes: usize, op: &str) -> Result<Memory> {
        let len = Blocks::rounded(bytes);
        let label = tensor::scope::label(op);
        let mut state = self.lock();
        let found = match state.blocks.take(len, label) {
            Ok(address) => Ok(address),
            Err(label) => {
                self.grow(&mut state, len, &label)?;
                state.blocks.take(len, label)
            }
        };
        let address = match found {
            Ok(address) => address,
            Err(label) => return Err(Error::OutOfMemory(Box::new(self.full(&state, len, &label)))),
        };
        state.peak = state.peak.max(state.blocks.bytes().0);
        Ok(Memory { pool: self.clone(), address, bytes })
    }

    /// A slab in which `len` bytes fit.
    fn grow(&self, state: &mut State, len: usize, label: &str) -> Result<()> {
        let shared = if len <= SMALL { SMALL_SLAB } else { SLAB };
        // Where the device is nearly full, what is needed and no more may still fit.
        let exact = len.next_multiple_of(SMALL_SLAB);
        for size in [shared.max(exact), exact] {
            match self.allocate(size) {
                Ok(address) => {
                    state.blocks.add_slab(address, size);
                    state.slabs += 1;
                    return Ok(());
                }
                Err(e) if e.code() == Some(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY as i32) => {
                    self.release_cached(state)?;
                }
                Err(e) => return Err(e),
            }
        }
        match self.allocate(exact) {
            Ok(address) => {
                state.blocks.add_slab(address, exact);
                state.slabs += 1;
                Ok(())
            }
            Err(e) if e.code() == Some(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY as i32) => {
                Err(Error::OutOfMemory(Box::new(self.full(state, len, label))))
            }
            Err(e) => Err(e),
        }
    }

    fn allocate(&self, size: usize) -> Result<u64> {
        let context = self.stream.context();
        context.enter()?;
        // This thread may be recording work of another stream than this pool's.
        let _free_to = context.unrestricted()?;
        let mut address = 0;
        // SAFETY: writes one address, freed in `free`.
        let status = unsafe { call!(context.libs.driver(), sys::cuMemAlloc_v2(&mut address, size)) };
        context.check("cuMemAlloc_v2", status, "taking memory from the driver")?;
        Ok(address)
    }

    /// Gives slabs of which nothing is held back to the driver, unless recorded work uses the pool's memory.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn release(&self) -> Result<()> {
        self.release_cached(&mut self.lock())
    }

    fn release_cached(&self, state: &mut State) -> Result<()> {
        // What was given back is part of a recording; and while this thread records, waiting and freeing would spoil that.
        if self.graphs.load(Ordering::Acquire) > 0 || Stream::recording_here() {
            return Ok(());
        }
        let slabs = state.blocks.take_free_slabs();
        if slabs.is_empty() {
            return Ok(());
        }
        // The device may still work with pieces that were given back.
        let waited = self.stream.synchronize();
        state.slabs -= slabs.len();
        for (address, _) in slabs {
            self.free(address);
        }
        waited
    }

    fn free(&self, address: u64) {
        let context = self.stream.context();
        let _ = context.enter();
        let _free_to = context.unrestricted();
        // SAFETY: allocated in `allocate`, off the books, and no work of the stream uses it any more.
        unsafe { call!(context.libs.driver(), sys::cuMemFree_v2(address)) };
    }

    fn full(&self, state: &State, asked: usize, label: &str) -> Full {
        let (held, free) = state.blocks.bytes();
        let device = self.stream.context().memory_info().ok();
        let (largest, holders) = (state.blocks.largest_free(), state.blocks.holders());
        Full { label: label.to_owned(), asked, held, free, largest, device, holders }
    }

    /// The account.
    pub fn stats(&self) -> PoolStats {
        let state = self.lock();
        let (held, free) = state.blocks.bytes();
        PoolStats { held, peak: state.peak, reserved: held + free, slabs: state.slabs }
    }

    /// Lets the peak start anew from what is held now.
    pub fn reset_peak(&self) {
        let mut state = self.lock();
        state.peak = state.blocks.bytes().0;
    }

    /// The stream whose work it serves.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The books are consistent between any two statements that can panic: there are none.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let slabs = self.lock().blocks.take_free_slabs();
        // A stream that failed has no work left to wait for.
        let _ = self.stream.synchronize();
        slabs.into_iter().for_each(|(address, _)| self.free(address));
    }
}

/// See [`Pool::keep_slabs`].
#[derive(Debug)]
pub(crate) struct KeptSlabs(Arc<Pool>);

impl Drop for KeptSlabs {
    fn drop(&mut self) {
        self.0.graphs.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A piece of device memory, given back when dropped.
#[derive(Debug)]
pub struct Memory {
    pool: Arc<Pool>,
    address: u64,
    bytes: usize,
}

impl Memory {
    /// Where it starts on the device.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its size in bytes, as asked for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The pool that it came from.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.pool.lock().blocks.give(self.address);
    }
}

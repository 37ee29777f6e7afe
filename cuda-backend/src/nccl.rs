//! Sums and messages among GPUs, by NCCL, on a stream of their own beside the computation.
//!
//! A [`Communicator`] is one rank: one GPU, driven by one thread. Calls return at once; the sum is ready for the work that the
//! compute stream is given after [`Pending::wait`]. A call may nevertheless block on the host, where NCCL first connects ranks and
//! one does not come: [`Communicator::give_up`] ends that too.

use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cudarc::nccl::sys::{self, ncclDataType_t as Data};
use tensor::{DType, Format, Tensor};

use crate::backend::CudaBackend;
use crate::catalog::Library;
use crate::error::{Error, Result};
use crate::ffi::abi::call;
use crate::ops::{Run, address};
use crate::runtime::{Event, Priority, Stream};

/// The first NCCL that ends a communicator while another thread is in a call on it: 2.19.1, as it counts.
const ENDS_CALLS: c_int = 21_901;
/// How long a call may be under way before it counts as blocked.
const BLOCKED: Duration = Duration::from_secs(1);

/// What ranks share to find each other: made by one, handed to all.
#[derive(Debug, Clone, Copy)]
pub struct Id(sys::ncclUniqueId);

impl Id {
    /// A new group's id.
    ///
    /// # Errors
    /// No NCCL, or it finds no network interface.
    pub fn new(gpu: &CudaBackend) -> Result<Self> {
        let libs = &gpu.context().libs;
        // SAFETY: plain bytes.
        let mut id: sys::ncclUniqueId = unsafe { std::mem::zeroed() };
        // SAFETY: writes one id.
        let status = unsafe { call!(libs.nccl()?, sys::ncclGetUniqueId(&mut id)) };
        libs.check(Library::Nccl, "ncclGetUniqueId", status, "beginning a group of GPUs")?;
        Ok(Self(id))
    }

    /// Its length in bytes.
    pub const LEN: usize = 128;

    /// As bytes, to be handed to other ranks.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        self.0.internal.map(|c| c as u8)
    }

    /// From bytes; none where they are not [`Id::LEN`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; Self::LEN] = bytes.try_into().ok()?;
        Some(Self(sys::ncclUniqueId { internal: bytes.map(|b| b as std::ffi::c_char) }))
    }
}

/// One rank of a group of GPUs.
#[derive(Debug)]
pub struct Communicator {
    gpu: Arc<CudaBackend>,
    stream: Arc<Stream>,
    /// Held during a call: NCCL takes one at a time.
    calls: Mutex<()>,
    /// Held for a moment only, so that a blocked call does not keep it.
    state: Mutex<State>,
    /// Whether this NCCL may be told to end while a call is under way.
    ends_calls: bool,
    rank: usize,
    world: usize,
}

#[derive(Debug)]
struct State {
    /// None once the group was given up.
    raw: Option<Raw>,
    /// Since when a call is under way.
    call: Option<Instant>,
}

/// NCCL's handle.
#[derive(Debug, Clone, Copy)]
struct Raw(sys::ncclComm_t);

// SAFETY: NCCL takes a communicator from any thread, one at a time, which `calls` sees to; it is ended by whoever takes it out
// of the state, once no call is under way or where NCCL allows that.
unsafe impl Send for Raw {}

impl Communicator {
    /// Joins the group of `id` as `rank` of `world`. Returns when all ranks have come.
    ///
    /// # Errors
    /// No NCCL, or a rank that does not come.
    pub fn new(gpu: &Arc<CudaBackend>, id: Id, rank: usize, world: usize) -> Result<Self> {
        let context = gpu.context();
        let stream = Stream::new(context, Priority::High)?;
        let mut version = 0;
        // SAFETY: writes one int.
        let status = unsafe { call!(context.libs.nccl()?, sys::ncclGetVersion(&mut version)) };
        context.libs.check(Library::Nccl, "ncclGetVersion", status, "NCCL's version")?;
        let mut raw = std::ptr::null_mut();
        context.enter()?;
        // SAFETY: writes one handle, destroyed on drop.
        let status = unsafe {
            call!(context.libs.nccl()?, sys::ncclCommInitRank(&mut raw, world as c_int, id.0, rank as c_int))
        };
        let what = format!("joining {world} GPUs as rank {rank}");
        context.libs.check(Library::Nccl, "ncclCommInitRank", status, &what)?;
        let state = Mutex::new(State { raw: Some(Raw(raw)), call: None });
        let (gpu, calls, ends_calls) = (gpu.clone(), Mutex::default(), version >= ENDS_CALLS);
        Ok(Self { gpu, stream, calls, state, ends_calls, rank, world })
    }

    /// Which rank this is.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of ranks.
    pub fn world(&self) -> usize {
        self.world
    }

    /// Begins to sum `value` over the ranks.
    ///
    /// # Errors
    /// A type that NCCL does not sum, or a rank that was lost.
    pub fn all_reduce(&self, value: &Tensor) -> Result<Pending> {
        self.start("all_reduce", value, |raw, from, to, count, data, stream| {
            let sum = sys::ncclRedOp_t::ncclSum;
            // SAFETY: both sides hold `count` elements, and `Pending` keeps them until the stream is done with them.
            let status = unsafe {
                call!(
                    self.gpu.context().libs.nccl()?,
                    sys::ncclAllReduce(from, to, count, data, sum, raw.0, stream.cast())
                )
            };
            Ok(("ncclAllReduce", status))
        })
    }

    /// What the rank `root` brings as `value`; the others bring a tensor of the same dims and type.
    ///
    /// # Errors
    /// As [`Communicator::all_reduce`].
    pub fn broadcast(&self, value: &Tensor, root: usize) -> Result<Tensor> {
        let pending = self.start("broadcast", value, |raw, from, to, count, data, stream| {
            // SAFETY: as above.
            let status = unsafe {
                call!(
                    self.gpu.context().libs.nccl()?,
                    sys::ncclBroadcast(from, to, count, data, root as c_int, raw.0, stream.cast())
                )
            };
            Ok(("ncclBroadcast", status))
        })?;
        pending.wait()
    }

    fn start(
        &self,
        what: &'static str,
        value: &Tensor,
        call: impl FnOnce(
            Raw,
            *const c_void,
            *mut c_void,
            usize,
            Data,
            *mut c_void,
        ) -> Result<(&'static str, c_int)>,
    ) -> Result<Pending> {
        let data = match value.dtype() {
            DType::F16 => Data::ncclFloat16,
            DType::BF16 => Data::ncclBfloat16,
            DType::F32 => Data::ncclFloat32,
            DType::F64 => Data::ncclFloat64,
            DType::I64 => Data::ncclInt64,
            DType::U8 => {
                return Err(Error::Unsupported {
                    op: what,
                    what: "bytes are not summed; cast them first".to_owned(),
                });
            }
        };
        let run = Run::new(self.gpu.exec(), &self.gpu, what);
        let value = run.dense(value, Format::Contiguous)?;
        let result = run.empty(value.dims(), value.dtype(), Format::Contiguous)?;
        let compute = &self.gpu.exec().stream;
        // What was computed before is there; and whoever had the result's memory before is done with it.
        self.stream.wait(&Event::record(compute)?)?;
        self.gpu.context().enter()?;
        let (from, to) = (address(&value)? as *const c_void, address(&result)? as *mut c_void);
        let (name, status) = self.one_call(|comm| {
            self.health(comm)?;
            call(comm, from, to, value.len(), data, self.stream.raw().cast())
        })?;
        self.gpu.context().libs.check(Library::Nccl, name, status, what)?;
        let done = Event::record(&self.stream)?;
        Ok(Pending { compute: compute.clone(), done, _value: value, result })
    }

    /// Fails where a rank was lost since the last call.
    fn health(&self, raw: Raw) -> Result<()> {
        let mut status = 0_i32;
        let libs = &self.gpu.context().libs;
        // SAFETY: writes one status of four bytes.
        let asked =
            unsafe { call!(libs.nccl()?, sys::ncclCommGetAsyncError(raw.0, (&raw mut status).cast())) };
        libs.check(Library::Nccl, "ncclCommGetAsyncError", asked, "asking after the other GPUs")?;
        libs.check(Library::Nccl, "a collective call", status, "a rank was lost")
    }

    /// Makes a call of NCCL's, which may take long: it is known to be under way meanwhile.
    fn one_call<T>(&self, call: impl FnOnce(Raw) -> Result<T>) -> Result<T> {
        let given_up = || Error::Unusable("the group of GPUs was given up".to_owned());
        let _turn = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let raw = {
            let mut state = self.lock();
            let raw = state.raw.ok_or_else(given_up)?;
            state.call = Some(Instant::now());
            raw
        };
        let result = call(raw);
        let mut state = self.lock();
        state.call = None;
        // Ended meanwhile by `give_up`: whatever the call said, nothing comes of it.
        state.raw.map(|_| result).unwrap_or_else(|| Err(given_up()))
    }

    /// Ends the group from this side, from any thread: calls under way fail instead of waiting for the other GPUs, and later
    /// ones at once. False where a call is just being made: ask again. One that has not come back for a second is blocked, and
    /// ended too, by an NCCL that can do that (2.19.1 and newer).
    pub fn give_up(&self) -> bool {
        let raw = {
            let mut state = self.lock();
            if state.call.is_some_and(|since| !self.ends_calls || since.elapsed() < BLOCKED) {
                return false;
            }
            state.raw.take()
        };
        if let (Some(raw), Ok(table)) = (raw, self.gpu.context().libs.nccl()) {
            let _ = self.gpu.context().enter();
            // SAFETY: made in `new`, taken out: no call begins on it any more, and one under way is ended by this.
            unsafe { call!(table, sys::ncclCommAbort(raw.0)) };
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Communicator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.give_up();
        }
        let (Some(raw), Ok(table)) = (self.lock().raw.take(), self.gpu.context().libs.nccl()) else { return };
        let _ = self.gpu.context().enter();
        let _ = self.stream.synchronize();
        // SAFETY: made in `new`, taken out: not used again.
        unsafe { call!(table, sys::ncclCommDestroy(raw.0)) };
    }
}

/// A sum under way.
#[derive(Debug)]
pub struct Pending {
    compute: Arc<Stream>,
    done: Event,
    _value: Tensor,
    result: Tensor,
}

impl Pending {
    /// Lets later work of the compute stream wait for the sum, and returns it.
    ///
    /// # Errors
    /// Where the driver refuses.
    pub fn wait(self) -> Result<Tensor> {
        self.compute.wait(&self.done)?;
        Ok(self.result.clone())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // The memory goes back to the compute stream's pool, whose next user must not come before the sum is done.
        let _ = self.compute.wait(&self.done);
    }
}

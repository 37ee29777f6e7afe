//! Memory of the CPU: 64-byte aligned blocks from a caching pool.
//!
//! Fresh pages cost a fault each (several times the price of writing them), and a training step allocates the
//! same sizes over and over; so freed blocks are kept, by size class, and handed out again.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    any::Any,
    collections::HashMap,
    ptr::NonNull,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use crate::{Buffer, Device, Element};

/// Alignment of every block: a cache line, and the widest vector.
const ALIGN: usize = 64;

/// A block of memory. Its bytes are always initialised: zeros at first, old values when recycled.
#[derive(Debug)]
pub struct CpuBuffer {
    ptr: NonNull<u8>,
    bytes: usize,
    class: usize,
}

// SAFETY: the block is owned by this value alone; `&self` gives only shared access to plain bytes.
unsafe impl Send for CpuBuffer {}
// SAFETY: as above.
unsafe impl Sync for CpuBuffer {}

/// How much memory the pool holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Bytes in use by tensors.
    pub live: usize,
    /// Highest `live` since the start or the last [`reset_peak_memory`].
    pub peak: usize,
    /// Bytes kept for reuse.
    pub cached: usize,
    /// Blocks asked of the system since the start.
    pub system_allocations: usize,
}

#[derive(Default)]
struct Pool {
    free: HashMap<usize, Vec<NonNull<u8>>>,
    stats: MemoryStats,
}

// SAFETY: the pointers are to blocks that nobody else owns.
unsafe impl Send for Pool {}

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);

fn pool() -> MutexGuard<'static, Pool> {
    // A panic elsewhere can not leave the pool half-changed in a way that matters: only counters and lists.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The size of block that serves `bytes`: a power of two or one of three steps between, so that at most a
/// quarter is wasted.
fn class(bytes: usize) -> usize {
    let bytes = bytes.max(ALIGN);
    let step = (bytes.next_power_of_two() / 8).max(ALIGN);
    bytes.div_ceil(step) * step
}

fn system_layout(class: usize) -> Layout {
    Layout::from_size_align(class, ALIGN).unwrap_or_else(|_| Layout::new::<u64>())
}

/// Gives a block back to the system.
fn release(block: NonNull<u8>, class: usize) {
    // SAFETY: the block came from `alloc_zeroed` with this very layout.
    unsafe { dealloc(block.as_ptr(), system_layout(class)) }
}

impl CpuBuffer {
    /// A block of at least `bytes` bytes, with arbitrary (but initialised) content.
    ///
    /// Aborts, like every Rust allocation, where the system has no memory left.
    pub fn new(bytes: usize) -> Self {
        let class = class(bytes);
        let mut pool = pool();
        pool.stats.live += class;
        pool.stats.peak = pool.stats.peak.max(pool.stats.live);
        if let Some(ptr) = pool.free.get_mut(&class).and_then(Vec::pop) {
            pool.stats.cached -= class;
            return Self { ptr, bytes, class };
        }
        pool.stats.system_allocations += 1;
        drop(pool);
        let layout = system_layout(class);
        // SAFETY: the layout's size is at least `ALIGN`, never zero.
        let ptr = NonNull::new(unsafe { alloc_zeroed(layout) });
        Self { ptr: ptr.unwrap_or_else(|| handle_alloc_error(layout)), bytes, class }
    }

    /// The block as elements.
    pub fn as_slice<T: Element>(&self) -> &[T] {
        // SAFETY: aligned to 64, `bytes / size` elements long, initialised, and every bit pattern of an
        // `Element` is valid; `&self` rules out writers.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr().cast(), self.bytes / size_of::<T>()) }
    }

    /// The block as elements, to write.
    pub fn as_mut_slice<T: Element>(&mut self) -> &mut [T] {
        // SAFETY: as in `as_slice`; `&mut self` rules out other users.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr().cast(), self.bytes / size_of::<T>()) }
    }
}

impl Drop for CpuBuffer {
    fn drop(&mut self) {
        let mut pool = pool();
        pool.stats.live -= self.class;
        // More than the work ever needed at once is not worth keeping.
        if pool.stats.live + pool.stats.cached + self.class > pool.stats.peak {
            drop(pool);
            return release(self.ptr, self.class);
        }
        pool.stats.cached += self.class;
        pool.free.entry(self.class).or_default().push(self.ptr);
    }
}

impl Buffer for CpuBuffer {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn device(&self) -> Device {
        super::device()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// How much memory tensors on the CPU use now and used at most.
pub fn memory_stats() -> MemoryStats {
    pool().stats
}

/// Forgets the peak: it is the current use again.
pub fn reset_peak_memory() {
    let mut pool = pool();
    pool.stats.peak = pool.stats.live;
}

/// Gives all memory kept for reuse back to the system.
pub fn release_cached_memory() {
    let free = {
        let mut pool = pool();
        pool.stats.cached = 0;
        std::mem::take(&mut pool.free)
    };
    for (class, blocks) in free {
        blocks.into_iter().for_each(|block| release(block, class));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_at_most_a_quarter() {
        for bytes in [1, 64, 65, 1000, 4096, 5000, 1 << 20, (1 << 20) + 1] {
            let c = class(bytes);
            assert!(c >= bytes && (c <= bytes * 5 / 4 + ALIGN), "{bytes} → {c}");
            assert_eq!(class(c), c);
        }
    }

    #[test]
    fn blocks_are_aligned_and_writable() {
        let mut b = CpuBuffer::new(1000);
        b.as_mut_slice::<f64>().fill(1.5);
        assert_eq!(b.as_slice::<f64>().len(), 125);
        assert!(b.as_slice::<f64>().iter().all(|&v| v == 1.5));
        assert_eq!(b.as_slice::<u8>().as_ptr() as usize % ALIGN, 0);
    }
}

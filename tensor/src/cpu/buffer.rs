//! Memory of the CPU: 64-byte aligned blocks from a caching pool.
//!
//! Fresh pages cost a fault each (several times the price of writing them), and a training step allocates the
//! same sizes over and over; so freed blocks are kept, by size class, and handed out again. What has not been
//! used for longest goes back to the system first, so that sizes no longer in demand make room for others.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    any::Any,
    collections::{HashMap, VecDeque},
    ptr::NonNull,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use crate::{Buffer, Device, Element, Error, Result};

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
    /// Blocks kept for reuse, by class, with the time of their release; the oldest first.
    free: HashMap<usize, VecDeque<(NonNull<u8>, u64)>>,
    /// Blocks released so far: the clock.
    released: u64,
    /// Blocks given back to the system and not missed since, by class.
    given_back: HashMap<usize, usize>,
    /// Bytes of blocks that were given back and then missed: so much more is kept.
    missed: usize,
    stats: MemoryStats,
}

impl Pool {
    /// Takes the blocks that have not been used for longest out of the pool, until what is in use and what is
    /// kept together are hardly more than was ever in use at once. The caller gives them back to the system.
    fn trim(&mut self) -> Vec<(NonNull<u8>, usize)> {
        // Sizes in demand change in the course of a training step: with no slack at all, blocks would be given back and
        // asked for again in every step. How much it takes shows in what is missed.
        let slack = (self.stats.peak / 8).max(self.missed.min(self.stats.peak / 2));
        let limit = self.stats.peak + slack;
        let mut blocks = Vec::new();
        while self.stats.live + self.stats.cached > limit {
            let age =
                |(&class, free): (&usize, &VecDeque<(NonNull<u8>, u64)>)| Some((free.front()?.1, class));
            let Some((_, class)) = self.free.iter().filter_map(age).min() else { break };
            if let Some((ptr, _)) = self.free.get_mut(&class).and_then(VecDeque::pop_front) {
                self.stats.cached -= class;
                *self.given_back.entry(class).or_default() += 1;
                blocks.push((ptr, class));
            }
        }
        blocks
    }
}

// SAFETY: the pointers are to blocks that nobody else owns.
unsafe impl Send for Pool {}

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);

fn pool() -> MutexGuard<'static, Pool> {
    // A panic elsewhere can not leave the pool half-changed in a way that matters: only counters and lists.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The size of block that serves `bytes`: a power of two or one of three steps between, so that at most a
/// quarter is wasted. None for more than there are addresses.
fn class(bytes: usize) -> Option<usize> {
    let bytes = bytes.max(ALIGN);
    let step = (bytes.checked_next_power_of_two()? / 8).max(ALIGN);
    let class = bytes.div_ceil(step).checked_mul(step)?;
    Layout::from_size_align(class, ALIGN).is_ok().then_some(class)
}

fn system_layout(class: usize) -> Layout {
    let Ok(layout) = Layout::from_size_align(class, ALIGN) else {
        unreachable!("`class` makes no such size")
    };
    layout
}

fn full(bytes: usize) -> Error {
    let live = memory_stats().live;
    let what = format!("there is no memory for {bytes} more bytes, with {live} in use by tensors");
    Error::Memory { device: "cpu".into(), what }
}

/// Gives a block back to the system.
fn release(block: NonNull<u8>, class: usize) {
    // SAFETY: the block came from `alloc_zeroed` with this very layout.
    unsafe { dealloc(block.as_ptr(), system_layout(class)) }
}

impl CpuBuffer {
    /// A block of at least `bytes` bytes, with arbitrary (but initialised) content.
    ///
    /// # Errors
    /// Where the system has not so much memory left, even with all that was kept for reuse given back.
    pub fn new(bytes: usize) -> Result<Self> {
        let Some(class) = class(bytes) else { return Err(full(bytes)) };
        let mut pool = pool();
        let peak = pool.stats.peak;
        pool.stats.live += class;
        pool.stats.peak = peak.max(pool.stats.live);
        if let Some((ptr, _)) = pool.free.get_mut(&class).and_then(VecDeque::pop_back) {
            pool.stats.cached -= class;
            return Ok(Self { ptr, bytes, class });
        }
        pool.stats.system_allocations += 1;
        if let Some(blocks) = pool.given_back.get_mut(&class).filter(|blocks| **blocks > 0) {
            *blocks -= 1;
            pool.missed += class;
        }
        let unused = pool.trim();
        drop(pool);
        unused.into_iter().for_each(|(ptr, class)| release(ptr, class));
        // SAFETY: the layout's size is at least `ALIGN`, never zero.
        let ask = || NonNull::new(unsafe { alloc_zeroed(system_layout(class)) });
        let ptr = ask().or_else(|| {
            release_cached_memory();
            ask()
        });
        ptr.map(|ptr| Self { ptr, bytes, class }).ok_or_else(|| {
            let mut pool = self::pool();
            pool.stats.live -= class;
            pool.stats.peak = peak.max(pool.stats.live);
            drop(pool);
            full(bytes)
        })
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
        pool.stats.cached += self.class;
        pool.released += 1;
        let now = pool.released;
        pool.free.entry(self.class).or_default().push_back((self.ptr, now));
        let unused = pool.trim();
        drop(pool);
        unused.into_iter().for_each(|(ptr, class)| release(ptr, class));
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

    fn as_any_mut(&mut self) -> Option<&mut dyn Any> {
        Some(self)
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
    pool.missed = 0;
    pool.given_back.clear();
}

/// Gives all memory kept for reuse back to the system.
pub fn release_cached_memory() {
    let free = {
        let mut pool = pool();
        pool.stats.cached = 0;
        std::mem::take(&mut pool.free)
    };
    for (class, blocks) in free {
        blocks.into_iter().for_each(|(ptr, _)| release(ptr, class));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_at_most_a_quarter() {
        for bytes in [1, 64, 65, 1000, 4096, 5000, 1 << 20, (1 << 20) + 1] {
            let c = class(bytes).unwrap();
            assert!(c >= bytes && (c <= bytes * 5 / 4 + ALIGN), "{bytes} → {c}");
            assert_eq!(class(c), Some(c));
        }
    }

    /// What no system has is an error, and counts nowhere.
    #[test]
    fn too_much_is_an_error() {
        for bytes in [isize::MAX as usize - 200, isize::MAX as usize, usize::MAX - 7, usize::MAX] {
            let error = CpuBuffer::new(bytes).unwrap_err().to_string();
            assert!(error.contains(&format!("no memory for {bytes} more bytes")), "{error}");
        }
        assert!(memory_stats().peak < 1 << 60);
    }

    /// Blocks of sizes no longer asked for give way to those that are.
    #[test]
    fn old_blocks_make_room() {
        let mut pool = Pool::default();
        let block = |i: usize| NonNull::new((i * ALIGN) as *mut u8).expect("not null");
        pool.stats.peak = 800;
        pool.stats.cached = 1100;
        for (i, class) in [500, 300, 300].into_iter().enumerate() {
            pool.free.entry(class).or_default().push_back((block(i + 1), i as u64));
        }
        assert_eq!(pool.trim(), [(block(1), 500)]);
        assert_eq!(pool.stats.cached, 600);
        pool.stats.live = 500;
        assert_eq!(pool.trim(), [(block(2), 300)]);
        assert!(pool.trim().is_empty());
    }

    #[test]
    fn blocks_are_aligned_and_writable() {
        let mut b = CpuBuffer::new(1000).unwrap();
        b.as_mut_slice::<f64>().fill(1.5);
        assert_eq!(b.as_slice::<f64>().len(), 125);
        assert!(b.as_slice::<f64>().iter().all(|&v| v == 1.5));
        assert_eq!(b.as_slice::<u8>().as_ptr() as usize % ALIGN, 0);
    }
}

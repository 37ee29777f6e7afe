//! Cache-line-aligned scratch memory that is kept per thread, so that kernels allocate nothing once warm.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ptr::NonNull;

const ALIGN: usize = 64;

/// Owned memory aligned to a cache line (64 bytes): the home of packed weights and scratch.
pub struct AlignedBuffer {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the buffer owns its memory and has no interior mutability.
unsafe impl Send for AlignedBuffer {}
// SAFETY: as above; shared references only read.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// At least `bytes` bytes, all zero.
    fn new(bytes: usize) -> Self {
        let bytes = bytes.max(1).next_multiple_of(ALIGN);
        let layout = Self::layout(bytes);
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        // SAFETY: freshly allocated with this many bytes; zeroing makes every later view of plain numbers initialised.
        unsafe { start.write_bytes(0, bytes) };
        Self { start, bytes }
    }

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, ALIGN).expect("scratch size fits the address space")
    }

    /// The first `len` numbers of the buffer.
    fn as_mut<T: super::Scalar>(&mut self, len: usize) -> &mut [T] {
        assert!(len * size_of::<T>() <= self.bytes);
        // SAFETY: in bounds (checked), aligned to 64, initialised, and any bits are a valid f32 or f64.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), len) }
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with the same layout.
        unsafe { dealloc(self.start.as_ptr(), Self::layout(self.bytes)) }
    }
}

/// `len` numbers in aligned memory, zero at first.
pub struct AlignedVec<T> {
    buffer: AlignedBuffer,
    len: usize,
    marker: std::marker::PhantomData<T>,
}

impl<T: super::Scalar> AlignedVec<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Self { buffer: AlignedBuffer::new(len * size_of::<T>()), len, marker: std::marker::PhantomData }
    }

    /// `len` numbers of any values, in memory from this thread's pool.
    pub(crate) fn recycled(len: usize) -> Self {
        Self { buffer: take(len * size_of::<T>()), len, marker: std::marker::PhantomData }
    }

    /// Gives the memory to this thread's pool.
    pub(crate) fn recycle(self) {
        give_back(self.buffer);
    }
}

impl<T: super::Scalar> std::ops::Deref for AlignedVec<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: as in `AlignedBuffer::as_mut`, with `len` fixed at allocation.
        unsafe { std::slice::from_raw_parts(self.buffer.start.as_ptr().cast(), self.len) }
    }
}

impl<T: super::Scalar> std::ops::DerefMut for AlignedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.buffer.as_mut(self.len)
    }
}

thread_local! {
    static POOL: RefCell<Vec<AlignedBuffer>> = const { RefCell::new(Vec::new()) };
}

/// Buffers kept per thread: enough for the deepest nesting of kernels (a stolen task may run inside a waiting one).
const KEPT: usize = 8;

/// A buffer of at least `bytes` bytes: the smallest of this thread's pool that is large enough, or a new one.
fn take(bytes: usize) -> AlignedBuffer {
    let fitting = POOL.with_borrow_mut(|pool| {
        let fits = pool.iter().enumerate().filter(|(_, b)| b.bytes >= bytes).min_by_key(|(_, b)| b.bytes);
        fits.map(|(i, _)| i).map(|i| pool.swap_remove(i))
    });
    fitting.unwrap_or_else(|| AlignedBuffer::new(bytes))
}

/// Puts a buffer into this thread's pool, which keeps the largest ones.
fn give_back(buffer: AlignedBuffer) {
    POOL.with_borrow_mut(|pool| {
        pool.push(buffer);
        if pool.len() > KEPT {
            let smallest = (0..pool.len()).min_by_key(|&i| pool[i].bytes).expect("the pool is not empty");
            pool.swap_remove(smallest);
        }
    });
}

/// Runs `f` with `len` numbers of scratch from this thread's pool. Their values are whatever the last user left.
pub fn with_scratch<T: super::Scalar, R>(len: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    let mut buffer = take(len * size_of::<T>());
    let result = f(buffer.as_mut(len));
    give_back(buffer);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_is_aligned_and_nests() {
        with_scratch::<f32, _>(100, |a| {
            with_scratch::<f64, _>(50, |b| {
                a.fill(1.0);
                b.fill(2.0);
                assert_eq!(a.as_ptr() as usize % ALIGN, 0);
                assert_eq!(b.as_ptr() as usize % ALIGN, 0);
                assert!(a.iter().all(|&v| v == 1.0));
            });
        });
    }

    #[test]
    fn aligned_vec_starts_at_zero() {
        let v = AlignedVec::<f64>::zeros(17);
        assert_eq!(v.len(), 17);
        assert!(v.iter().all(|&x| x == 0.0));
    }
}

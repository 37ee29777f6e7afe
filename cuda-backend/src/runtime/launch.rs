//! Launching a kernel: grid, block and arguments, each with its C type.

use std::ffi::c_void;

use cudarc::driver::sys;

use super::{Function, Stream};
use crate::error::Result;
use crate::ffi::abi::call;

/// A value that may be passed to a kernel.
///
/// # Safety
/// The type must have the same layout as the C type of the kernel's parameter, without padding that matters, and must not
/// need to be dropped.
pub(crate) unsafe trait Scalar: Copy + 'static {}

macro_rules! scalars {
    ($($t:ty)*) => {$(
        // SAFETY: the same type in C and Rust.
        unsafe impl Scalar for $t {}
    )*};
}
scalars! { u8 u16 i32 u32 i64 u64 f32 f64 }

/// The bytes of values, as a kernel reads them from device memory.
pub(crate) fn bytes_of<T: Scalar>(values: &[T]) -> &[u8] {
    // SAFETY: the values' own memory; they have no padding that matters (`Scalar`), and bytes need no alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Threads of a block, as kernels are compiled for.
pub(crate) const BLOCK: u32 = 256;

/// A kernel with its arguments, ready to run.
#[derive(Debug)]
#[must_use = "a launch does nothing before `run`"]
pub(crate) struct Launch<'a> {
    stream: &'a Stream,
    function: Function,
    name: String,
    grid: [u32; 3],
    block: [u32; 3],
    /// Each argument starts at a multiple of 16 bytes.
    bytes: Vec<u128>,
    starts: Vec<usize>,
}

impl<'a> Launch<'a> {
    /// One block of [`BLOCK`] threads until told otherwise.
    pub fn new(stream: &'a Stream, function: Function, name: &str) -> Self {
        let (grid, block) = ([1; 3], [BLOCK, 1, 1]);
        Self { stream, function, name: name.to_owned(), grid, block, bytes: Vec::new(), starts: Vec::new() }
    }

    /// As many blocks as give each of `n` elements a thread, but no more than keep the whole device busy a few times
    /// over: kernels walk over the rest (`FOR_GRID`).
    pub fn over(mut self, n: usize) -> Self {
        let most = self.stream.context().processors() as usize * 32;
        self.grid = [n.div_ceil(BLOCK as usize).clamp(1, most.max(1)) as u32, 1, 1];
        self
    }

    /// Number of blocks along each axis.
    pub fn grid(mut self, grid: [u32; 3]) -> Self {
        self.grid = grid;
        self
    }

    /// Number of threads of a block along each axis.
    pub fn block(mut self, block: [u32; 3]) -> Self {
        self.block = block;
        self
    }

    /// The next argument.
    pub fn arg<T: Scalar>(mut self, value: T) -> Self {
        const { assert!(align_of::<T>() <= 16) };
        let start = self.bytes.len();
        self.bytes.resize(start + size_of::<T>().div_ceil(16), 0);
        self.starts.push(start);
        // SAFETY: room for `T` was just made, at an address that is a multiple of 16.
        unsafe { self.bytes.as_mut_ptr().add(start).cast::<T>().write(value) };
        self
    }

    /// Puts it on the stream.
    ///
    /// That arguments are those of the kernel in number, order and type, that addresses among them are of live device
    /// memory and that the kernel stays within it is the promise of the mappings in [`crate::ops`], the only callers; tests
    /// run each of them on the host shim under AddressSanitizer.
    ///
    /// # Errors
    /// Where the driver refuses; what fails while it runs is reported by a later call that waits.
    pub fn run(mut self) -> Result<()> {
        let context = self.stream.context();
        context.enter()?;
        let base = self.bytes.as_mut_ptr();
        // SAFETY: every start lies within `bytes`.
        let mut pointers: Vec<*mut c_void> =
            self.starts.iter().map(|&s| unsafe { base.add(s) }.cast()).collect();
        let ([gx, gy, gz], [bx, by, bz]) = (self.grid, self.block);
        let (raw, none) = (self.stream.raw(), std::ptr::null_mut());
        // SAFETY: the arguments are copied before the call returns; that they fit the kernel is promised above.
        let status = unsafe {
            call!(
                context.libs.driver(),
                sys::cuLaunchKernel(
                    self.function.0,
                    gx,
                    gy,
                    gz,
                    bx,
                    by,
                    bz,
                    0,
                    raw,
                    pointers.as_mut_ptr(),
                    none
                )
            )
        };
        if status == 0 {
            return Ok(());
        }
        context.check("cuLaunchKernel", status, &format!("the kernel {}", self.name))
    }
}

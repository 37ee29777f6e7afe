//! Matrix products by cuBLASLt, in strided batches.

mod owned;

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::cublaslt::sys::{self, cublasComputeType_t as Compute, cudaDataType_t as Data};
use tensor::DType;

use crate::catalog::Library;
use crate::error::{Error, Result};
use crate::ffi::abi::call;
use crate::gpu::Exec;
use crate::runtime::Context;
use owned::{MatmulDesc, MatrixLayout, Preference};

/// The most memory that an algorithm may use, in bytes.
const WORKSPACE: usize = 32 << 20;
/// Status of a problem that cuBLASLt has no algorithm for (`CUBLAS_STATUS_NOT_SUPPORTED`).
const NOT_SUPPORTED: c_int = 15;
/// The largest alignment that algorithms ask for, in bytes: log₂. cuBLASLt takes it for granted unless told otherwise.
const ALIGNMENT: u32 = 8;

/// cuBLASLt on one device.
#[derive(Debug)]
pub(crate) struct Blas {
    context: Arc<Context>,
    handle: Mutex<Handle>,
}

#[derive(Debug)]
struct Handle(sys::cublasLtHandle_t);

// SAFETY: cuBLASLt's handle may be used from every thread; the lock makes it one at a time all the same.
unsafe impl Send for Handle {}

/// One row-major operand of a batch: `[batch][rows][columns]`, or with rows and columns exchanged in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix {
    pub address: u64,
    pub rows: usize,
    pub columns: usize,
    /// Whether columns, not rows, lie one behind the other in memory.
    pub transposed: bool,
    /// Elements from one row (column, where transposed) to the next.
    pub pitch: usize,
    /// Elements from one matrix of the batch to the next; 0 repeats it.
    pub stride: usize,
}

impl Matrix {
    /// The power of two that divides the address of each matrix of the batch: views start anywhere in their memory.
    fn alignment(&self, batch: usize, dtype: DType) -> u32 {
        let step = if batch > 1 { (self.stride * dtype.size()) as u64 } else { 0 };
        1 << (self.address | step).trailing_zeros().min(ALIGNMENT)
    }
}

/// What follows a product in the same call: `relu(a · b + residual + bias)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epilogue {
    /// Address of one value for each column, a multiple of 16: nothing tells cuBLASLt otherwise.
    pub bias: u64,
    /// Address of a matrix like the result, where one is added.
    pub residual: Option<u64>,
    /// Clamp below at zero.
    pub relu: bool,
}

/// `y = a · b` for each of `batch` matrices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    pub a: Matrix,
    pub b: Matrix,
    pub y: Matrix,
    pub batch: usize,
    pub dtype: DType,
    /// Whether f32 factors may be rounded to TF32.
    pub tf32: bool,
    pub epilogue: Option<Epilogue>,
}

impl Blas {
    /// Opens cuBLASLt.
    pub fn new(context: &Arc<Context>) -> Result<Self> {
        let table = context.libs.cublas_lt()?;
        context.enter()?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: writes one handle, destroyed on drop.
        let status = unsafe { call!(table, sys::cublasLtCreate(&mut handle)) };
        context.libs.check(Library::CublasLt, "cublasLtCreate", status, "starting cuBLASLt")?;
        Ok(Self { context: context.clone(), handle: Mutex::new(Handle(handle)) })
    }

    /// Puts a product on the stream.
    ///
    /// # Errors
    /// Where cuBLASLt has no way to do it ([`Error::Unsupported`]), or fails.
    pub fn run(&self, exec: &Exec, product: &Product) -> Result<()> {
        let Product { a, b, y, batch, dtype, tf32, epilogue } = *product;
        let what = format!(
            "a product of {}x{} by {}x{}, {batch} times, in {dtype}",
            a.rows, a.columns, b.rows, b.columns
        );
        let check =
            |call, status: c_int| if status == 0 { Ok(()) } else { Err(self.failed(call, status, &what)) };
        let (data, compute, scale) = types(dtype, tf32)?;
        let table = self.context.libs.cublas_lt()?;
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        self.context.enter()?;
        // cuBLASLt is column-major: a row-major matrix is the transpose of what it sees, and yᵀ = bᵀ · aᵀ.
        let desc = MatmulDesc::new(table, compute, scale, [b.transposed, a.transposed])
            .map_err(|(c, s)| self.failed(c, s, &what))?;
        if let Some(epilogue) = epilogue {
            desc.set_epilogue(epilogue).map_err(|(c, s)| self.failed(c, s, &what))?;
        }
        let layout = |m: &Matrix| {
            let (fast, slow) = if m.transposed { (m.rows, m.columns) } else { (m.columns, m.rows) };
            MatrixLayout::new(table, data, [fast, slow, m.pitch], batch, m.stride)
                .map_err(|(c, s)| self.failed(c, s, &what))
        };
        let (first, second, result) = (layout(&b)?, layout(&a)?, layout(&y)?);
        let residual = epilogue.and_then(|e| e.residual);
        let summand = Matrix { address: residual.unwrap_or(y.address), ..y };
        let alignments = [b, a, summand, y].map(|m| m.alignment(batch, dtype));
        let preference =
            Preference::new(table, WORKSPACE, alignments).map_err(|(c, s)| self.failed(c, s, &what))?;
        let mut found = MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::zeroed();
        let mut count = 0;
        // SAFETY: all handles are alive; one answer is asked for and fits.
        let status = unsafe {
            call!(
                table,
                sys::cublasLtMatmulAlgoGetHeuristic(
                    handle.0,
                    desc.raw,
                    first.raw,
                    second.raw,
                    result.raw,
                    result.raw,
                    preference.raw,
                    1,
                    found.as_mut_ptr(),
                    &mut count
                )
            )
        };
        check("cublasLtMatmulAlgoGetHeuristic", status)?;
        if count < 1 {
            return Err(self.failed("cublasLtMatmulAlgoGetHeuristic", NOT_SUPPORTED, &what));
        }
        // SAFETY: zeroed, then written by the call; read as a plain number.
        let workspace = unsafe { (&raw const (*found.as_ptr()).workspaceSize).read() };
        let scratch = exec.pool.take(workspace, "workspace of products")?;
        let one = if dtype == DType::F64 { 1.0_f64.to_bits() } else { u64::from(1.0_f32.to_bits()) };
        let factors = [one, if residual.is_some() { one } else { 0 }];
        let (one, add) = ((&raw const factors[0]).cast::<c_void>(), (&raw const factors[1]).cast::<c_void>());
        // SAFETY: layouts say the sizes of the memory behind the addresses; the workspace is not reused before this is done.
        let status = unsafe {
            let algo = &raw const (*found.as_ptr()).algo;
            call!(
                table,
                sys::cublasLtMatmul(
                    handle.0,
                    desc.raw,
                    one,
                    b.address as *const c_void,
                    first.raw,
                    a.address as *const c_void,
                    second.raw,
                    add,
                    summand.address as *const c_void,
                    result.raw,
                    y.address as *mut c_void,
                    result.raw,
                    algo,
                    scratch.address() as *mut c_void,
                    workspace,
                    exec.stream.raw().cast()
                )
            )
        };
        check("cublasLtMatmul", status)
    }

    fn failed(&self, call: &'static str, status: c_int, what: &str) -> Error {
        if status == NOT_SUPPORTED {
            return Error::Unsupported {
                op: "matmul",
                what: format!("cuBLASLt has no algorithm for {what} ({call})"),
            };
        }
        match self.context.libs.check(Library::CublasLt, call, status, what) {
            Err(e) => e,
            Ok(()) => Error::Unusable(format!("{what}: {call} failed without a code")),
        }
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        let _ = self.context.enter();
        let handle = self.handle.get_mut().unwrap_or_else(PoisonError::into_inner).0;
        if let Ok(table) = self.context.libs.cublas_lt() {
            // SAFETY: made in `new`.
            unsafe { call!(table, sys::cublasLtDestroy(handle)) };
        }
    }
}

/// Types of the data, of the sums, and of the factors.
fn types(dtype: DType, tf32: bool) -> Result<(Data, Compute, Data)> {
    Ok(match dtype {
        DType::F16 => (Data::CUDA_R_16F, Compute::CUBLAS_COMPUTE_32F, Data::CUDA_R_32F),
        DType::BF16 => (Data::CUDA_R_16BF, Compute::CUBLAS_COMPUTE_32F, Data::CUDA_R_32F),
        DType::F32 if tf32 => (Data::CUDA_R_32F, Compute::CUBLAS_COMPUTE_32F_FAST_TF32, Data::CUDA_R_32F),
        DType::F32 => (Data::CUDA_R_32F, Compute::CUBLAS_COMPUTE_32F, Data::CUDA_R_32F),
        DType::F64 => (Data::CUDA_R_64F, Compute::CUBLAS_COMPUTE_64F, Data::CUDA_R_64F),
        DType::I64 | DType::U8 => {
            return Err(Error::Unsupported { op: "matmul", what: format!("takes floats, not {dtype}") });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_of_a_batch_holds_for_each_of_its_matrices() {
        let matrix =
            |address, stride| Matrix { address, rows: 3, columns: 5, transposed: false, pitch: 5, stride };
        let alignment = |address, stride, batch| matrix(address, stride).alignment(batch, DType::F32);
        assert_eq!(alignment(0x1000, 15, 1), 256, "no more than anybody asks for");
        assert_eq!(alignment(0x1000, 15, 2), 4, "the second one starts 60 bytes later");
        assert_eq!(alignment(0x1000, 0, 7), 256, "one that is repeated");
        assert_eq!(alignment(0x1010, 64, 2), 16);
        assert_eq!(matrix(0x1002, 0).alignment(1, DType::F16), 2);
    }
}

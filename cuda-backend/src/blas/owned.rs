//! cuBLASLt's descriptors, owned. Constructors return the failing call and its status.

use std::ffi::c_int;

use cudarc::cublaslt::sys::{self, cublasComputeType_t, cudaDataType_t};

use crate::ffi::{abi::call, table::CublasLtTable};

type Failed = (&'static str, c_int);

fn check(call: &'static str, status: c_int) -> Result<(), Failed> {
    if status == 0 { Ok(()) } else { Err((call, status)) }
}

/// What is computed.
pub(super) struct MatmulDesc<'a> {
    table: &'a CublasLtTable,
    pub raw: sys::cublasLtMatmulDesc_t,
}

impl<'a> MatmulDesc<'a> {
    /// With the first and second operand transposed where said.
    pub fn new(
        table: &'a CublasLtTable,
        compute: cublasComputeType_t,
        scale: cudaDataType_t,
        transposed: [bool; 2],
    ) -> Result<Self, Failed> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: writes one handle, destroyed on drop.
        check("cublasLtMatmulDescCreate", unsafe {
            call!(table, sys::cublasLtMatmulDescCreate(&mut raw, compute, scale))
        })?;
        let desc = Self { table, raw };
        use sys::cublasLtMatmulDescAttributes_t::{CUBLASLT_MATMUL_DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSB};
        for (which, on) in
            [(CUBLASLT_MATMUL_DESC_TRANSA, transposed[0]), (CUBLASLT_MATMUL_DESC_TRANSB, transposed[1])]
        {
            let value = i32::from(on);
            // SAFETY: reads four bytes.
            let status = unsafe {
                call!(table, sys::cublasLtMatmulDescSetAttribute(raw, which, (&raw const value).cast(), 4))
            };
            check("cublasLtMatmulDescSetAttribute", status)?;
        }
        Ok(desc)
    }

    /// With bias and ReLU after the product.
    pub fn set_epilogue(&self, epilogue: super::Epilogue) -> Result<(), Failed> {
        use sys::cublasLtEpilogue_t::{CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_RELU_BIAS};
        use sys::cublasLtMatmulDescAttributes_t::{
            CUBLASLT_MATMUL_DESC_BIAS_POINTER, CUBLASLT_MATMUL_DESC_EPILOGUE,
        };
        let kind = if epilogue.relu { CUBLASLT_EPILOGUE_RELU_BIAS } else { CUBLASLT_EPILOGUE_BIAS };
        // SAFETY: reads four bytes.
        let status = unsafe {
            let which = CUBLASLT_MATMUL_DESC_EPILOGUE;
            call!(
                self.table,
                sys::cublasLtMatmulDescSetAttribute(self.raw, which, (&raw const kind).cast(), 4)
            )
        };
        check("cublasLtMatmulDescSetAttribute", status)?;
        // SAFETY: reads the eight bytes of an address.
        let status = unsafe {
            let (which, bias) = (CUBLASLT_MATMUL_DESC_BIAS_POINTER, &raw const epilogue.bias);
            call!(self.table, sys::cublasLtMatmulDescSetAttribute(self.raw, which, bias.cast(), 8))
        };
        check("cublasLtMatmulDescSetAttribute", status)
    }
}

impl Drop for MatmulDesc<'_> {
    fn drop(&mut self) {
        // SAFETY: made in `new`.
        unsafe { call!(self.table, sys::cublasLtMatmulDescDestroy(self.raw)) };
    }
}

/// Sizes of one operand.
pub(super) struct MatrixLayout<'a> {
    table: &'a CublasLtTable,
    pub raw: sys::cublasLtMatrixLayout_t,
}

impl<'a> MatrixLayout<'a> {
    /// Column-major: elements of a column, number of columns, elements from one column to the next.
    pub fn new(
        table: &'a CublasLtTable,
        data: cudaDataType_t,
        [rows, columns, pitch]: [usize; 3],
        batch: usize,
        stride: usize,
    ) -> Result<Self, Failed> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: writes one handle, destroyed on drop.
        let status = unsafe {
            call!(
                table,
                sys::cublasLtMatrixLayoutCreate(&mut raw, data, rows as u64, columns as u64, pitch as i64)
            )
        };
        check("cublasLtMatrixLayoutCreate", status)?;
        let layout = Self { table, raw };
        use sys::cublasLtMatrixLayoutAttribute_t::{
            CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
        };
        let (count, offset) = (batch as i32, stride as i64);
        // SAFETY: reads four bytes.
        let status = unsafe {
            let which = CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT;
            call!(table, sys::cublasLtMatrixLayoutSetAttribute(raw, which, (&raw const count).cast(), 4))
        };
        check("cublasLtMatrixLayoutSetAttribute", status)?;
        // SAFETY: reads eight bytes.
        let status = unsafe {
            let which = CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET;
            call!(table, sys::cublasLtMatrixLayoutSetAttribute(raw, which, (&raw const offset).cast(), 8))
        };
        check("cublasLtMatrixLayoutSetAttribute", status)?;
        Ok(layout)
    }
}

impl Drop for MatrixLayout<'_> {
    fn drop(&mut self) {
        // SAFETY: made in `new`.
        unsafe { call!(self.table, sys::cublasLtMatrixLayoutDestroy(self.raw)) };
    }
}

/// What an algorithm may use.
pub(super) struct Preference<'a> {
    table: &'a CublasLtTable,
    pub raw: sys::cublasLtMatmulPreference_t,
}

impl<'a> Preference<'a> {
    /// At most `workspace` bytes of memory, and that operands start at multiples of `alignments` bytes: first and second factor,
    /// summand, result.
    pub fn new(table: &'a CublasLtTable, workspace: usize, alignments: [u32; 4]) -> Result<Self, Failed> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: writes one handle, destroyed on drop.
        let status = unsafe { call!(table, sys::cublasLtMatmulPreferenceCreate(&mut raw)) };
        check("cublasLtMatmulPreferenceCreate", status)?;
        let preference = Self { table, raw };
        use sys::cublasLtMatmulPreferenceAttributes_t::{
            CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        };
        let (which, bytes) = (CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace as u64);
        // SAFETY: reads eight bytes.
        let status = unsafe {
            call!(table, sys::cublasLtMatmulPreferenceSetAttribute(raw, which, (&raw const bytes).cast(), 8))
        };
        check("cublasLtMatmulPreferenceSetAttribute", status)?;
        let operands = [
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ];
        for (which, bytes) in operands.into_iter().zip(alignments) {
            // SAFETY: reads four bytes.
            let status = unsafe {
                let bytes = (&raw const bytes).cast();
                call!(table, sys::cublasLtMatmulPreferenceSetAttribute(raw, which, bytes, 4))
            };
            check("cublasLtMatmulPreferenceSetAttribute", status)?;
        }
        Ok(preference)
    }
}

impl Drop for Preference<'_> {
    fn drop(&mut self) {
        // SAFETY: made in `new`.
        unsafe { call!(self.table, sys::cublasLtMatmulPreferenceDestroy(self.raw)) };
    }
}

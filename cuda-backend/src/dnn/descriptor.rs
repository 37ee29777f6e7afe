//! cuDNN's descriptors of a problem, made once and destroyed together.

use std::ffi::c_int;
use std::sync::Arc;

use cudarc::cudnn::sys::{self, cudnnDataType_t, cudnnMathType_t};
use tensor::{DType, Layout};

use super::Problem;
use crate::error::{Error, Result};
use crate::ffi::abi::call;
use crate::runtime::Context;

/// Descriptors of operands, convolution and bias.
#[derive(Debug)]
pub(super) struct Descriptors {
    context: Arc<Context>,
    pub x: sys::cudnnTensorDescriptor_t,
    pub w: sys::cudnnFilterDescriptor_t,
    pub y: sys::cudnnTensorDescriptor_t,
    pub bias: sys::cudnnTensorDescriptor_t,
    pub conv: sys::cudnnConvolutionDescriptor_t,
    pub relu: sys::cudnnActivationDescriptor_t,
    pub identity: sys::cudnnActivationDescriptor_t,
}

// SAFETY: descriptors are plain values once they are made.
unsafe impl Send for Descriptors {}
// SAFETY: as above: calls only read them, but for `set_math`, which is called with the lock held.
unsafe impl Sync for Descriptors {}

impl Descriptors {
    pub fn new(context: &Arc<Context>, problem: &Problem) -> Result<Self> {
        let null = std::ptr::null_mut();
        // Dropped as far as it was filled where a call fails.
        let mut d = Self {
            context: context.clone(),
            x: null,
            w: null.cast(),
            y: null,
            bias: null,
            conv: null.cast(),
            relu: null.cast(),
            identity: null.cast(),
        };
        let table = context.libs.cudnn()?;
        let text = problem.text();
        let check = |call, status| super::check(context, call, status, &text);
        for slot in [&mut d.x, &mut d.y, &mut d.bias] {
            // SAFETY: writes one handle, destroyed on drop.
            check("cudnnCreateTensorDescriptor", unsafe {
                call!(table, sys::cudnnCreateTensorDescriptor(slot))
            })?;
        }
        // SAFETY: as above.
        check("cudnnCreateFilterDescriptor", unsafe {
            call!(table, sys::cudnnCreateFilterDescriptor(&mut d.w))
        })?;
        // SAFETY: as above.
        let status = unsafe { call!(table, sys::cudnnCreateConvolutionDescriptor(&mut d.conv)) };
        check("cudnnCreateConvolutionDescriptor", status)?;
        let (data, compute) = types(problem.dtype)?;
        let bias = [1, problem.y[1], 1, 1];
        for (descriptor, dims) in [(d.x, problem.x), (d.y, problem.y), (d.bias, bias)] {
            let layout = Layout::dense(&dims, problem.format);
            let [n, c, h, w] = int4(dims)?;
            let [sn, sc, sh, sw] = int4([0, 1, 2, 3].map(|a| layout.strides()[a]))?;
            // SAFETY: the descriptor is alive.
            let status = unsafe {
                call!(table, sys::cudnnSetTensor4dDescriptorEx(descriptor, data, n, c, h, w, sn, sc, sh, sw))
            };
            check("cudnnSetTensor4dDescriptorEx", status)?;
        }
        let [k, c, kh, kw] = int4(problem.w)?;
        let format = match problem.format {
            tensor::Format::ChannelsLast => sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC,
            tensor::Format::Contiguous => sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW,
        };
        // SAFETY: the descriptor is alive.
        let status =
            unsafe { call!(table, sys::cudnnSetFilter4dDescriptor(d.w, data, format, k, c, kh, kw)) };
        check("cudnnSetFilter4dDescriptor", status)?;
        let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let [ph, pw, sh, sw] =
            int4([problem.padding[0], problem.padding[1], problem.stride[0], problem.stride[1]])?;
        let [dh, dw, groups, _] = int4([problem.dilation[0], problem.dilation[1], problem.groups, 0])?;
        // SAFETY: the descriptor is alive.
        let status = unsafe {
            call!(table, sys::cudnnSetConvolution2dDescriptor(d.conv, ph, pw, sh, sw, dh, dw, mode, compute))
        };
        check("cudnnSetConvolution2dDescriptor", status)?;
        // SAFETY: as above.
        let status = unsafe { call!(table, sys::cudnnSetConvolutionGroupCount(d.conv, groups)) };
        check("cudnnSetConvolutionGroupCount", status)?;
        d.set_math(problem, math(problem))?;
        for (slot, mode) in [
            (&mut d.relu, sys::cudnnActivationMode_t::CUDNN_ACTIVATION_RELU),
            (&mut d.identity, sys::cudnnActivationMode_t::CUDNN_ACTIVATION_IDENTITY),
        ] {
            // SAFETY: writes one handle, destroyed on drop.
            let status = unsafe { call!(table, sys::cudnnCreateActivationDescriptor(slot)) };
            check("cudnnCreateActivationDescriptor", status)?;
            // The only one that a convolution may have behind it: NaN becomes 0 (see `plan::conv`).
            let nan = sys::cudnnNanPropagation_t::CUDNN_NOT_PROPAGATE_NAN;
            // SAFETY: the descriptor is alive.
            let status = unsafe { call!(table, sys::cudnnSetActivationDescriptor(*slot, mode, nan, 0.0)) };
            check("cudnnSetActivationDescriptor", status)?;
        }
        Ok(d)
    }

    /// Sets the arithmetic of the convolutions that come. Only with cuDNN's lock held: the descriptor changes.
    pub fn set_math(&self, problem: &Problem, math: cudnnMathType_t) -> Result<()> {
        let table = self.context.libs.cudnn()?;
        // SAFETY: the descriptor is alive, and whoever uses it has the lock.
        let status = unsafe { call!(table, sys::cudnnSetConvolutionMathType(self.conv, math)) };
        super::check(&self.context, "cudnnSetConvolutionMathType", status, &problem.text())
    }
}

/// The arithmetic that a problem asks for.
pub(super) fn math(problem: &Problem) -> cudnnMathType_t {
    match problem.dtype {
        dtype if dtype.is_half() => cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
        DType::F32 if problem.tf32 => cudnnMathType_t::CUDNN_DEFAULT_MATH,
        _ => cudnnMathType_t::CUDNN_FMA_MATH,
    }
}

/// Whether a problem may be done in this arithmetic: the default one rounds factors of f32 to TF32, and one converts them to
/// halves.
pub(super) fn allows(problem: &Problem, math: cudnnMathType_t) -> bool {
    match problem.dtype {
        DType::F32 if !problem.tf32 => math == cudnnMathType_t::CUDNN_FMA_MATH,
        dtype => dtype.is_half() || math != cudnnMathType_t::CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION,
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        let Ok(table) = self.context.libs.cudnn() else { return };
        // SAFETY: each was made in `new`, or is null where that failed before.
        unsafe {
            for t in [self.x, self.y, self.bias].into_iter().filter(|t| !t.is_null()) {
                call!(table, sys::cudnnDestroyTensorDescriptor(t));
            }
            if !self.w.is_null() {
                call!(table, sys::cudnnDestroyFilterDescriptor(self.w));
            }
            if !self.conv.is_null() {
                call!(table, sys::cudnnDestroyConvolutionDescriptor(self.conv));
            }
            for a in [self.relu, self.identity].into_iter().filter(|a| !a.is_null()) {
                call!(table, sys::cudnnDestroyActivationDescriptor(a));
            }
        }
    }
}

/// The type of the data, and that of the sums.
fn types(dtype: DType) -> Result<(cudnnDataType_t, cudnnDataType_t)> {
    Ok(match dtype {
        DType::F16 => (cudnnDataType_t::CUDNN_DATA_HALF, cudnnDataType_t::CUDNN_DATA_FLOAT),
        DType::BF16 => (cudnnDataType_t::CUDNN_DATA_BFLOAT16, cudnnDataType_t::CUDNN_DATA_FLOAT),
        DType::F32 => (cudnnDataType_t::CUDNN_DATA_FLOAT, cudnnDataType_t::CUDNN_DATA_FLOAT),
        DType::F64 => (cudnnDataType_t::CUDNN_DATA_DOUBLE, cudnnDataType_t::CUDNN_DATA_DOUBLE),
        DType::I64 | DType::U8 => {
            return Err(Error::Unsupported { op: "convolution", what: format!("takes floats, not {dtype}") });
        }
    })
}

fn int4(values: [usize; 4]) -> Result<[c_int; 4]> {
    let mut out = [0; 4];
    for (to, from) in out.iter_mut().zip(values) {
        *to = c_int::try_from(from).map_err(|_| {
            let what = format!("a size or stride of {from} is more than cuDNN counts");
            Error::Unsupported { op: "convolution", what }
        })?;
    }
    Ok(out)
}

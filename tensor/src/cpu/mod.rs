//! The CPU backend: memory from a caching pool, kernels beside their operations in `ops/*/cpu.rs`, and the
//! convolution and matrix-product machinery they share in `conv/`, `gemm/` and `simd/`.
//!
//! Kernels split their work by the shape of the problem alone, never by the number of threads, so that
//! results are the same for every thread count. Work runs on the current rayon pool.

pub(crate) mod accumulate;
mod backend;
mod buffer;
pub(crate) mod columns;
pub mod conv;
pub(crate) mod dispatch;
pub mod gemm;
mod halves;
pub(crate) mod math;
pub(crate) mod pixels;
mod plan;
pub mod simd;
pub(crate) mod stored;
pub(crate) mod strided;
mod transpose;

use std::sync::{Arc, LazyLock};

pub use backend::CpuBackend;
pub use buffer::{CpuBuffer, MemoryStats, memory_stats, release_cached_memory, reset_peak_memory};

use crate::{Device, Dims, Element, Error, Format, Layout, Meta, Result, Tensor};

/// The CPU.
pub fn device() -> Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(|| Arc::new(CpuBackend));
    DEVICE.clone()
}

/// All elements of the buffer of `t`.
pub(crate) fn buffer<T: Element>(t: &Tensor) -> Result<&[T]> {
    if t.dtype() != T::DTYPE {
        return Err(Error::Read { held: t.dtype(), wanted: T::DTYPE });
    }
    let buffer = t.buffer().as_any().downcast_ref::<CpuBuffer>();
    let buffer = buffer.ok_or_else(|| Error::Device { device: "cpu".into(), what: missing(t).into() })?;
    Ok(buffer.as_slice::<T>())
}

/// Why a tensor of the CPU has no memory of the CPU.
fn missing(t: &Tensor) -> &'static str {
    if t.has_values() {
        "not a CPU buffer"
    } else {
        "a tensor of which only the shape is known has no values"
    }
}

/// The elements of `t` from its first to the last that its layout reaches, in memory order.
pub(crate) fn slice<T: Element>(t: &Tensor) -> Result<&[T]> {
    Ok(&buffer::<T>(t)?[t.layout().offset()..t.layout().end()])
}

/// A dense tensor of `dims` in `format` whose elements, in memory order, `fill` writes. It must write all of
/// them: recycled memory holds old values.
pub(crate) fn output<T: Element>(
    dims: &[usize],
    format: Format,
    fill: impl FnOnce(&mut [T]),
) -> Result<Tensor> {
    let (layout, mut buffer) = room::<T>(dims, format)?;
    fill(buffer.as_mut_slice::<T>());
    Ok(Tensor::from_parts(Arc::new(buffer), layout, T::DTYPE))
}

/// A dense layout of `dims`, and memory for it.
fn room<T: Element>(dims: &[usize], format: Format) -> Result<(Layout, CpuBuffer)> {
    let layout = Layout::dense(dims, format);
    let buffer = CpuBuffer::new(Meta::new(dims, T::DTYPE).bytes())?;
    Ok((layout, buffer))
}

/// [`output`] for two tensors of the same dims and format at once.
pub(crate) fn output2<T: Element, U: Element>(
    dims: &[usize],
    format: Format,
    fill: impl FnOnce(&mut [T], &mut [U]),
) -> Result<(Tensor, Tensor)> {
    let ((layout, mut a), (_, mut b)) = (room::<T>(dims, format)?, room::<U>(dims, format)?);
    fill(a.as_mut_slice::<T>(), b.as_mut_slice::<U>());
    let tensor = |buffer, dtype| Tensor::from_parts(Arc::new(buffer), layout.clone(), dtype);
    Ok((tensor(a, T::DTYPE), tensor(b, U::DTYPE)))
}

/// `t` as a dense channels-last tensor (rank 4; other ranks row-major) and its dims.
pub(crate) fn channels_last(t: &Tensor) -> Result<(Tensor, Dims)> {
    Ok((t.to_format(Format::ChannelsLast)?, Dims::from_slice(t.dims())))
}

/// Runs `$body` with `$t` bound to the Rust type of a float dtype in which the CPU computes (f32 or f64; halves are
/// widened before kernels run).
macro_rules! dispatch_float {
    ($op:expr, $dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            $crate::DType::F32 => {
                type $t = f32;
                $body
            }
            $crate::DType::F64 => {
                type $t = f64;
                $body
            }
            other => Err($crate::Error::value($op, format!("the CPU kernel takes f32 or f64, got {other}"))),
        }
    };
}
pub(crate) use dispatch_float;

/// Runs `$body` with `$t` bound to the Rust type of any dtype.
macro_rules! dispatch_any {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            $crate::DType::F16 => {
                type $t = half::f16;
                $body
            }
            $crate::DType::BF16 => {
                type $t = half::bf16;
                $body
            }
            $crate::DType::F32 => {
                type $t = f32;
                $body
            }
            $crate::DType::F64 => {
                type $t = f64;
                $body
            }
            $crate::DType::I64 => {
                type $t = i64;
                $body
            }
            $crate::DType::U8 => {
                type $t = u8;
                $body
            }
        }
    };
}
pub(crate) use dispatch_any;

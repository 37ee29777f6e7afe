//! One pass over the memory of several tensors at once: an update reads parameter, gradient and state, and writes
//! the new ones, element by element, without temporaries.

use std::sync::Arc;

use num_traits::Float;
use tensor::{
    Element, Format, Layout, Tensor,
    cpu::{self, CpuBuffer},
};

use crate::{Error, Result};

/// A number type that updates are computed in: that of the parameter.
pub(super) trait Real: Float + Element {}
impl Real for f32 {}
impl Real for f64 {}

/// Whether a tensor is in host memory, where updates are one pass.
pub(super) fn on_cpu(t: &Tensor) -> bool {
    t.buffer().as_any().is::<CpuBuffer>()
}

/// `t`, row-major, in host memory; a cheap clone where it is that already.
pub(super) fn on_host(t: &Tensor) -> Result<Tensor> {
    Ok(t.to_format(Format::Contiguous)?.to_device(&cpu::device())?)
}

/// The elements of a tensor that [`on_host`] returned.
pub(super) fn values<T: Element>(t: &Tensor) -> Result<&[T]> {
    let buffer = t.buffer().as_any().downcast_ref::<CpuBuffer>();
    match buffer {
        Some(buffer) if t.dtype() == T::DTYPE => {
            Ok(&buffer.as_slice::<T>()[t.layout().offset()..][..t.layout().len()])
        }
        _ => Err(Error::config("optimizer", format!("wants {} values in host memory, got {t:?}", T::DTYPE))),
    }
}

/// New tensors, each of the dims of `ins[0]`, from one walk: `f` maps the elements of the operands at one place
/// to those of the results. They end up on the device of `ins[0]`.
pub(super) fn zip<T: Real, const I: usize, const O: usize>(
    ins: [&Tensor; I],
    f: impl Fn([T; I]) -> [T; O],
) -> Result<[Tensor; O]> {
    let dims = ins[0].dims();
    if let Some(other) = ins.iter().find(|t| t.dims() != dims || t.dtype() != T::DTYPE) {
        let why = format!("parameter, gradient and state differ: {} and {}", ins[0].meta(), other.meta());
        return Err(Error::config("optimizer", why));
    }
    let mut hosts = Vec::with_capacity(I);
    for t in ins {
        hosts.push(on_host(t)?);
    }
    let mut slices = [&[][..]; I];
    for (slice, host) in slices.iter_mut().zip(&hosts) {
        *slice = values::<T>(host)?;
    }
    let len = slices[0].len();
    let mut buffers: [CpuBuffer; O] = std::array::from_fn(|_| CpuBuffer::new(size_of_val(slices[0])));
    let mut outs = buffers.each_mut().map(|b| &mut b.as_mut_slice::<T>()[..len]);
    let ins_all = slices.map(|s| &s[..len]);
    for i in 0..len {
        let results = f(std::array::from_fn(|k| ins_all[k][i]));
        for (out, value) in outs.iter_mut().zip(results) {
            out[i] = value;
        }
    }
    let device = ins[0].device();
    let made = buffers
        .map(|b| Tensor::from_parts(Arc::new(b), Layout::contiguous(dims), T::DTYPE).to_device(&device))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    made.try_into().map_err(|_| Error::config("optimizer", "a result is missing"))
}

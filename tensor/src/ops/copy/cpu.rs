//! CPU kernels: copies between layouts, conversions between element types, writing into zeros.

use half::{bf16, f16, slice::HalfFloatSliceExt};
use rayon::prelude::*;

use super::*;
use crate::{
    Element, Outputs, Tensor,
    cpu::{
        dispatch_any, output, slice,
        stored::{load_all, store_all},
        strided::{CHUNK, Walk, copy_to, map1},
    },
    layout::order,
};

impl Cast {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let x = ins[0];
        let y = match (x.dtype(), self.dtype) {
            (DType::F16, DType::F32) => map1::<f16, f32>(x, &|x, y| x.convert_to_f32_slice(y)),
            (DType::BF16, DType::F32) => map1::<bf16, f32>(x, &load_all::<bf16>),
            (DType::F32, DType::F16) => map1::<f32, f16>(x, &|x, y| y.convert_from_f32_slice(x)),
            (DType::F32, DType::BF16) => map1::<f32, bf16>(x, &store_all::<bf16>),
            (DType::U8, DType::I64) => each::<u8, i64>(x, |v| v as i64),
            (a, b) if a == b => dispatch_any!(a, T => map1::<T, T>(x, &|x, y| y.copy_from_slice(x))),
            (a, b) => {
                dispatch_any!(a, S => dispatch_any!(b, D => each::<S, D>(x, |v| D::from_f64(v.to_f64()))))
            }
        };
        Ok(Outputs::from_iter([y?]))
    }
}

fn each<S: Element, D: Element>(x: &Tensor, f: impl Fn(S) -> D + Sync) -> Result<Tensor> {
    map1::<S, D>(x, &|x, y| x.iter().zip(y).for_each(|(&x, y)| *y = f(x)))
}

impl Copy {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let x = ins[0];
        let walk = Walk::new(x.dims(), self.format, [x.layout()]);
        dispatch_any!(x.dtype(), T => {
            let elements = slice::<T>(x)?;
            let y = output::<T>(x.dims(), self.format, |y| copy_to(&walk, elements, y))?;
            Ok(Outputs::from_iter([y]))
        })
    }
}

/// One axis of an [`Unslice`] result, outermost in memory first.
struct Place {
    size: usize,
    span: Span,
    /// The operand's step for the next element of the span.
    step: usize,
}

impl Unslice {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let x = ins[0];
        let format = x.layout().preferred_format();
        let mut places: Vec<Place> = Vec::new();
        for &axis in &order(x.dims().len(), format) {
            let (size, span, step) = (self.dims[axis], self.spans[axis], x.layout().strides()[axis]);
            let whole = span.len == size;
            match places.last_mut() {
                // An axis taken whole joins the one around it.
                Some(outer) if whole && outer.span.step == 1 && outer.step == step * size => {
                    let span = Span { start: outer.span.start * size, len: outer.span.len * size, step: 1 };
                    *outer = Place { size: outer.size * size, span, step };
                }
                _ => places.push(Place { size, span, step }),
            }
        }
        dispatch_any!(x.dtype(), T => {
            let elements = slice::<T>(x)?;
            let y = output::<T>(&self.dims, format, |y| put(&places, elements, y))?;
            Ok(Outputs::from_iter([y]))
        })
    }
}

/// Writes `x` into its places in `out`, which has the axes `places`, and zeros elsewhere.
fn put<T: Element>(places: &[Place], x: &[T], out: &mut [T]) {
    let Some((place, inner)) = places.split_first() else {
        return out.copy_from_slice(&x[..1]);
    };
    let Place { size, span, step } = place;
    if out.is_empty() || x.is_empty() {
        return out.fill(T::ZERO);
    }
    let block = out.len() / size;
    if inner.is_empty() && span.step == 1 {
        let (before, rest) = out.split_at_mut(span.start);
        let (within, after) = rest.split_at_mut(span.len);
        before.fill(T::ZERO);
        after.fill(T::ZERO);
        if *step == 1 {
            within.copy_from_slice(&x[..span.len]);
        } else {
            within.iter_mut().enumerate().for_each(|(i, o)| *o = x[i * step]);
        }
        return;
    }
    let row = |(i, out): (usize, &mut [T])| match i.checked_sub(span.start) {
        Some(i) if i % span.step == 0 && i / span.step < span.len => {
            put(inner, &x[i / span.step * step..], out);
        }
        _ => out.fill(T::ZERO),
    };
    if out.len() > CHUNK {
        let at_once = (CHUNK / block).max(1);
        out.par_chunks_mut(block).enumerate().with_min_len(at_once).for_each(row);
    } else {
        out.chunks_mut(block).enumerate().for_each(row);
    }
}

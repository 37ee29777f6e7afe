//! CPU kernels. Results are cut along the axes outside the indexed one in memory: no two tasks meet at one
//! element, so sums keep their order whatever the number of threads.

use rayon::prelude::*;

use super::*;
use crate::{
    DType, Element, Layout, Outputs, Tensor,
    cpu::{
        dispatch_any, output, slice,
        strided::{CHUNK, Cursor, Walk},
    },
    layout::{order, place},
};

/// `layout` without steps along `axis`, with the dims of `like`: where an index along that axis adds its own step.
fn without_axis(layout: &Layout, axis: usize, like: &[usize]) -> Layout {
    let row = if layout.is_empty() { layout.clone() } else { layout.slice(axis, 0, 1, 1) };
    row.broadcast_to(like)
}

/// Reports the first index, in row-major order, that is out of range.
fn out_of_range(op: &'static str, index: &Tensor, axis: usize, size: usize) -> Error {
    let values = match index.to_vec::<i64>() {
        Ok(values) => values,
        Err(e) => return e,
    };
    let Some(at) = values.iter().position(|&i| i < 0 || i >= size as i64) else {
        return Error::value(op, "an index is out of range");
    };
    let (value, place) = (values[at], place(at, index.dims()));
    Error::value(op, format!("index {value} at {place:?} is outside axis {axis} of size {size}"))
}

impl Gather {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let y = dispatch_any!(ins[0].dtype(), T => self.pick::<T>(ins[0], ins[1]));
        Ok(Outputs::from_iter([y?]))
    }

    fn pick<T: Element>(&self, x: &Tensor, index: &Tensor) -> Result<Tensor> {
        let (dims, format) = (index.dims(), x.layout().preferred_format());
        let (size, step) = (x.dims()[self.axis], x.layout().strides()[self.axis]);
        let (elements, places) = (slice::<T>(x)?, slice::<i64>(index)?);
        if index.is_empty() {
            return output::<T>(dims, format, |_| ());
        }
        if size == 0 {
            return Err(out_of_range("gather", index, self.axis, size));
        }
        let rows = without_axis(x.layout(), self.axis, dims);
        let walk = Walk::new(dims, format, [index.layout(), &rows]);
        let write = |at: usize, out: &mut [T]| {
            let mut cursor = Cursor::new(&walk, at);
            out.iter_mut().all(|y| {
                let [place, row] = cursor.offsets;
                cursor.advance();
                let i = places[place];
                let fits = i >= 0 && (i as usize) < size;
                *y = if fits { elements[row + i as usize * step] } else { T::ZERO };
                fits
            })
        };
        let mut fits = true;
        let y = output::<T>(dims, format, |out| {
            let pieces = out.par_chunks_mut(CHUNK).enumerate();
            fits = pieces.map(|(i, out)| write(i * CHUNK, out)).reduce(|| true, |a, b| a && b);
        })?;
        if fits { Ok(y) } else { Err(out_of_range("gather", index, self.axis, size)) }
    }
}

/// A number that can be added to.
trait Add: Element {
    fn add(self, other: Self) -> Self;
}

macro_rules! add {
    ($($t:ty => |$a:ident, $b:ident| $sum:expr;)*) => {$(
        impl Add for $t {
            #[inline]
            fn add(self, other: Self) -> Self {
                let ($a, $b) = (self, other);
                $sum
            }
        }
    )*};
}
add! {
    f32 => |a, b| a + b;
    f64 => |a, b| a + b;
    i64 => |a, b| a.wrapping_add(b);
    u8 => |a, b| a.wrapping_add(b);
}

impl ScatterAdd {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let dims = &outs[0].dims[..];
        let y = match ins[0].dtype() {
            DType::F32 => self.add::<f32>(ins[0], ins[1], dims),
            DType::F64 => self.add::<f64>(ins[0], ins[1], dims),
            DType::I64 => self.add::<i64>(ins[0], ins[1], dims),
            DType::U8 => self.add::<u8>(ins[0], ins[1], dims),
            half @ (DType::F16 | DType::BF16) => {
                Err(Error::value("scatter_add", format!("has no CPU kernel for {half}")))
            }
        };
        Ok(Outputs::from_iter([y?]))
    }

    fn add<T: Add>(&self, g: &Tensor, index: &Tensor, dims: &[usize]) -> Result<Tensor> {
        let format = g.layout().preferred_format();
        let (elements, places) = (slice::<T>(g)?, slice::<i64>(index)?);
        if g.is_empty() || self.len == 0 {
            return if g.is_empty() {
                Tensor::zeros(dims, g.dtype())
            } else {
                Err(out_of_range("scatter_add", index, self.axis, self.len))
            };
        }
        // Slabs of the result that lie together in memory: everything from the indexed axis inwards.
        let order = order(dims.len(), format);
        let inner = &order[order.iter().position(|&a| a == self.axis).unwrap_or(0)..];
        let slab: usize = inner.iter().map(|&a| dims[a]).product();
        let each: usize = inner.iter().map(|&a| g.dims()[a]).product();
        // A result element's place in its slab, but for its index along the axis.
        let step = slab / self.len;
        let own = without_axis(&Layout::dense(dims, format), self.axis, g.dims());
        let walk = Walk::new(g.dims(), format, [g.layout(), index.layout(), &own]);
        let write = |first: usize, out: &mut [T]| {
            out.fill(T::ZERO);
            let mut cursor = Cursor::new(&walk, first * each);
            (0..out.len() / slab * each).all(|_| {
                let [from, place, to] = cursor.offsets;
                cursor.advance();
                let i = places[place];
                let fits = i >= 0 && (i as usize) < self.len;
                if fits {
                    let y = &mut out[to - first * slab + i as usize * step];
                    *y = y.add(elements[from]);
                }
                fits
            })
        };
        let at_once = (CHUNK / slab).max(1);
        let mut fits = true;
        let y = output::<T>(dims, format, |out| {
            let pieces = out.par_chunks_mut(slab * at_once).enumerate();
            fits = pieces.map(|(i, out)| write(i * at_once, out)).reduce(|| true, |a, b| a && b);
        })?;
        if fits { Ok(y) } else { Err(out_of_range("scatter_add", index, self.axis, self.len)) }
    }
}

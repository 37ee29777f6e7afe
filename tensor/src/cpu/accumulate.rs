//! A sum in the memory of its first operand. Where gradients meet, the first one is nobody else's any more: adding into it
//! reads and writes its memory once, where a new tensor would have to be fetched into the cache beside both.

use rayon::prelude::*;

use super::{
    CpuBuffer,
    dispatch::vectorized,
    slice,
    stored::{Stored, dispatch_stored},
    strided::CHUNK,
};
use crate::{Buffer, DType, Layout, Result, Tensor};

vectorized! {
    /// `y += x`, rounded as an addition of its own is.
    fn add_to<S: Stored>(y: &mut [S], x: &[S]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = S::store(y.load() + x.load());
        }
    }
}

/// The memory of `buffer`, in which `layout` has its elements, if `x` can be added to them: lies as they do, in floats that are
/// computed with.
pub(crate) fn writable<'a>(
    buffer: &'a mut dyn Buffer,
    layout: &Layout,
    x: &Tensor,
) -> Option<&'a mut CpuBuffer> {
    let alike = layout.dims() == x.dims() && layout.strides() == x.layout().strides();
    let dense = layout.is_dense(layout.preferred_format());
    let floats = matches!(x.dtype(), DType::F32 | DType::F64 | DType::BF16);
    if !(alike && dense && floats) {
        return None;
    }
    buffer.as_any_mut()?.downcast_mut()
}

/// Adds `x` to the elements of a [`writable`] buffer.
pub(crate) fn add_in_place(buffer: &mut CpuBuffer, layout: &Layout, x: &Tensor) -> Result<()> {
    dispatch_stored!("add", x.dtype(), S => add::<S>(buffer, layout, x))
}

fn add<S: Stored>(buffer: &mut CpuBuffer, layout: &Layout, x: &Tensor) -> Result<()> {
    let (y, x) = (&mut buffer.as_mut_slice::<S>()[layout.offset()..layout.end()], slice::<S>(x)?);
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| add_to(y, x));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, Ops, ops::Distribution, rng::Key};

    fn draw(key: u64, dtype: DType, format: Format) -> Tensor {
        let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
        let x = Tensor::random(normal, &[2, 24, 40, 30], DType::F32, Key::new(3, key)).unwrap();
        x.cast(dtype).unwrap().copy(format).unwrap()
    }

    fn bits(x: &Tensor) -> Vec<u8> {
        x.to_bytes().unwrap()
    }

    fn place(x: &Tensor) -> *const u8 {
        std::sync::Arc::as_ptr(x.buffer()).cast()
    }

    #[test]
    fn what_nobody_else_holds_takes_the_sum() {
        for dtype in [DType::F32, DType::F64, DType::BF16] {
            for format in [Format::Contiguous, Format::ChannelsLast] {
                let (a, b) = (draw(1, dtype, format), draw(2, dtype, format));
                let (wanted, before) = (bits(&a.add(&b).unwrap()), place(&a));
                let sum = a.add_into(&b).unwrap();
                assert!(bits(&sum) == wanted && place(&sum) == before, "{dtype}");
            }
        }
    }

    #[test]
    fn what_others_hold_stays() {
        let format = Format::ChannelsLast;
        let (a, b) = (draw(1, DType::F32, format), draw(2, DType::F32, format));
        let (wanted, before) = (bits(&a.add(&b).unwrap()), bits(&a));
        // A second handle, a view of a part, and the sum of a tensor and itself.
        let part = a.narrow(1, 3, 5).unwrap();
        let (held, seen) = (bits(&a), bits(&part));
        let sum = a.clone().add_into(&b).unwrap();
        assert!(bits(&sum) == wanted && bits(&a) == before && place(&sum) != place(&a));
        let sum = a.add_into(&b).unwrap();
        assert!(bits(&sum) == wanted && bits(&part) == seen && held == before);
        let twice = sum.mul_scalar(2.0).unwrap();
        assert_eq!(bits(&sum.clone().add_into(&sum).unwrap()), bits(&twice));
    }

    #[test]
    fn other_layouts_and_types_are_added_as_ever() {
        let (a, b) = (draw(1, DType::F32, Format::Contiguous), draw(2, DType::F32, Format::ChannelsLast));
        let wanted = bits(&a.add(&b).unwrap());
        assert_eq!(bits(&a.add_into(&b).unwrap()), wanted);
        let numbers = |from: i64| Tensor::from_vec(vec![from, from + 1], &[2]).unwrap();
        assert_eq!(numbers(1).add_into(&numbers(5)).unwrap().to_vec::<i64>().unwrap(), [6, 8]);
        let (x, y) = (draw(1, DType::F32, Format::Contiguous), draw(2, DType::F64, Format::Contiguous));
        assert!(x.add_into(&y).is_err());
    }
}

//! CPU kernels: counts of fixed pieces, added up.

use rayon::prelude::*;

use super::*;
use crate::{
    Element, Format, Ops, Outputs, Tensor,
    cpu::{dispatch_float, output, slice, strided::CHUNK},
    layout::place,
};

/// Counts the bin of each element of `x`; `bin` is `None` for elements left out. Also returns whether `bin`
/// left one out.
fn count<T: Element>(
    x: &Tensor,
    bins: usize,
    bin: impl Fn(T) -> Option<usize> + Sync,
) -> Result<(Tensor, bool)> {
    // The order of elements does not matter: any dense order will do.
    let x = x.to_format(x.layout().preferred_format())?;
    let elements = slice::<T>(&x)?;
    // Pieces large enough for their tables to be small beside them.
    let pieces = elements.par_chunks(CHUNK.max(8 * bins));
    let (counts, all) = pieces
        .map(|piece| {
            let (mut counts, mut all) = (vec![0i64; bins], true);
            for &v in piece {
                match bin(v) {
                    Some(b) => counts[b] += 1,
                    None => all = false,
                }
            }
            (counts, all)
        })
        .reduce(
            || (vec![], true),
            |(mut a, all), (b, others)| {
                if a.is_empty() {
                    return (b, all && others);
                }
                a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                (a, all && others)
            },
        );
    let y = output::<i64>(&[bins], Format::Contiguous, |y| {
        y.fill(0);
        y.iter_mut().zip(counts).for_each(|(y, n)| *y = n);
    })?;
    Ok((y, all))
}

impl Bincount {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let (x, bins) = (ins[0], self.bins);
        let bin = |v: i64| usize::try_from(v).ok().filter(|&b| b < bins);
        let (counts, all) = match x.dtype() {
            DType::U8 => count::<u8>(x, bins, |v| bin(v.into()))?,
            DType::I64 => count::<i64>(x, bins, bin)?,
            other => return Err(Error::value("bincount", format!("has no CPU kernel for {other}"))),
        };
        if all { Ok(Outputs::from_iter([counts])) } else { Err(self.outside(x)?) }
    }

    /// Reports the first value, in row-major order, that has no bin.
    fn outside(&self, x: &Tensor) -> Result<Error> {
        let values = x.cast(DType::I64)?.to_vec::<i64>()?;
        let at = values.iter().position(|&v| v < 0 || v >= self.bins as i64).unwrap_or(0);
        let what =
            format!("value {} at {:?} has no bin among 0..{}", values[at], place(at, x.dims()), self.bins);
        Ok(Error::value("bincount", what))
    }
}

impl Histogram {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let &Self { bins, low, high } = self;
        dispatch_float!("histogram", ins[0].dtype(), T => {
            let (counts, _) = count::<T>(ins[0], bins, |v| {
                let v = v.to_f64();
                let bin = (v - low) / (high - low) * bins as f64;
                (low <= v && v <= high).then_some((bin as usize).min(bins - 1))
            })?;
            Ok(Outputs::from_iter([counts]))
        })
    }
}

//! Channels of several operands in turn, and their undoing, in one pass over memory: `kernels/copy.cu`.

use tensor::ops::{Cat, Deinterleave};
use tensor::{Layout, Meta, Outputs, Tensor};

use super::geometry::{empty_pixels, from_pixels, int, ints, pixels};
use super::join::{AT_ONCE, Operands, cat};
use super::{Run, address};
use crate::error::Result;

/// How far apart the pixels of a channels-last map are, or of a range of its channels, where that is all alike.
fn pitch(layout: &Layout) -> Option<usize> {
    let (&[n, c, h, w], &[sn, sc, sh, sw]) = (layout.dims(), layout.strides()) else { return None };
    let pitch = match (w, h, n) {
        (2.., _, _) => sw,
        (_, 2.., _) => sh,
        (_, _, 2..) => sn,
        _ => c,
    };
    let fits = |size: usize, stride: usize, inner: usize| size == 1 || stride == inner * pitch;
    let alike = (c == 1 || sc == 1) && pitch >= c && fits(w, sw, 1) && fits(h, sh, w) && fits(n, sn, h * w);
    alike.then_some(pitch)
}

/// `x` as pixels, with their distance: where it lies if it can be read there, else a copy.
fn readable(run: &Run, x: &Tensor) -> Result<(Tensor, usize)> {
    match pitch(x.layout()) {
        Some(pitch) => Ok((x.clone(), pitch)),
        None => Ok((pixels(run, x)?, x.dims()[1])),
    }
}

/// What a launch takes of the operands: the addresses of up to [`AT_ONCE`] and how far apart the pixels of each are.
fn group(run: &Run, parts: &[(Tensor, usize)]) -> Result<Operands> {
    let mut group = Operands { count: parts.len() as i32, ..Operands::default() };
    for (i, (t, pitch)) in parts.iter().enumerate() {
        (group.data[i], group.width[i]) = (address(t)?, int(run, *pitch)?);
    }
    Ok(group)
}

pub(crate) fn interleave(run: &Run, ins: &[&Tensor], out: &Meta) -> Result<Tensor> {
    let y = empty_pixels(run, &out.dims, out.dtype)?;
    if y.is_empty() {
        return from_pixels(run, y);
    }
    let each = ins[0].dims()[1];
    let [each_int, total, _] = ints(run, [each, ins.len(), y.len()])?;
    let pixels = y.len() / (each * ins.len());
    for (number, some) in ins.chunks(AT_ONCE).enumerate() {
        let parts = some.iter().map(|t| readable(run, t)).collect::<Result<Vec<_>>>()?;
        run.kernel("copy", &format!("interleave_b{}", out.dtype.size()))?
            .over(pixels * each * some.len())
            .arg(group(run, &parts)?)
            .arg(address(&y)?)
            .arg(pixels as i64)
            .arg(each_int)
            .arg(total)
            .arg((number * AT_ONCE) as i32)
            .run()?;
    }
    from_pixels(run, y)
}

pub(crate) fn deinterleave(
    run: &Run,
    op: &Deinterleave,
    ins: &[&Tensor],
    outs: &[Meta],
) -> Result<Outputs<Tensor>> {
    let x = &match ins {
        [x] => (*x).clone(),
        _ => {
            let mut meta = ins[0].meta();
            meta.dims[1] = ins.iter().map(|x| x.dims()[1]).sum();
            cat(run, &Cat { axis: 1 }, ins, &meta)?
        }
    };
    let parts = outs.iter().map(|m| Ok((empty_pixels(run, &m.dims, m.dtype)?, 0)));
    let parts: Vec<(Tensor, usize)> = parts.collect::<Result<_>>()?;
    if !x.is_empty() {
        let each = outs[0].dims[1];
        let [each_int, total, _] = ints(run, [each, op.parts, x.len()])?;
        let (x, pixels) = (pixels(run, x)?, x.len() / (each * op.parts));
        for (number, some) in parts.chunks(AT_ONCE).enumerate() {
            run.kernel("copy", &format!("deinterleave_b{}", x.dtype().size()))?
                .over(pixels * each * some.len())
                .arg(address(&x)?)
                .arg(group(run, some)?)
                .arg(pixels as i64)
                .arg(each_int)
                .arg(total)
                .arg((number * AT_ONCE) as i32)
                .run()?;
        }
    }
    parts.into_iter().map(|(t, _)| from_pixels(run, t)).collect()
}

#[cfg(test)]
mod tests {
    use tensor::Format;

    use super::*;

    #[test]
    fn halves_of_maps_are_read_where_they_lie() {
        let whole = Layout::dense(&[2, 8, 3, 4], Format::ChannelsLast);
        assert_eq!(pitch(&whole), Some(8));
        assert_eq!(pitch(&whole.slice(1, 4, 4, 1)), Some(8));
        assert_eq!(pitch(&whole.slice(1, 0, 4, 2)), None);
        assert_eq!(pitch(&whole.slice(3, 0, 2, 1)), None);
        assert_eq!(pitch(&Layout::contiguous(&[2, 8, 3, 4])), None);
        assert_eq!(pitch(&Layout::contiguous(&[2, 8, 1, 1])), Some(8));
        assert_eq!(pitch(&Layout::contiguous(&[2, 8])), None);
    }
}

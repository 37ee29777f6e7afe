//! CPU kernels: pixel by pixel, results channels-last. Two operands, which is what networks join, have loops that vectorise.

use rayon::prelude::*;

use super::*;
use crate::{
    Element, Ops, Outputs, Tensor,
    cpu::{
        conv::Source,
        dispatch::vectorized,
        dispatch_any,
        pixels::{from_pixels, pixels, readable, source},
        slice,
        strided::CHUNK,
    },
};

impl Interleave {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let y = dispatch_any!(outs[0].dtype, T => join::<T>(ins, &outs[0].dims));
        Ok(Outputs::from_iter([y?]))
    }
}

impl Deinterleave {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        dispatch_any!(outs[0].dtype, T => part::<T>(ins, outs))
    }
}

/// Elements of `n` operands that a task handles, of each one.
fn run(channels: usize, n: usize) -> usize {
    (CHUNK / (channels * n).max(1)).max(1) * channels.max(1)
}

vectorized! {
    /// Elements of both operands in turn.
    fn in_turn<T: Element>(a: &[T], b: &[T], y: &mut [T]) {
        let pairs = y.as_chunks_mut::<2>().0.iter_mut();
        pairs.zip(a.iter().zip(b)).for_each(|(y, (&a, &b))| *y = [a, b]);
    }

    /// [`in_turn`] for pixels from `first` on, whose channels lie where other channels lie beside them.
    fn pixels_in_turn<T: Element>(a: &Source<'_, T>, b: &Source<'_, T>, first: usize, y: &mut [T]) {
        for (pixel, y) in (first..).zip(y.chunks_exact_mut(2 * a.len)) {
            let pairs = y.as_chunks_mut::<2>().0.iter_mut();
            let both = a.pixel(pixel).iter().zip(b.pixel(pixel));
            pairs.zip(both).for_each(|(y, (&a, &b))| *y = [a, b]);
        }
    }

    /// The undoing of [`in_turn`] for pixels from `first` on, whose channels lie in several operands, an even number in each.
    fn out_of_turn<T: Element>(parts: &[Source<'_, T>], first: usize, a: &mut [T], b: &mut [T]) {
        let each = parts.iter().map(|part| part.len / 2).sum::<usize>();
        for (pixel, (a, b)) in (first..).zip(a.chunks_exact_mut(each).zip(b.chunks_exact_mut(each))) {
            let mut start = 0;
            for part in parts {
                let pairs = part.pixel(pixel).as_chunks::<2>().0;
                take_apart(pairs, &mut a[start..][..pairs.len()], &mut b[start..][..pairs.len()]);
                start += pairs.len();
            }
        }
    }
}

/// The first and the second of each pair; in groups, so that the compiler shuffles vectors even where there are few of them.
#[inline(always)]
fn take_apart<T: Element>(pairs: &[[T; 2]], a: &mut [T], b: &mut [T]) {
    let done = groups_apart::<T, 16>(pairs, a, b);
    let (pairs, a, b) = (&pairs[done..], &mut a[done..], &mut b[done..]);
    let done = groups_apart::<T, 8>(pairs, a, b);
    for ((pair, a), b) in pairs[done..].iter().zip(&mut a[done..]).zip(&mut b[done..]) {
        [*a, *b] = *pair;
    }
}

/// [`take_apart`] for whole groups of `G` pairs; returns how many pairs those are.
#[inline(always)]
fn groups_apart<T: Element, const G: usize>(pairs: &[[T; 2]], a: &mut [T], b: &mut [T]) -> usize {
    let groups = pairs.as_chunks::<G>().0;
    for ((pairs, a), b) in groups.iter().zip(a.as_chunks_mut::<G>().0).zip(b.as_chunks_mut::<G>().0) {
        (*a, *b) = (std::array::from_fn(|i| pairs[i][0]), std::array::from_fn(|i| pairs[i][1]));
    }
    groups.len() * G
}

/// The operands as runs of channels, read where they lie if they can be.
fn lying(ins: &[&Tensor]) -> Result<Vec<Tensor>> {
    ins.iter().map(|x| if x.dims().len() == 4 { readable(x) } else { pixels(x) }).collect()
}

/// The channels of [`lying`] operands `ins`.
fn sources<'a, T: Element>(ins: &[&Tensor], lying: &'a [Tensor]) -> Result<Vec<Source<'a, T>>> {
    let one = |(x, lying): (&&Tensor, &'a Tensor)| match x.dims() {
        [_, _, _, _] => source(lying),
        dims => Ok(Source { data: slice(lying)?, pitch: dims[1], start: 0, len: dims[1] }),
    };
    ins.iter().zip(lying).map(one).collect()
}

fn join<T: Element>(ins: &[&Tensor], dims: &[usize]) -> Result<Tensor> {
    let (n, each) = (ins.len(), dims[1] / ins.len());
    let run = run(each, n);
    // Half of a split is read where it lies.
    let lying = lying(ins)?;
    let parts = sources::<T>(ins, &lying)?;
    let dense = parts.iter().all(|part| part.len == part.pitch);
    from_pixels(dims, |y: &mut [T]| {
        if y.is_empty() {
            return;
        }
        y.par_chunks_mut(run * n).enumerate().for_each(|(i, y)| {
            let first = i * run / each;
            if let [a, b] = &parts[..] {
                if !dense {
                    return pixels_in_turn(a, b, first, y);
                }
                let at = first * each..first * each + y.len() / 2;
                return in_turn(&a.data[at.clone()], &b.data[at], y);
            }
            for (pixel, y) in y.chunks_exact_mut(each * n).enumerate() {
                let pixel = first + pixel;
                for (i, part) in parts.iter().enumerate() {
                    y[i..].iter_mut().step_by(n).zip(part.pixel(pixel)).for_each(|(y, &x)| *y = x);
                }
            }
        });
    })
}

fn part<T: Element>(ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
    let (n, dims) = (outs.len(), &outs[0].dims);
    if n == 2 && ins.iter().all(|x| x.dims()[1].is_multiple_of(2)) {
        return halves::<T>(ins, dims);
    }
    let x = match ins {
        [x] => pixels(x)?,
        _ => pixels(&Tensor::cat(ins, 1)?)?,
    };
    let (x, run) = (slice::<T>(&x)?, run(dims[1], n));
    let all = (0..n).map(|part| {
        from_pixels(dims, |y: &mut [T]| {
            y.par_chunks_mut(run).zip(x.par_chunks(run * n)).for_each(|(y, x)| {
                y.iter_mut().zip(x[part..].iter().step_by(n)).for_each(|(y, &x)| *y = x);
            });
        })
    });
    all.collect()
}

/// The channels of even and of odd number.
fn halves<T: Element>(ins: &[&Tensor], dims: &[usize]) -> Result<Outputs<Tensor>> {
    let lying = lying(ins)?;
    let parts = sources::<T>(ins, &lying)?;
    let run = run(dims[1], 2);
    let mut second = None;
    let first = from_pixels(dims, |a: &mut [T]| {
        second = Some(from_pixels(dims, |b: &mut [T]| {
            if !a.is_empty() {
                let both = a.par_chunks_mut(run).zip(b.par_chunks_mut(run)).enumerate();
                both.for_each(|(i, (a, b))| out_of_turn(&parts, i * run / dims[1], a, b));
            }
        }));
    })?;
    let second = second.transpose()?;
    Ok(std::iter::once(first).chain(second).collect())
}

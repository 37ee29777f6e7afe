//! CPU kernels: pixel by pixel, results channels-last. Two operands, which is what networks join, have loops that vectorise.

use rayon::prelude::*;

use super::*;
use crate::{
    Element, Outputs, Tensor,
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
        let x = pixels(ins[0])?;
        dispatch_any!(x.dtype(), T => part::<T>(slice(&x)?, outs))
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
}

fn join<T: Element>(ins: &[&Tensor], dims: &[usize]) -> Result<Tensor> {
    let (n, each) = (ins.len(), dims[1] / ins.len());
    let run = run(each, n);
    // Half of a split is read where it lies.
    let image = dims.len() == 4;
    let lying: Vec<Tensor> =
        ins.iter().map(|x| if image { readable(x) } else { pixels(x) }).collect::<Result<_>>()?;
    let parts: Vec<Source<'_, T>> = lying
        .iter()
        .map(|x| match image {
            true => source(x),
            false => Ok(Source { data: slice(x)?, pitch: each, start: 0, len: each }),
        })
        .collect::<Result<_>>()?;
    let dense = parts.iter().all(|part| part.len == part.pitch);
    from_pixels(dims, |y: &mut [T]| {
        if y.is_empty() {
            return;
        }
        y.par_chunks_mut(run * n).enumerate().for_each(|(i, y)| {
            let first = i * run / each;
            if let ([a, b], true) = (&parts[..], dense) {
                let at = first * each..first * each + y.len() / 2;
                return in_turn(&a.data[at.clone()], &b.data[at], y);
            }
            for (pixel, y) in y.chunks_exact_mut(each * n).enumerate() {
                let pixel = first + pixel;
                if let [a, b] = &parts[..] {
                    in_turn(a.pixel(pixel), b.pixel(pixel), y);
                    continue;
                }
                for (i, part) in parts.iter().enumerate() {
                    y[i..].iter_mut().step_by(n).zip(part.pixel(pixel)).for_each(|(y, &x)| *y = x);
                }
            }
        });
    })
}

fn part<T: Element>(x: &[T], outs: &[Meta]) -> Result<Outputs<Tensor>> {
    let (n, dims) = (outs.len(), &outs[0].dims);
    let run = run(dims[1], n);
    if n != 2 {
        let all = outs.iter().enumerate().map(|(part, meta)| {
            from_pixels(&meta.dims, |y: &mut [T]| {
                y.par_chunks_mut(run).zip(x.par_chunks(run * n)).for_each(|(y, x)| {
                    y.iter_mut().zip(x[part..].iter().step_by(n)).for_each(|(y, &x)| *y = x);
                });
            })
        });
        return all.collect();
    }
    let mut second = None;
    let first = from_pixels(dims, |a: &mut [T]| {
        second = Some(from_pixels(dims, |b: &mut [T]| {
            let both = a.par_chunks_mut(run).zip(b.par_chunks_mut(run));
            both.zip(x.par_chunks(run * 2)).for_each(|((a, b), x)| {
                let pairs = x.as_chunks::<2>().0.iter();
                pairs.zip(a.iter_mut().zip(b)).for_each(|(x, (a, b))| [*a, *b] = *x);
            });
        }));
    })?;
    let second = second.transpose()?;
    Ok(std::iter::once(first).chain(second).collect())
}

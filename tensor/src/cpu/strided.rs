//! The walk that pointwise kernels and copies share: any operand layouts in, a dense result out.
//!
//! The result is walked in its memory order. Axes that are adjacent for every operand are joined first, so
//! dense operands of one layout become a single flat run, and a per-channel operand over channels-last
//! becomes rows of C adjacent elements. A kernel is a loop over adjacent slices; where an operand's elements
//! are not adjacent (strided, or repeated), up to [`BLOCK`] of them are collected in a buffer first. So one
//! loop for each function serves every layout, and that loop vectorises.

use std::array::from_fn;

use rayon::prelude::*;

use super::{output, slice, transpose};
use crate::{Dims, Element, Format, Layout, Result, Tensor, layout::order};

/// Elements in one parallel task. Fixed: how work is cut must not depend on the number of threads.
pub(crate) const CHUNK: usize = 1 << 15;

/// Elements of a non-adjacent operand collected at a time.
const BLOCK: usize = 256;

/// Dims of a result, outermost in memory first and joined where possible, with the operands' strides.
#[derive(Debug)]
pub(crate) struct Walk<const N: usize> {
    pub(crate) dims: Dims,
    pub(crate) strides: [Dims; N],
}

/// A piece of the result: some rows of `width` elements, with the operands' places and steps.
pub(crate) struct Tile<const N: usize> {
    /// The operands' offsets of the first element.
    offsets: [usize; N],
    /// The operands' steps from row to row.
    rows: [usize; N],
    /// The operands' steps within a row.
    cols: [usize; N],
    /// Elements in a row.
    width: usize,
}

impl<const N: usize> Walk<N> {
    /// The walk over a dense result of `dims` in `format`, by operands whose layouts have the same dims.
    pub(crate) fn new(dims: &[usize], format: Format, operands: [&Layout; N]) -> Self {
        Self::in_order(dims, &order(dims.len(), format), operands)
    }

    /// The walk over a result whose axes are dense in memory in the given order, outermost first.
    pub(crate) fn in_order(dims: &[usize], axes: &[usize], operands: [&Layout; N]) -> Self {
        let mut walk = Self { dims: Dims::new(), strides: from_fn(|_| Dims::new()) };
        for &axis in axes.iter().filter(|&&a| dims[a] != 1) {
            let size = dims[axis];
            let steps: [usize; N] = from_fn(|k| operands[k].strides()[axis]);
            let joins = (0..N).all(|k| walk.strides[k].last() == Some(&(steps[k] * size)));
            match walk.dims.last_mut() {
                Some(outer) if joins => {
                    *outer *= size;
                    (0..N).for_each(|k| *walk.strides[k].last_mut().unwrap_or(&mut 0) = steps[k]);
                }
                _ => {
                    walk.dims.push(size);
                    (0..N).for_each(|k| walk.strides[k].push(steps[k]));
                }
            }
        }
        if walk.dims.is_empty() {
            walk.dims.push(1);
            walk.strides.iter_mut().for_each(|s| s.push(1));
        }
        walk
    }

    /// Calls `tile` with pieces of `out` (which holds the whole result), in parallel.
    pub(crate) fn run<U: Send>(&self, out: &mut [U], tile: &(dyn Fn(&Tile<N>, &mut [U]) + Sync)) {
        if out.is_empty() {
            return;
        }
        let inner = self.dims[self.dims.len() - 1];
        let chunk = if inner < CHUNK { CHUNK / inner * inner } else { CHUNK };
        if out.len() <= CHUNK {
            self.piece(0, out, tile);
        } else {
            let pieces = out.par_chunks_mut(chunk).enumerate();
            pieces.for_each(|(i, piece)| self.piece(i * chunk, piece, tile));
        }
    }

    /// The part of the walk that writes `out`, whose first element is number `at`.
    fn piece<U>(&self, mut at: usize, mut out: &mut [U], tile: &(dyn Fn(&Tile<N>, &mut [U]) + Sync)) {
        let last = self.dims.len() - 1;
        let inner = self.dims[last];
        let cols = from_fn(|k| self.strides[k][last]);
        let rows = from_fn(|k| if last > 0 { self.strides[k][last - 1] } else { 0 });
        while !out.is_empty() {
            let (mut rest, col) = (at / inner, at % inner);
            let rows_left = if last > 0 { self.dims[last - 1] - rest % self.dims[last - 1] } else { 1 };
            let mut offsets: [usize; N] = from_fn(|k| col * cols[k]);
            for axis in (0..last).rev() {
                let i = rest % self.dims[axis];
                rest /= self.dims[axis];
                (0..N).for_each(|k| offsets[k] += i * self.strides[k][axis]);
            }
            let n = if col == 0 && out.len() >= inner {
                inner * rows_left.min(out.len() / inner)
            } else {
                out.len().min(inner - col)
            };
            let (head, tail) = out.split_at_mut(n);
            tile(&Tile { offsets, rows, cols, width: n.min(inner) }, head);
            at += n;
            out = tail;
        }
    }
}

impl<const N: usize> Tile<N> {
    /// Cuts the tile's part of the result into pieces that [`Window::at`] can serve.
    #[inline]
    fn pieces<U>(&self, out: &mut [U], mut f: impl FnMut([usize; N], &mut [U])) {
        let block = if self.cols == [1; N] { self.width } else { BLOCK };
        for (r, row) in out.chunks_mut(self.width).enumerate() {
            for (b, piece) in row.chunks_mut(block).enumerate() {
                f(from_fn(|k| self.offsets[k] + r * self.rows[k] + b * block * self.cols[k]), piece);
            }
        }
    }
}

/// Some elements of an operand as a slice: borrowed where they are adjacent, else collected here.
struct Window<T> {
    copy: [T; BLOCK],
    /// Offset of the element that fills `copy`.
    filled: Option<usize>,
}

impl<T: Element> Window<T> {
    fn new() -> Self {
        Self { copy: [T::ZERO; BLOCK], filled: None }
    }

    #[inline]
    fn at<'a>(&'a mut self, x: &'a [T], offset: usize, step: usize, n: usize) -> &'a [T] {
        match step {
            1 => &x[offset..offset + n],
            0 => {
                if self.filled != Some(offset) {
                    self.copy.fill(x[offset]);
                    self.filled = Some(offset);
                }
                &self.copy[..n]
            }
            _ => {
                let elements = x[offset..].iter().step_by(step);
                self.copy[..n].iter_mut().zip(elements).for_each(|(c, &v)| *c = v);
                &self.copy[..n]
            }
        }
    }
}

/// The format for a result of `dims`: channels-last where an operand of full size is.
pub(crate) fn common_format(dims: &[usize], operands: &[&Tensor]) -> Format {
    let last = |x: &&Tensor| x.dims() == dims && x.layout().preferred_format() == Format::ChannelsLast;
    if operands.iter().any(last) { Format::ChannelsLast } else { Format::Contiguous }
}

/// `x`, or a dense copy in `format` where its order in memory is so different that reading it element by
/// element along the result would waste most of each cache line.
fn settled(x: &Tensor, dims: &[usize], format: Format) -> Result<Tensor> {
    let crossed = x.dims() == dims
        && x.len() > CHUNK
        && transpose::crossing(&Walk::new(dims, format, [x.layout()])).is_some();
    if crossed { x.to_format(format) } else { Ok(x.clone()) }
}

/// A loop over the adjacent elements of one operand (or two, or three) and of the result.
type Loop1<'a, A, U> = dyn Fn(&[A], &mut [U]) + Sync + 'a;
type Loop2<'a, A, B, U> = dyn Fn(&[A], &[B], &mut [U]) + Sync + 'a;
type Loop3<'a, A, B, C, U> = dyn Fn(&[A], &[B], &[C], &mut [U]) + Sync + 'a;

/// The result of `f` on the elements of `x`. `f` gets slices of one length.
pub(crate) fn map1<A: Element, U: Element>(x: &Tensor, f: &Loop1<A, U>) -> Result<Tensor> {
    let (dims, format) = (x.dims(), x.layout().preferred_format());
    let x = settled(x, dims, format)?;
    let a = slice::<A>(&x)?;
    let walk = Walk::new(dims, format, [x.layout()]);
    output(dims, format, |out| {
        walk.run(out, &|tile, out| {
            let mut wa = Window::new();
            tile.pieces(out, |[oa], out| f(wa.at(a, oa, tile.cols[0], out.len()), out));
        });
    })
}

/// The result of `f` on the elements of `x` and `y`, broadcast to `dims`. `f` gets slices of one length.
pub(crate) fn map2<A: Element, B: Element, U: Element>(
    dims: &[usize],
    x: &Tensor,
    y: &Tensor,
    f: &Loop2<A, B, U>,
) -> Result<Tensor> {
    let format = common_format(dims, &[x, y]);
    let (x, y) = (settled(x, dims, format)?, settled(y, dims, format)?);
    let (a, b) = (slice::<A>(&x)?, slice::<B>(&y)?);
    let layouts = [&x, &y].map(|t| t.layout().broadcast_to(dims));
    let walk = Walk::new(dims, format, layouts.each_ref());
    output(dims, format, |out| {
        walk.run(out, &|tile, out| {
            let (mut wa, mut wb) = (Window::new(), Window::new());
            tile.pieces(out, |[oa, ob], out| {
                let n = out.len();
                f(wa.at(a, oa, tile.cols[0], n), wb.at(b, ob, tile.cols[1], n), out);
            });
        });
    })
}

/// The result of `f` on the elements of three operands, broadcast to `dims`. `f` gets slices of one length.
pub(crate) fn map3<A: Element, B: Element, C: Element, U: Element>(
    dims: &[usize],
    [x, y, z]: [&Tensor; 3],
    f: &Loop3<A, B, C, U>,
) -> Result<Tensor> {
    let format = common_format(dims, &[x, y, z]);
    let (x, y, z) = (settled(x, dims, format)?, settled(y, dims, format)?, settled(z, dims, format)?);
    let (a, b, c) = (slice::<A>(&x)?, slice::<B>(&y)?, slice::<C>(&z)?);
    let layouts = [&x, &y, &z].map(|t| t.layout().broadcast_to(dims));
    let walk = Walk::new(dims, format, layouts.each_ref());
    output(dims, format, |out| {
        walk.run(out, &|tile, out| {
            let (mut wa, mut wb, mut wc) = (Window::new(), Window::new(), Window::new());
            tile.pieces(out, |[oa, ob, oc], out| {
                let [sa, sb, sc] = tile.cols;
                let n = out.len();
                f(wa.at(a, oa, sa, n), wb.at(b, ob, sb, n), wc.at(c, oc, sc, n), out);
            });
        });
    })
}

/// Copies the walked operand `x` into `out`.
pub(crate) fn copy_to<T: Element>(walk: &Walk<1>, x: &[T], out: &mut [T]) {
    if let Some(axis) = transpose::crossing(walk) {
        return transpose::run(walk, axis, x, out);
    }
    walk.run(out, &|tile, out| {
        let step = tile.cols[0];
        tile.pieces(out, |[offset], out| match step {
            1 => out.copy_from_slice(&x[offset..offset + out.len()]),
            0 => out.fill(x[offset]),
            _ => out.iter_mut().zip(x[offset..].iter().step_by(step)).for_each(|(o, &v)| *o = v),
        });
    });
}

/// Steps through the elements of one or more layouts of the same dims, in row-major order of those dims.
pub(crate) struct Cursor<'a, const N: usize> {
    walk: &'a Walk<N>,
    place: Dims,
    /// The operands' offsets of the current element.
    pub(crate) offsets: [usize; N],
}

impl<'a, const N: usize> Cursor<'a, N> {
    /// At element number `at` of the walk.
    pub(crate) fn new(walk: &'a Walk<N>, mut at: usize) -> Self {
        let mut place: Dims = walk.dims.clone();
        let mut offsets = [0; N];
        for axis in (0..place.len()).rev() {
            let size = walk.dims[axis].max(1);
            place[axis] = at % size;
            at /= size;
            (0..N).for_each(|k| offsets[k] += place[axis] * walk.strides[k][axis]);
        }
        Self { walk, place, offsets }
    }

    /// Goes to the next element; after the last, to the first.
    #[inline]
    pub(crate) fn advance(&mut self) {
        for axis in (0..self.place.len()).rev() {
            self.place[axis] += 1;
            if self.place[axis] < self.walk.dims[axis] {
                (0..N).for_each(|k| self.offsets[k] += self.walk.strides[k][axis]);
                return;
            }
            let back = self.walk.dims[axis] - 1;
            self.place[axis] = 0;
            (0..N).for_each(|k| self.offsets[k] -= back * self.walk.strides[k][axis]);
        }
    }
}

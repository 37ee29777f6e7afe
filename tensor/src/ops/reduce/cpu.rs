//! CPU kernels of `Reduce`.
//!
//! The operand's axes are taken in its memory order, those kept and those reduced each joined where adjacent.
//! Where the innermost axis is reduced, runs of adjacent elements fold into one result (`rows`); where it is
//! kept, rows of adjacent elements fold into a row of results (`columns`). Long reductions are cut into pieces
//! whose partial results are merged in order; pieces depend on the shape alone, so results do not depend on
//! the number of threads.

use std::cmp::Reverse;

use rayon::prelude::*;

use super::{
    fold::{DEPTH, Fold, Max, Min, Sum},
    *,
};
use crate::{
    Element, Format, Ops, Outputs, Tensor,
    cpu::{
        output, slice,
        strided::{CHUNK, Cursor, Walk},
    },
};

/// Adjacent elements folded side by side in `rows`.
const LANES: usize = 16;
/// Columns folded at a time in `columns`.
const COLUMNS: usize = 256;
/// Elements in a piece of a long reduction.
const PIECE: usize = 2 * CHUNK;

/// The axes of an operand, in its memory order, split into those kept and those reduced.
pub(super) struct Split {
    /// The kept axes, outermost in memory first.
    axes: Dims,
    pub(super) kept: Walk<1>,
    pub(super) reduced: Walk<1>,
}

impl Split {
    pub(super) fn new(x: &Tensor, reduced: &[usize]) -> Self {
        let strides = x.layout().strides();
        let mut order: Dims = (0..x.dims().len()).collect();
        // Repeated axes (stride 0) go outermost.
        order.sort_by_key(|&a| Reverse(if strides[a] == 0 { usize::MAX } else { strides[a] }));
        let (gone, axes): (Dims, Dims) = order.into_iter().partition(|a| reduced.contains(a));
        let walk = |axes: &[usize]| Walk::in_order(x.dims(), axes, [x.layout()]);
        Self { kept: walk(&axes), reduced: walk(&gone), axes }
    }

    /// Whether the innermost axis is kept; `None` where its elements are not adjacent.
    pub(super) fn by_columns(&self) -> Option<bool> {
        let [kept, reduced] =
            [&self.kept, &self.reduced].map(|w| (w.dims.last() == Some(&1), w.strides[0].last()));
        match (kept, reduced) {
            ((false, Some(1)), _) => Some(true),
            ((true, _), (true, _)) => Some(false),
            (_, (false, Some(1))) => Some(false),
            _ => None,
        }
    }

    /// A tensor of the results, which `fill` writes in the memory order of the kept axes, as `dims`.
    pub(super) fn collect<T: Element>(
        &self,
        x: &Tensor,
        dims: &[usize],
        fill: impl FnOnce(&mut [T]),
    ) -> Result<Tensor> {
        let sizes: Dims = self.axes.iter().map(|&a| x.dims()[a]).collect();
        let y = output::<T>(&sizes, Format::Contiguous, fill)?;
        // Back to the operand's order of axes; then those of size 1 where reduced axes stay.
        let mut places: Dims = (0..self.axes.len()).collect();
        places.sort_by_key(|&i| self.axes[i]);
        let layout = y.layout().permute(&places).reshape(dims);
        let layout =
            layout.ok_or_else(|| Error::value("reduce", "the result's axes can not be rearranged"))?;
        let y = y.with_layout(layout);
        let dense = [Format::Contiguous, Format::ChannelsLast].iter().any(|&f| y.layout().is_dense(f));
        if dense { Ok(y) } else { y.to_format(y.layout().preferred_format()) }
    }
}

/// `x` and its axes split, copied where neither kept nor reduced axes are adjacent in memory.
pub(super) fn split(x: &Tensor, reduced: &[usize]) -> Result<(Tensor, Split, bool)> {
    let split = Split::new(x, reduced);
    if let Some(by_columns) = split.by_columns() {
        return Ok((x.clone(), split, by_columns));
    }
    let x = x.copy(x.layout().preferred_format())?;
    let split = Split::new(&x, reduced);
    let by_columns = split.by_columns().unwrap_or(false);
    Ok((x, split, by_columns))
}

impl Reduce {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let (x, dims) = (ins[0], &outs[0].dims[..]);
        let y = if x.is_empty() {
            // Nothing to sum, or no results: the shape rule lets no other case through.
            Tensor::zeros(dims, outs[0].dtype)
        } else {
            match (self.kind, x.dtype()) {
                (Reduction::Sum | Reduction::Mean, DType::F32) => self.fold::<Sum<f32>>(x, dims),
                (Reduction::Sum | Reduction::Mean, DType::F64) => self.fold::<Sum<f64>>(x, dims),
                (Reduction::Sum | Reduction::Mean, DType::BF16) => self.fold::<Sum<half::bf16>>(x, dims),
                (Reduction::Sum | Reduction::Mean, DType::I64) => self.fold::<Sum<i64>>(x, dims),
                (Reduction::Sum | Reduction::Mean, DType::U8) => self.fold::<Sum<u8>>(x, dims),
                (Reduction::Max, DType::F32) => self.fold::<Max<f32>>(x, dims),
                (Reduction::Max, DType::F64) => self.fold::<Max<f64>>(x, dims),
                (Reduction::Max, DType::I64) => self.fold::<Max<i64>>(x, dims),
                (Reduction::Max, DType::U8) => self.fold::<Max<u8>>(x, dims),
                (Reduction::Min, DType::F32) => self.fold::<Min<f32>>(x, dims),
                (Reduction::Min, DType::F64) => self.fold::<Min<f64>>(x, dims),
                (Reduction::Min, DType::I64) => self.fold::<Min<i64>>(x, dims),
                (Reduction::Min, DType::U8) => self.fold::<Min<u8>>(x, dims),
                (_, half @ (DType::F16 | DType::BF16)) => {
                    Err(Error::value(self.name(), format!("has no CPU kernel for {half}")))
                }
            }
        };
        Ok(Outputs::from_iter([y?]))
    }

    fn fold<F: Fold>(&self, x: &Tensor, dims: &[usize]) -> Result<Tensor> {
        let (x, split, by_columns) = split(x, &self.axes)?;
        let elements = slice::<F::In>(&x)?;
        let count: usize = split.reduced.dims.iter().product();
        let divisor = if self.kind == Reduction::Mean { count as f64 } else { 1.0 };
        split.collect(&x, dims, |out| {
            if by_columns {
                columns::<F>(&split, elements, count, divisor, out);
            } else {
                rows::<F>(&split, elements, count, divisor, out);
            }
        })
    }
}

/// Each result from runs of adjacent elements.
fn rows<F: Fold>(split: &Split, x: &[F::In], count: usize, divisor: f64, out: &mut [F::Out]) {
    let pieces = count.div_ceil(PIECE);
    let part = |base: usize, piece: usize| {
        let (from, to) = (piece * PIECE, count.min((piece + 1) * PIECE));
        run_part::<F>(&x[base..], &split.reduced, from, to)
    };
    if pieces == 1 {
        let at_once = (CHUNK / count).max(1);
        let task = |(i, out): (usize, &mut [F::Out])| {
            let mut kept = Cursor::new(&split.kept, i * at_once);
            for y in out {
                *y = F::finish(part(kept.offsets[0], 0), divisor);
                kept.advance();
            }
        };
        return tasks(out, at_once, task);
    }
    let parts: Vec<F::Acc> = (0..out.len() * pieces)
        .into_par_iter()
        .map(|t| part(Cursor::new(&split.kept, t / pieces).offsets[0], t % pieces))
        .collect();
    for (y, parts) in out.iter_mut().zip(parts.chunks(pieces)) {
        *y = F::finish(parts.iter().fold(F::acc(), |a, &b| F::merge(a, b)), divisor);
    }
}

/// Runs `task` on pieces of `out` of `size` elements; on several threads where there is more than one.
pub(super) fn tasks<T: Send>(out: &mut [T], size: usize, task: impl Fn((usize, &mut [T])) + Send + Sync) {
    if out.len() <= size {
        task((0, out));
    } else {
        out.par_chunks_mut(size).enumerate().for_each(task);
    }
}

/// Folds the elements numbered `from..to` of the reduced axes.
fn run_part<F: Fold>(x: &[F::In], reduced: &Walk<1>, from: usize, to: usize) -> F::Acc {
    let inner = reduced.dims[reduced.dims.len() - 1];
    let (mut acc, mut at) = (F::acc(), from);
    while at < to {
        let n = (inner - at % inner).min(to - at);
        let start = if at < inner { at } else { Cursor::new(reduced, at).offsets[0] };
        acc = run::<F>(acc, &x[start..start + n]);
        at += n;
    }
    acc
}

/// Folds adjacent elements.
#[inline]
fn run<F: Fold>(mut acc: F::Acc, x: &[F::In]) -> F::Acc {
    if x.len() < LANES {
        return x.iter().fold(acc, |acc, &v| F::flush(acc, F::step(F::lane(), v)));
    }
    for block in x.chunks(LANES * DEPTH) {
        let mut lanes = [F::lane(); LANES];
        let (whole, rest) = block.as_chunks::<LANES>();
        for x in whole {
            for i in 0..LANES {
                lanes[i] = F::step(lanes[i], x[i]);
            }
        }
        lanes.iter_mut().zip(rest).for_each(|(l, &v)| *l = F::step(*l, v));
        acc = lanes.iter().fold(acc, |acc, &l| F::flush(acc, l));
    }
    acc
}

/// A row of results from rows of adjacent elements.
fn columns<F: Fold>(split: &Split, x: &[F::In], count: usize, divisor: f64, out: &mut [F::Out]) {
    let width = split.kept.dims[split.kept.dims.len() - 1];
    let outer = out.len() / width;
    let depth = (PIECE / width.min(COLUMNS)).max(1);
    let pieces = count.div_ceil(depth);
    // Folds one piece of the reduced axes into `acc`, for columns from number `at` of the kept axes.
    let part = |at: usize, piece: usize, acc: &mut [F::Acc]| {
        let base = Cursor::new(&split.kept, at).offsets[0];
        columns_part::<F>(&x[base..], &split.reduced, piece * depth, count.min((piece + 1) * depth), acc);
    };
    if pieces == 1 {
        let at_once = (CHUNK / (width * count)).max(1);
        let blocks_at_once = (CHUNK / (COLUMNS * count)).max(1);
        return tasks(out, width * at_once, |(i, out)| {
            for (r, row) in out.chunks_mut(width).enumerate() {
                tasks(row, COLUMNS * blocks_at_once, |(t, out)| {
                    for (b, out) in out.chunks_mut(COLUMNS).enumerate() {
                        let mut acc = [F::acc(); COLUMNS];
                        let acc = &mut acc[..out.len()];
                        part((i * at_once + r) * width + (t * blocks_at_once + b) * COLUMNS, 0, acc);
                        out.iter_mut().zip(acc).for_each(|(y, &mut a)| *y = F::finish(a, divisor));
                    }
                });
            }
        });
    }
    let mut parts = vec![F::acc(); out.len() * pieces];
    parts.par_chunks_mut(width).enumerate().for_each(|(t, row)| {
        tasks(row, COLUMNS, |(b, acc)| part(t % outer * width + b * COLUMNS, t / outer, acc));
    });
    let n = out.len();
    tasks(out, CHUNK, |(i, out)| {
        for (k, y) in out.iter_mut().enumerate() {
            let parts = parts[i * CHUNK + k..].iter().step_by(n);
            *y = F::finish(parts.fold(F::acc(), |a, &b| F::merge(a, b)), divisor);
        }
    });
}

/// Folds the rows numbered `from..to` of the reduced axes into `acc`.
fn columns_part<F: Fold>(x: &[F::In], reduced: &Walk<1>, from: usize, to: usize, acc: &mut [F::Acc]) {
    let last = reduced.dims.len() - 1;
    let (inner, step) = (reduced.dims[last], reduced.strides[0][last]);
    let width = acc.len();
    // Narrow rows that follow each other are folded several at a time.
    let group = if step == width { (COLUMNS / width).max(1) } else { 1 };
    let mut at = from;
    while at < to {
        let n = (inner - at % inner).min(to - at);
        let x = &x[Cursor::new(reduced, at).offsets[0]..];
        let whole = n / group * group;
        block::<F>(x, whole / group, step * group, width * group, acc);
        block::<F>(x.get(whole * step..).unwrap_or(&[]), n - whole, step, width, acc);
        at += n;
    }
}

/// Folds `rows` rows of `width` elements into `acc`, whose length divides `width`.
fn block<F: Fold>(x: &[F::In], rows: usize, step: usize, width: usize, acc: &mut [F::Acc]) {
    let mut lanes = [F::lane(); COLUMNS];
    let lanes = &mut lanes[..width];
    for first in (0..rows).step_by(DEPTH) {
        lanes.fill(F::lane());
        for r in first..rows.min(first + DEPTH) {
            let row = &x[r * step..r * step + width];
            lanes.iter_mut().zip(row).for_each(|(l, &v)| *l = F::step(*l, v));
        }
        for lanes in lanes.chunks_exact(acc.len()) {
            acc.iter_mut().zip(lanes).for_each(|(a, &l)| *a = F::flush(*a, l));
        }
    }
}

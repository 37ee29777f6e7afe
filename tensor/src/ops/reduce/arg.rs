//! CPU kernel of `ArgReduce`.

use std::array::from_fn;

use super::{
    cpu::{split, tasks},
    *,
};
use crate::{
    Element, Outputs, Tensor,
    cpu::{
        dispatch::vectorized,
        slice,
        strided::{CHUNK, Cursor},
    },
};

/// Columns, or rows, searched side by side: none of their comparisons waits for another's.
const COLUMNS: usize = 16;
const ROWS: usize = 8;

impl ArgReduce {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let (x, dims) = (ins[0], &outs[0].dims[..]);
        let y = match x.dtype() {
            DType::F32 => self.find::<f32>(x, dims),
            DType::F64 => self.find::<f64>(x, dims),
            DType::I64 => self.find::<i64>(x, dims),
            DType::U8 => self.find::<u8>(x, dims),
            half @ (DType::F16 | DType::BF16) => {
                Err(Error::value(self.name(), format!("has no CPU kernel for {half}")))
            }
        };
        Ok(Outputs::from_iter([y?]))
    }

    fn find<T: Element>(&self, x: &Tensor, dims: &[usize]) -> Result<Tensor> {
        if x.is_empty() {
            return Tensor::zeros(dims, DType::I64);
        }
        // The first NaN wins, and is kept: nothing is larger or smaller than it.
        #[allow(clippy::eq_op)]
        match self.kind {
            Extremum::Max => {
                search::<T>(x, self.axis, dims, |v, best| (v > best) | ((v != v) & (best == best)))
            }
            Extremum::Min => {
                search::<T>(x, self.axis, dims, |v, best| (v < best) | ((v != v) & (best == best)))
            }
        }
    }
}

/// The index of the first element along `axis` that is `better` than all before it and not bettered after.
fn search<T: Element>(
    x: &Tensor,
    axis: usize,
    dims: &[usize],
    better: impl Fn(T, T) -> bool + Send + Sync,
) -> Result<Tensor> {
    let (x, split, by_columns) = split(x, &[axis])?;
    let elements = slice::<T>(&x)?;
    let (len, step) = (x.dims()[axis], x.layout().strides()[axis]);
    let width = split.kept.dims[split.kept.dims.len() - 1];
    let at_once = (CHUNK / len).max(1);
    split.collect::<i64>(&x, dims, |out| {
        tasks(out, at_once, |(i, out)| {
            let (mut at, mut out) = (i * at_once, out);
            while by_columns && !out.is_empty() {
                let n = out.len().min(width - at % width);
                let (head, tail) = out.split_at_mut(n);
                columns(&elements[Cursor::new(&split.kept, at).offsets[0]..], len, step, head, &better);
                (at, out) = (at + n, tail);
            }
            let mut kept = Cursor::new(&split.kept, at);
            let (blocks, out) = if step == 1 { out.as_chunks_mut::<ROWS>() } else { (&mut [][..], out) };
            for y in blocks {
                let rows = from_fn(|_| {
                    let start = kept.offsets[0];
                    kept.advance();
                    &elements[start..start + len]
                });
                *y = side_by_side(rows, len, &better);
            }
            for y in out {
                let start = kept.offsets[0];
                *y = row(&elements[start..=start + (len - 1) * step], step, &better) as i64;
                kept.advance();
            }
        });
    })
}

vectorized! {
    /// Searches several rows of `len` adjacent elements at once.
    fn side_by_side<T: Element>(rows: [&[T]; ROWS], len: usize, better: &impl Fn(T, T) -> bool) -> [i64; ROWS] {
        let rows = rows.map(|row| &row[..len]);
        let mut best = rows.map(|row| row[0]);
        let mut index = [0u32; ROWS];
        for i in 1..len {
            let next: [T; ROWS] = from_fn(|k| rows[k][i]);
            for k in 0..ROWS {
                let wins = better(next[k], best[k]);
                best[k] = if wins { next[k] } else { best[k] };
                index[k] = if wins { i as u32 } else { index[k] };
            }
        }
        index.map(i64::from)
    }
}

vectorized! {
    /// Searches the columns of `len` rows, `step` apart, at once.
    fn columns<T: Element>(x: &[T], len: usize, step: usize, out: &mut [i64], better: &impl Fn(T, T) -> bool) {
        let (blocks, rest) = out.as_chunks_mut::<COLUMNS>();
        let done = blocks.len() * COLUMNS;
        for (b, out) in blocks.iter_mut().enumerate() {
            let x = &x[b * COLUMNS..];
            let mut best: [T; COLUMNS] = from_fn(|k| x[k]);
            let mut index = [0u32; COLUMNS];
            for i in 1..len {
                let next = &x[i * step..i * step + COLUMNS];
                for k in 0..COLUMNS {
                    let wins = better(next[k], best[k]);
                    best[k] = if wins { next[k] } else { best[k] };
                    index[k] = if wins { i as u32 } else { index[k] };
                }
            }
            *out = index.map(i64::from);
        }
        for (j, y) in rest.iter_mut().enumerate() {
            let start = done + j;
            *y = row(&x[start..=start + (len - 1) * step], step, better) as i64;
        }
    }
}

fn row<T: Element>(x: &[T], step: usize, better: &impl Fn(T, T) -> bool) -> usize {
    let (mut best, mut index) = (x[0], 0);
    let mut consider = |i: usize, v: T| {
        if better(v, best) {
            (best, index) = (v, i);
        }
    };
    if step == 1 {
        x.iter().enumerate().for_each(|(i, &v)| consider(i, v));
    } else {
        x.iter().step_by(step.max(1)).enumerate().for_each(|(i, &v)| consider(i, v));
    }
    index
}

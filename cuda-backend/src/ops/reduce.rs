//! Reductions over axes: `kernels/reduce.cu` and `kernels/arg_reduce.cu`.
//!
//! Operands are read where they lie. Their axes are taken in memory order, those kept and those reduced each as a walk; long
//! reductions are cut into pieces that depend on the shape alone.

use std::cmp::Reverse;

use tensor::ops::{ArgReduce, Extremum, Reduce, Reduction};
use tensor::{DType, Dims, Format, Layout, Meta, Tensor};

use super::geometry::{int, seen};
use super::{Run, Walk, address, fill_zeros, suffix};
use crate::error::{Error, Result};

/// Results that a block of `reduce_columns` makes.
const COLUMNS: usize = 32;
/// From how many elements a result is worth a block of its own.
const LONG: usize = 128;
/// Blocks that keep a device busy, and elements below which a piece is not worth its launch.
const BLOCKS: usize = 1024;
const PIECE: usize = 2048;

/// The axes of an operand in its memory order, split into those kept and those reduced.
struct Split {
    /// The kept axes, outermost in memory first.
    axes: Dims,
    kept: Layout,
    reduced: Layout,
}

impl Split {
    /// `x` must not be empty.
    fn new(x: &Tensor, reduced: &[usize]) -> Self {
        let layout = x.layout();
        let mut order: Dims = (0..layout.rank()).collect();
        // Repeated axes (stride 0) go outermost.
        order.sort_by_key(|&a| {
            Reverse(if layout.strides()[a] == 0 { usize::MAX } else { layout.strides()[a] })
        });
        let axes: Dims = order.iter().copied().filter(|a| !reduced.contains(a)).collect();
        // All axes in memory order, with size 1 where they are the other's.
        let only = |reduced_ones: bool| {
            let others = (0..layout.rank()).filter(|a| reduced.contains(a) != reduced_ones);
            others.fold(layout.clone(), |l, axis| l.slice(axis, 0, 1, 1)).permute(&order)
        };
        Self { axes, kept: only(false), reduced: only(true) }
    }

    fn walk(run: &Run, layout: &Layout) -> Result<Walk<1>> {
        Walk::new(run.op(), &Layout::contiguous(layout.dims()), [layout])
    }

    /// Room for the results in the memory order of the kept axes.
    fn results(&self, run: &Run, x: &Tensor, dtype: DType) -> Result<Tensor> {
        let sizes: Dims = self.axes.iter().map(|&a| x.dims()[a]).collect();
        run.empty(&sizes, dtype, Format::Contiguous)
    }

    /// The results with the axes in their places: as `dims`, dense.
    fn place(&self, run: &Run, y: Tensor, dims: &[usize]) -> Result<Tensor> {
        let mut places: Dims = (0..self.axes.len()).collect();
        places.sort_by_key(|&i| self.axes[i]);
        let layout = y.layout().permute(&places).reshape(dims);
        let what = "the result's axes can not be rearranged".to_owned();
        let y = seen(&y, layout.ok_or(Error::Unsupported { op: run.op(), what })?);
        let dense = [Format::Contiguous, Format::ChannelsLast].iter().any(|&f| y.layout().is_dense(f));
        if dense { Ok(y) } else { run.dense(&y, y.layout().preferred_format()) }
    }
}

/// The step of the innermost axis with more than one element.
fn inner_step(layout: &Layout) -> Option<usize> {
    let axis = (0..layout.rank()).rev().find(|&a| layout.dims()[a] != 1);
    axis.map(|a| layout.strides()[a])
}

pub(crate) fn reduce(run: &Run, op: &Reduce, x: &Tensor, out: &Meta) -> Result<Tensor> {
    if x.is_empty() {
        // Nothing to sum, or no results: the shape rule lets no other case through.
        let y = run.empty(&out.dims, out.dtype, Format::Contiguous)?;
        fill_zeros(run, &y)?;
        return Ok(y);
    }
    let split = Split::new(x, &op.axes);
    let y = split.results(run, x, out.dtype)?;
    let (results, count) = (y.len(), split.reduced.len());
    let (name, divisor) = match op.kind {
        Reduction::Sum => ("sum", 1.0),
        Reduction::Mean => ("sum", count as f64),
        Reduction::Max => ("max", 1.0),
        Reduction::Min => ("min", 1.0),
    };
    let rows = count >= LONG && inner_step(&split.reduced) == Some(1);
    let blocks = if rows { results } else { results.div_ceil(COLUMNS) };
    let pieces = (BLOCKS / blocks).clamp(1, count.div_ceil(PIECE));
    let piece = count.div_ceil(pieces);
    let pieces = count.div_ceil(piece);
    let (way, block) = if rows { ("rows", [256, 1, 1]) } else { ("columns", [COLUMNS as u32, 8, 1]) };
    // No type of partial results is wider than 8 bytes.
    let parts = run.scratch(8 * pieces * results)?;
    let suffix = suffix(x.dtype());
    run.kernel("reduce", &format!("reduce_{way}_{name}_{suffix}"))?
        .grid([blocks.min(1 << 20) as u32, pieces as u32, 1])
        .block(block)
        .arg(address(x)?)
        .arg(parts.address())
        .arg(Split::walk(run, &split.kept)?)
        .arg(Split::walk(run, &split.reduced)?)
        .arg(results as i64)
        .arg(count as i64)
        .arg(piece as i64)
        .run()?;
    run.kernel("reduce", &format!("reduce_finish_{name}_{suffix}"))?
        .over(results)
        .arg(parts.address())
        .arg(address(&y)?)
        .arg(results as i64)
        .arg(pieces as i32)
        .arg(divisor)
        .run()?;
    split.place(run, y, &out.dims)
}

/// The largest of up to 256 classes (axis 1) of each pixel, as u8, without an i64 map in between.
pub(crate) fn labels(run: &Run, x: &Tensor) -> Result<Tensor> {
    let op = ArgReduce { kind: Extremum::Max, axis: 1, keep: false };
    let dims: Dims = x.dims().iter().enumerate().filter(|(a, _)| *a != 1).map(|(_, &d)| d).collect();
    arg_reduce(run, &op, x, &Meta::new(dims, DType::U8))
}

/// `out` says in which type places are stored: i64, or u8 for maps of labels.
pub(crate) fn arg_reduce(run: &Run, op: &ArgReduce, x: &Tensor, out: &Meta) -> Result<Tensor> {
    if x.is_empty() {
        return run.empty(&out.dims, out.dtype, Format::Contiguous);
    }
    let split = Split::new(x, &[op.axis]);
    let y = split.results(run, x, out.dtype)?;
    let (results, len) = (y.len(), x.dims()[op.axis]);
    let long = len >= LONG && results < BLOCKS * COLUMNS && out.dtype == DType::I64;
    let name = match (op.kind, out.dtype) {
        (Extremum::Max, DType::U8) => "labels_",
        (Extremum::Max, _) if long => "arg_max_long_",
        (Extremum::Max, _) => "arg_max_",
        (Extremum::Min, _) if long => "arg_min_long_",
        (Extremum::Min, _) => "arg_min_",
    };
    let name = format!("{name}{}", suffix(x.dtype()));
    let kernel = run.kernel("arg_reduce", &name)?;
    let kernel = if long { kernel.grid([results as u32, 1, 1]) } else { kernel.over(results) };
    kernel
        .arg(address(x)?)
        .arg(address(&y)?)
        .arg(Split::walk(run, &split.kept)?)
        .arg(results as i64)
        .arg(int(run, len)?)
        .arg(x.layout().strides()[op.axis] as i64)
        .run()?;
    split.place(run, y, &out.dims)
}

//! Steps of optimisers on many parameters, and sums of squares of many tensors: `kernels/optimizer.cu`.

use tensor::ops::{Update, UpdateRule};
use tensor::{DType, Format, Meta, Outputs, Tensor};

use super::{Run, address, fill_zeros, suffix};
use crate::error::Result;
use crate::runtime::BLOCK;

const ROW: Format = Format::Contiguous;
/// Blocks for each parameter at most: of many parameters most are small, and the large ones walk.
const BLOCKS: usize = 64;
/// Elements that one block sums (`PIECE`).
const PIECE: usize = 16384;

/// `Slice` of the kernels: addresses before and after, 0 for what there is not.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Slice {
    param: u64,
    grad: u64,
    slots: [u64; 2],
    new_param: u64,
    new_slots: [u64; 2],
    len: i64,
}

/// `Squares` of the kernels.
#[repr(C)]
#[derive(Clone, Copy)]
struct Squares {
    x: u64,
    len: i64,
    first: i64,
}

// SAFETY: the structs of the kernels, of 8-byte fields without padding.
unsafe impl crate::runtime::Scalar for Slice {}
// SAFETY: as above.
unsafe impl crate::runtime::Scalar for Squares {}

/// Blocks along x for slices of up to `most` elements.
fn grid(most: usize, each: usize, slices: usize) -> [u32; 3] {
    [most.div_ceil(each).clamp(1, BLOCKS) as u32, slices as u32, 1]
}

pub(crate) fn update(run: &Run, op: &Update, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
    let (leading, all) = ins.split_at(Update::LEADING);
    let found = run.empty(&[], DType::F32, ROW)?;
    fill_zeros(run, &found)?;
    let mut results = Outputs::from_iter([found]);
    if all.is_empty() {
        return Ok(results);
    }
    let (numbers, factor) = (run.dense(leading[0], ROW)?, leading[1]);
    let mut dense = Vec::new();
    for of in all.chunks_exact(op.group()) {
        // As the gradient lies in memory, so that after the first step nothing needs a copy.
        let format = of[1].layout().preferred_format();
        dense.extend(of.iter().map(|t| run.dense(t, format)).collect::<Result<Vec<_>>>()?);
    }
    let mut slices = Vec::new();
    for of in dense.chunks_exact(op.group()) {
        let format = of[1].layout().preferred_format();
        let mut slice = Slice { param: address(&of[0])?, grad: address(&of[1])?, ..Slice::default() };
        slice.len = of[0].len() as i64;
        let new = run.empty(of[0].dims(), of[0].dtype(), format)?;
        slice.new_param = address(&new)?;
        results.push(new);
        for (k, slot) in of[2..].iter().enumerate() {
            let new = run.empty(slot.dims(), slot.dtype(), format)?;
            (slice.slots[k], slice.new_slots[k]) = (address(slot)?, address(&new)?);
            results.push(new);
        }
        slices.push(slice);
    }
    let most = outs[1..].iter().map(Meta::len).max().unwrap_or(0);
    let (grid, table) = (grid(most, BLOCK as usize, slices.len()), run.table(&slices)?);
    let (table, found, dtype) = (table.address(), address(&results[0])?, suffix(outs[1].dtype));
    run.kernel("optimizer", &format!("check_finite_{dtype}"))?.grid(grid).arg(table).arg(found).run()?;
    let name = match op.rule {
        UpdateRule::Sgd { .. } => "sgd",
        UpdateRule::Adam => "adam",
        UpdateRule::Average => "average",
    };
    let launch = run.kernel("optimizer", &format!("{name}_{dtype}"))?.grid(grid);
    let launch = launch.arg(table).arg(address(&numbers)?);
    let launch = match op.rule {
        UpdateRule::Sgd { nesterov, .. } => launch.arg(i32::from(nesterov)),
        UpdateRule::Adam | UpdateRule::Average => launch,
    };
    launch.arg(address(factor)?).arg(found).run()?;
    Ok(results)
}

pub(crate) fn square_sum(run: &Run, ins: &[&Tensor]) -> Result<Tensor> {
    let y = run.empty(&[], DType::F64, ROW)?;
    let dense =
        ins.iter().map(|t| run.dense(t, t.layout().preferred_format())).collect::<Result<Vec<_>>>()?;
    let (mut slices, mut first) = (Vec::new(), 0);
    for t in &dense {
        slices.push(Squares { x: address(t)?, len: t.len() as i64, first });
        first += t.len().div_ceil(PIECE) as i64;
    }
    let sums = run.scratch(first as usize * size_of::<f64>())?;
    let most = dense.iter().map(Tensor::len).max().unwrap_or(0);
    let table = run.table(&slices)?;
    run.kernel("optimizer", &format!("square_sum_{}", suffix(dense[0].dtype())))?
        .grid(grid(most, PIECE, slices.len()))
        .arg(table.address())
        .arg(sums.address())
        .run()?;
    run.kernel("optimizer", "square_sum_finish")?.arg(sums.address()).arg(address(&y)?).arg(first).run()?;
    Ok(y)
}

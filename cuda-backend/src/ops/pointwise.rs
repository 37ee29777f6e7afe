//! Functions of single elements: `kernels/pointwise.cu`, whose table is that of `tensor`. A kernel takes the number of the
//! row, so that one kernel per type serves all functions.

use tensor::ops::{Binary, Compare, Select, Unary};
use tensor::{DType, Format, Layout, Meta, Tensor};

use super::{Run, Walk, address, suffix};
use crate::error::Result;

pub(crate) fn unary(run: &Run, f: &Unary, x: &Tensor) -> Result<Tensor> {
    let format = x.layout().preferred_format();
    let y = run.empty(x.dims(), x.dtype(), format)?;
    if y.is_empty() {
        return Ok(y);
    }
    let (number, [p, q]) = (f.number() as i32, f.parameters());
    let (n, suffix) = (y.len() as i64, suffix(x.dtype()));
    if x.layout().is_dense(format) {
        let kernel = run.kernel("pointwise", &format!("unary_{suffix}"))?.over(y.len());
        return kernel.arg(number).arg(address(x)?).arg(address(&y)?).arg(n).arg(p).arg(q).run().map(|()| y);
    }
    let walk = Walk::new(run.op(), y.layout(), [x.layout()])?;
    let kernel = run.kernel("pointwise", &format!("unary_strided_{suffix}"))?.over(y.len());
    kernel.arg(number).arg(address(x)?).arg(address(&y)?).arg(walk).arg(n).arg(p).arg(q).run()?;
    Ok(y)
}

pub(crate) fn binary(run: &Run, f: Binary, a: &Tensor, b: &Tensor, out: &Meta) -> Result<Tensor> {
    two(run, "binary", f as i32, a, b, out)
}

pub(crate) fn compare(run: &Run, f: Compare, a: &Tensor, b: &Tensor, out: &Meta) -> Result<Tensor> {
    two(run, "compare", f as i32, a, b, out)
}

fn two(run: &Run, kernel: &str, number: i32, a: &Tensor, b: &Tensor, out: &Meta) -> Result<Tensor> {
    let format = format_of(&[a, b], &out.dims);
    let y = run.empty(&out.dims, out.dtype, format)?;
    let (la, lb) = (a.layout().broadcast_to(&out.dims), b.layout().broadcast_to(&out.dims));
    launch_two(run, kernel, number, (address(a)?, &la), (address(b)?, &lb), &y, a.dtype())?;
    Ok(y)
}

/// y = f(a, b) of operands seen with the dims of `y`, which may be one of them: each element is read before it is written.
fn launch_two(
    run: &Run,
    kernel: &str,
    number: i32,
    (a, la): (u64, &Layout),
    (b, lb): (u64, &Layout),
    y: &Tensor,
    dtype: DType,
) -> Result<()> {
    if y.is_empty() {
        return Ok(());
    }
    let (n, suffix, to) = (y.len() as i64, suffix(dtype), address(y)?);
    if [la, lb].iter().all(|l| l.strides() == y.layout().strides()) {
        let kernel = run.kernel("pointwise", &format!("{kernel}_{suffix}"))?.over(y.len());
        return kernel.arg(number).arg(a).arg(b).arg(to).arg(n).run();
    }
    let walk = Walk::new(run.op(), y.layout(), [la, lb])?;
    let kernel = run.kernel("pointwise", &format!("{kernel}_strided_{suffix}"))?.over(y.len());
    kernel.arg(number).arg(a).arg(b).arg(to).arg(walk).arg(n).run()
}

/// Adds `b`, seen through a layout of the dims of `y`, to `y` in place: only for a tensor that nobody else has seen yet.
pub(super) fn add_into(run: &Run, y: &Tensor, b: &Tensor, layout: &Layout) -> Result<()> {
    let (at, b) = (address(y)?, address(b)?);
    launch_two(run, "binary", Binary::Add as i32, (at, y.layout()), (b, layout), y, y.dtype())
}

pub(crate) fn select(run: &Run, _: &Select, [c, a, b]: [&Tensor; 3], out: &Meta) -> Result<Tensor> {
    let y = run.empty(&out.dims, out.dtype, format_of(&[a, b, c], &out.dims))?;
    if y.is_empty() {
        return Ok(y);
    }
    let views = [c, a, b].map(|t| t.layout().broadcast_to(&out.dims));
    let walk = Walk::new(run.op(), y.layout(), [&views[0], &views[1], &views[2]])?;
    run.kernel("pointwise", &format!("select_b{}", out.dtype.size()))?
        .over(y.len())
        .arg(address(c)?)
        .arg(address(a)?)
        .arg(address(b)?)
        .arg(address(&y)?)
        .arg(walk)
        .arg(y.len() as i64)
        .run()?;
    Ok(y)
}

/// The format of the first operand that has the result's dims; row-major where none has.
fn format_of(operands: &[&Tensor], dims: &[usize]) -> Format {
    let whole = operands.iter().find(|t| t.dims() == dims);
    whole.map_or(Format::Contiguous, |t| t.layout().preferred_format())
}

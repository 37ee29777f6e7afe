//! Functions of single elements: `kernels/pointwise.cu`, whose table is that of `tensor`. A kernel takes the number of the
//! row, so that one kernel per type serves all functions.

use tensor::ops::{Binary, Compare, Select, Unary};
use tensor::{DType, Format, Layout, Meta, Tensor};

use super::{Run, Walk, address, suffix};
use crate::error::Result;

/// Row of the table, and the parameters p and q.
fn row(f: &Unary) -> (i32, f64, f64) {
    match *f {
        Unary::Neg => (0, 0.0, 0.0),
        Unary::Abs => (1, 0.0, 0.0),
        Unary::Sign => (2, 0.0, 0.0),
        Unary::Step => (3, 0.0, 0.0),
        Unary::Exp => (4, 0.0, 0.0),
        Unary::ExpM1 => (5, 0.0, 0.0),
        Unary::Log => (6, 0.0, 0.0),
        Unary::Log1p => (7, 0.0, 0.0),
        Unary::Sqrt => (8, 0.0, 0.0),
        Unary::Square => (9, 0.0, 0.0),
        Unary::Recip => (10, 0.0, 0.0),
        Unary::Sin => (11, 0.0, 0.0),
        Unary::Cos => (12, 0.0, 0.0),
        Unary::Tanh => (13, 0.0, 0.0),
        Unary::Sigmoid => (14, 0.0, 0.0),
        Unary::Softplus => (15, 0.0, 0.0),
        Unary::Relu => (16, 0.0, 0.0),
        Unary::LeakyRelu(p) => (17, p, 0.0),
        Unary::Floor => (18, 0.0, 0.0),
        Unary::Round => (19, 0.0, 0.0),
        Unary::AddScalar(p) => (20, p, 0.0),
        Unary::MulScalar(p) => (21, p, 0.0),
        Unary::PowScalar(p) => (22, p, 0.0),
        Unary::Clamp(p, q) => (23, p, q),
    }
}

pub(crate) fn unary(run: &Run, f: &Unary, x: &Tensor) -> Result<Tensor> {
    let format = x.layout().preferred_format();
    let y = run.empty(x.dims(), x.dtype(), format)?;
    if y.is_empty() {
        return Ok(y);
    }
    let (number, p, q) = row(f);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_of_the_kernels_table() {
        let table = include_str!("../../kernels/pointwise_table.cuh");
        let all = [
            Unary::Neg,
            Unary::Abs,
            Unary::Sign,
            Unary::Step,
            Unary::Exp,
            Unary::ExpM1,
            Unary::Log,
            Unary::Log1p,
            Unary::Sqrt,
            Unary::Square,
            Unary::Recip,
            Unary::Sin,
            Unary::Cos,
            Unary::Tanh,
            Unary::Sigmoid,
            Unary::Softplus,
            Unary::Relu,
            Unary::LeakyRelu(0.5),
            Unary::Floor,
            Unary::Round,
            Unary::AddScalar(0.5),
            Unary::MulScalar(0.5),
            Unary::PowScalar(0.5),
            Unary::Clamp(0.5, 0.6),
        ];
        assert_eq!(all.len(), Unary::VARIANTS.len());
        for f in all {
            let line = format!("ROW({}, {}, {})", row(&f).0, f.row().name, f.row().cuda);
            assert!(table.contains(&line), "{line} is not in the table");
        }
        for f in [Binary::Add, Binary::Pow, Binary::ReluGrad] {
            assert!(table.contains(&format!("ROW({}, {}, {})", f as i32, f.row().name, f.row().cuda)));
        }
        for f in [Compare::Equal, Compare::GreaterEqual] {
            assert!(table.contains(&format!("ROW({}, {}, {})", f as i32, f.row().name, f.row().cuda)));
        }
    }
}

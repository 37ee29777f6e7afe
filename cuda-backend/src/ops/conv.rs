//! Convolutions: cuDNN, channels-last.

use tensor::ops::{Conv2d, Conv2dWeight, ConvTranspose2d};
use tensor::{DType, Format, Meta, Tensor};

use super::conv_own::own;
use super::{Run, address};
use crate::dnn::{Direction, Operands, Problem};
use crate::error::{Error, Result};

/// The dims of a tensor of four axes, which the shape rule saw to.
fn four(dims: &[usize]) -> [usize; 4] {
    std::array::from_fn(|a| dims.get(a).copied().unwrap_or(1))
}

pub(crate) fn conv2d(run: &Run, op: &Conv2d, ins: &[&Tensor], out: &Meta) -> Result<Tensor> {
    with_bias(run, Direction::Forward, op, ins, out)
}

pub(crate) fn conv_transpose2d(
    run: &Run,
    op: &ConvTranspose2d,
    ins: &[&Tensor],
    out: &Meta,
) -> Result<Tensor> {
    // The roles of cuDNN's x and y are exchanged: this is the data gradient of `op.conv`.
    with_bias(run, Direction::Data, &op.conv, ins, out)
}

/// The convolution of the first operand with the second, plus the third where there is one.
fn with_bias(run: &Run, direction: Direction, conv: &Conv2d, ins: &[&Tensor], out: &Meta) -> Result<Tensor> {
    let (x, w) = (ins[0], ins[1]);
    let (input, output) = match direction {
        Direction::Data => (&out.dims[..], x.dims()),
        Direction::Forward | Direction::Filter => (x.dims(), &out.dims[..]),
    };
    let y = result(run, &problem(run, direction, conv, [input, w.dims(), output], out.dtype), [x, w], out)?;
    add_bias(run, &y, ins.get(2).copied())?;
    Ok(y)
}

pub(crate) fn conv2d_weight(
    run: &Run,
    op: &Conv2dWeight,
    x: &Tensor,
    g: &Tensor,
    out: &Meta,
) -> Result<Tensor> {
    let problem = problem(run, Direction::Filter, &op.conv, [x.dims(), &out.dims, g.dims()], out.dtype);
    result(run, &problem, [x, g], out)
}

/// A convolution between tensors of these dims, for cuDNN.
pub(crate) fn problem(
    run: &Run,
    direction: Direction,
    conv: &Conv2d,
    [x, w, y]: [&[usize]; 3],
    dtype: DType,
) -> Problem {
    let tf32 = dtype == DType::F32 && run.tf32();
    Problem { tf32, ..Problem::new(direction, conv, four(x), four(w), four(y), dtype) }
}

/// The wanted one of a problem's three tensors from the two others: input (or result) and weight, or input and result's
/// gradient. By cuDNN, or by our own kernels where it has no deterministic algorithm, or does not take the sizes.
fn result(run: &Run, problem: &Problem, [a, b]: [&Tensor; 2], out: &Meta) -> Result<Tensor> {
    let y = run.empty(&out.dims, out.dtype, problem.format)?;
    if y.is_empty() {
        return Ok(y);
    }
    if a.is_empty() || b.is_empty() {
        super::fill_zeros(run, &y)?;
        return Ok(y);
    }
    let dnn = run.exec.gpu.dnn()?;
    if problem.is_whole() && !dnn.refuses(problem) {
        let (a, b) = (run.aligned(a, problem.format)?, run.aligned(b, problem.format)?);
        let (a, b, to) = (address(&a)?, address(&b)?, address(&y)?);
        let operands = match problem.direction {
            Direction::Forward => Operands { x: a, w: b, y: to },
            Direction::Data => Operands { x: to, w: b, y: a },
            Direction::Filter => Operands { x: a, w: to, y: b },
        };
        match dnn.run(run.exec, problem, operands) {
            Err(Error::Unsupported { .. }) => dnn.refuse(problem),
            other => return other.map(|()| y),
        }
    }
    own(run, problem, [a, b], out)
}

/// Adds one value per channel, in place: `y` is new and nobody else's.
fn add_bias(run: &Run, y: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    let Some(bias) = bias else { return Ok(()) };
    let layout = bias.layout().reshape(&[bias.len(), 1, 1]);
    let (bias, layout) = match layout {
        Some(layout) => (bias.clone(), layout),
        None => {
            let dense = run.dense(bias, Format::Contiguous)?;
            (dense, tensor::Layout::contiguous(&[bias.len(), 1, 1]))
        }
    };
    super::pointwise::add_into(run, y, &bias, &layout.broadcast_to(y.dims()))
}

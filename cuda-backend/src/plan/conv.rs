//! A convolution with what follows it: in one call of cuBLASLt or cuDNN where they have that form, else by one kernel after it.
//!
//! Both libraries' ReLU makes 0 of NaN, where ours keeps it. A pass over the result after each convolution would cost more than
//! that is worth; but a model whose weights are not finite is broken, and must not look healthy: its ReLUs are ours.

use tensor::graph::{ConvKind, ConvStep, Residual, Tail, ValueId, look_up};
use tensor::ops::{Conv2d, Window};
use tensor::{DType, Format, Ops, Tensor};

use crate::blas;
use crate::dnn::{Direction, Epilogue, Operands, Problem};
use crate::error::{Error, Result};
use crate::ops::{Run, address, conv, matmul, reduce, suffix};

/// Runs the step; `get` tells the values of its operands, `finite` whether all constants are numbers.
pub(super) fn run(
    run: &Run,
    step: &ConvStep,
    finite: bool,
    get: impl Fn(ValueId) -> tensor::Result<Tensor>,
) -> Result<Tensor> {
    let x = match &step.sources[..] {
        [one] if one.start == 0 && get(one.value)?.dims()[1] == one.len => get(one.value)?,
        runs => {
            let parts = runs
                .iter()
                .map(|r| get(r.value)?.narrow(1, r.start, r.len))
                .collect::<tensor::Result<Vec<_>>>()?;
            Tensor::cat(&parts.iter().collect::<Vec<_>>(), 1)?
        }
    };
    let x = step.table.map_or(Ok(x.clone()), |table| look_up(&x, &get(table)?))?;
    let weight = get(step.weight)?;
    let bias = step.bias.map(&get).transpose()?;
    let after = After { bias, relu: step.relu, residual: None, relu_last: false, finite };
    if step.labels && step.tail.is_none() && step.residual.is_none() && is_head(step, &weight) {
        return head(run, &x, &weight, &after);
    }
    let residual = |dims: &[usize]| -> Result<Option<Tensor>> {
        Ok(match step.residual {
            Some(Residual::Value(value)) => Some(get(value)?),
            Some(Residual::Unpooled { pooled, index }) => {
                let (pooled, index) = (get(pooled)?, get(index)?);
                Some(pooled.max_unpool2d(&index, Window::square(2), [dims[2], dims[3]])?)
            }
            None => None,
        })
    };
    let mut y = match &step.tail {
        None => {
            let dims = dims_of(&step.kind, &x, &weight)?;
            let after = After { residual: residual(&dims)?, relu_last: step.relu_last, ..after };
            fused(run, &step.kind, &x, &weight, after)?
        }
        Some(Tail { weight: tail, bias, relu }) => {
            let first = fused(run, &step.kind, &x, &weight, after)?;
            let (tail, bias) = (get(*tail)?, bias.map(&get).transpose()?);
            let kind = ConvKind::Plain(Conv2d::default());
            let dims = dims_of(&kind, &first, &tail)?;
            let (relu_last, residual) = (step.relu_last, residual(&dims)?);
            let after = After { bias, relu: *relu, residual, relu_last, finite };
            fused(run, &kind, &first, &tail, after)?
        }
    };
    if step.labels {
        y = reduce::labels(run, &y)?;
    }
    Ok(y)
}

/// `relu_last(relu(y + bias) + residual)`, each part optional.
struct After {
    bias: Option<Tensor>,
    relu: bool,
    residual: Option<Tensor>,
    relu_last: bool,
    /// Whether a library's ReLU may follow.
    finite: bool,
}

fn dims_of(kind: &ConvKind, x: &Tensor, weight: &Tensor) -> Result<Vec<usize>> {
    let op: tensor::Op = match kind {
        ConvKind::Plain(op) => op.clone().into(),
        ConvKind::Transposed(op) => op.clone().into(),
    };
    let out = op.infer(&[x.meta(), weight.meta()])?;
    Ok(out[0].dims.to_vec())
}

fn fused(run: &Run, kind: &ConvKind, x: &Tensor, weight: &Tensor, after: After) -> Result<Tensor> {
    let dims = dims_of(kind, x, weight)?;
    let dtype = x.dtype();
    if let ConvKind::Plain(op) = kind
        && let Some(y) = one_call(run, op, x, weight, &after, &dims)?
    {
        return Ok(y);
    }
    let out = tensor::Meta::new(&dims[..], dtype);
    let y = match kind {
        ConvKind::Plain(op) => conv::conv2d(run, op, &[x, weight], &out)?,
        ConvKind::Transposed(op) => conv::conv_transpose2d(run, op, &[x, weight], &out)?,
    };
    if after.bias.is_none() && !after.relu && after.residual.is_none() && !after.relu_last || y.is_empty() {
        return Ok(y);
    }
    let y = run.dense(&y, Format::ChannelsLast)?;
    let residual = after.residual.map(|r| run.dense(&r, Format::ChannelsLast)).transpose()?;
    let bias = after.bias.map(|b| run.dense(&b, Format::Contiguous)).transpose()?;
    let at = address(&y)?;
    let optional = |t: &Option<Tensor>| t.as_ref().map_or(Ok(0), address);
    run.kernel("epilogue", &format!("epilogue_{}", suffix(dtype)))?
        .over(y.len())
        .arg(at)
        .arg(optional(&bias)?)
        .arg(optional(&residual)?)
        .arg(at)
        .arg(y.len() as i64)
        .arg(dims[1] as i32)
        .arg(i32::from(after.relu))
        .arg(i32::from(after.relu_last))
        .run()?;
    Ok(y)
}

/// The whole in one call, where it has the form `relu(conv + residual + bias)`, or nothing: 1×1 convolutions are products of
/// cuBLASLt, others go to cuDNN.
fn one_call(
    run: &Run,
    op: &Conv2d,
    x: &Tensor,
    weight: &Tensor,
    after: &After,
    dims: &[usize],
) -> Result<Option<Tensor>> {
    let dtype = x.dtype();
    let relu = match (&after.residual, after.relu, after.relu_last) {
        (None, relu, _) => relu || after.relu_last,
        (Some(_), false, relu_last) => relu_last,
        (Some(_), true, _) => return Ok(None),
    };
    let Some(bias) = &after.bias else { return Ok(None) };
    if x.is_empty() || dims.contains(&0) || relu && !after.finite {
        return Ok(None);
    }
    if is_pointwise(op, weight) {
        let dense = |t: &Tensor| run.dense(t, Format::ChannelsLast);
        let (x, weight, bias) = (dense(x)?, dense(weight)?, run.aligned(bias, Format::Contiguous)?);
        let residual = after.residual.as_ref().map(dense).transpose()?;
        let residual = residual.as_ref().map(address).transpose()?;
        let epilogue = blas::Epilogue { bias: address(&bias)?, residual, relu };
        if let Some(y) = matmul::pointwise_conv(run, [&x, &weight], dims, epilogue)? {
            return Ok(Some(y));
        }
    }
    let problem = conv::problem(run, Direction::Forward, op, [x.dims(), weight.dims(), dims], dtype);
    let dnn = run.exec.gpu.dnn()?;
    let fused = Problem { fused: true, ..problem.clone() };
    if dnn.refuses(&fused) {
        return Ok(None);
    }
    let y = run.empty(dims, dtype, problem.format)?;
    let (x, weight) = (run.aligned(x, problem.format)?, run.aligned(weight, problem.format)?);
    let bias = run.aligned(bias, Format::Contiguous)?;
    let residual = after.residual.as_ref().map(|r| run.aligned(r, problem.format)).transpose()?;
    let residual = residual.as_ref().map(address).transpose()?;
    let operands = Operands { x: address(&x)?, w: address(&weight)?, y: address(&y)? };
    match dnn.run_fused(run.exec, &problem, operands, Epilogue { bias: address(&bias)?, residual, relu }) {
        Ok(()) => Ok(Some(y)),
        // cuDNN does not take every problem in this form; it is asked once.
        Err(Error::Unsupported { .. }) => {
            dnn.refuse(&fused);
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// Whether a convolution is a product of pixels and weights.
fn is_pointwise(op: &Conv2d, weight: &Tensor) -> bool {
    *op == Conv2d::default() && weight.dims()[2..] == [1, 1]
}

/// Whether the step is a 1×1 convolution of which only the best class is wanted.
fn is_head(step: &ConvStep, weight: &Tensor) -> bool {
    let ConvKind::Plain(op) = &step.kind else { return false };
    is_pointwise(op, weight) && !step.relu && !step.relu_last && weight.dims()[0] <= 256
}

/// The best class of each pixel, without its logits ever being stored.
fn head(run: &Run, x: &Tensor, weight: &Tensor, after: &After) -> Result<Tensor> {
    let (n, c, h, w) = (x.dims()[0], x.dims()[1], x.dims()[2], x.dims()[3]);
    let y = run.empty(&[n, h, w], DType::U8, Format::Contiguous)?;
    if y.is_empty() {
        return Ok(y);
    }
    let (x, weight) = (run.dense(x, Format::ChannelsLast)?, run.dense(weight, Format::ChannelsLast)?);
    let bias = after.bias.as_ref().map(|b| run.dense(b, Format::Contiguous)).transpose()?;
    run.kernel("epilogue", &format!("head_labels_{}", suffix(x.dtype())))?
        .over(y.len())
        .arg(address(&x)?)
        .arg(address(&weight)?)
        .arg(bias.as_ref().map_or(Ok(0), address)?)
        .arg(address(&y)?)
        .arg(y.len() as i64)
        .arg(c as i32)
        .arg(weight.dims()[0] as i32)
        .run()?;
    Ok(y)
}

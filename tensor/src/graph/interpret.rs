//! What each step means, in ordinary operations: the reference that plans are tested against.

use std::collections::HashMap;

use super::{ChainStep, ConvKind, ConvStep, Graph, Link, LookupStep, Residual, Run, Step, ValueId};
use crate::{
    DType, Error, Ops, Outputs, Result, Tensor, execute,
    ops::{Conv2d, Window},
};

/// Runs a graph step by step on tensors, without any fusion. Operands and results are as for the graph's inputs and
/// outputs.
///
/// # Errors
/// Where inputs do not fit, or a step fails.
pub fn interpret(graph: &Graph, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    graph.check_inputs(inputs)?;
    let mut values: HashMap<ValueId, Tensor> =
        graph.inputs.iter().copied().zip(inputs.iter().map(|&t| t.clone())).collect();
    for node in &graph.nodes {
        let dtype = Some(graph.meta(node.outs[0]).dtype);
        let outs = interpret_step(&node.step, dtype, |id| lookup(graph, &values, id))?;
        values.extend(node.outs.iter().copied().zip(outs));
    }
    graph.outputs.iter().map(|&id| lookup(graph, &values, id)).collect()
}

/// Runs one step whose first result has this type, or that of its operands; `get` tells the values of its operands. Plans of backends do so with steps
/// that they do not fuse.
///
/// # Errors
/// Where the step fails.
pub fn interpret_step(
    step: &Step,
    dtype: Option<DType>,
    get: impl Fn(ValueId) -> Result<Tensor>,
) -> Result<Outputs<Tensor>> {
    let stored = |y: Tensor| dtype.map_or(Ok(y.clone()), |dtype| y.cast(dtype));
    Ok(match step {
        Step::Op { op, ins } => {
            let ins = ins.iter().map(|&id| get(id)).collect::<Result<Vec<_>>>()?;
            execute(op, &ins.iter().collect::<Vec<_>>())?
        }
        Step::Conv(step) => Outputs::from_iter([stored(conv(step, get)?)?]),
        Step::Pool(pool) => {
            let (y, index) = read(&pool.sources, pool.table, get)?.max_pool2d(pool.window)?;
            Outputs::from_iter([stored(y)?, index])
        }
        Step::Collect(runs) => Outputs::from_iter([stored(collect(runs, get)?)?]),
        Step::Chain(ChainStep { x, links }) => {
            let mut y = get(*x)?;
            for Link { op, ins } in links {
                let operand = |id: &Option<ValueId>| id.map_or_else(|| Ok(y.clone()), &get);
                let ins = ins.iter().map(operand).collect::<Result<Vec<_>>>()?;
                y = execute(op, &ins.iter().collect::<Vec<_>>())?.swap_remove(0);
            }
            Outputs::from_iter([y])
        }
        Step::Lookup(LookupStep { x, table }) => {
            Outputs::from_iter([stored(look_up(&get(*x)?, &get(*table)?)?)?])
        }
    })
}

/// The numbers of `table` `[C, 256]` for bytes `[N, C, H, W]`.
///
/// # Errors
/// Where they do not fit.
pub fn look_up(bytes: &Tensor, table: &Tensor) -> Result<Tensor> {
    let [n, c, h, w] = [bytes.dim(0)?, bytes.dim(1)?, bytes.dim(2)?, bytes.dim(3)?];
    let index = bytes.permute(&[1, 0, 2, 3])?.reshape(&[c, n * h * w])?.cast(DType::I64)?;
    table.gather(1, &index)?.reshape(&[c, n, h, w])?.permute(&[1, 0, 2, 3])
}

/// The channels of some runs, or what a table says of them.
fn read(runs: &[Run], table: Option<ValueId>, get: impl Fn(ValueId) -> Result<Tensor>) -> Result<Tensor> {
    let x = collect(runs, &get)?;
    table.map_or(Ok(x.clone()), |table| look_up(&x, &get(table)?))
}

impl Graph {
    /// Checks the inputs of a run.
    ///
    /// # Errors
    /// Where they are not what the graph was made for.
    pub fn check_inputs(&self, inputs: &[&Tensor]) -> Result<()> {
        let wanted: Vec<String> = self.inputs.iter().map(|&id| self.meta(id).to_string()).collect();
        let given: Vec<String> = inputs.iter().map(|t| t.meta().to_string()).collect();
        if wanted != given {
            let what = format!("was made for inputs [{}], got [{}]", wanted.join(", "), given.join(", "));
            return Err(Error::value("plan", what));
        }
        Ok(())
    }
}

fn lookup(graph: &Graph, values: &HashMap<ValueId, Tensor>, id: ValueId) -> Result<Tensor> {
    let value = graph.constant_of(id).or_else(|| values.get(&id));
    value.cloned().ok_or_else(|| Error::value("plan", format!("{id} is used before it is made")))
}

fn collect(runs: &[Run], get: impl Fn(ValueId) -> Result<Tensor>) -> Result<Tensor> {
    let part = |run: &Run| get(run.value)?.narrow(1, run.start, run.len);
    let mut parts = runs.iter().map(part).collect::<Result<Vec<_>>>()?;
    if parts.iter().any(|part| part.dtype() != parts[0].dtype()) {
        parts = parts.into_iter().map(wide).collect::<Result<_>>()?;
    }
    Tensor::cat(&parts.iter().collect::<Vec<_>>(), 1)
}

/// Where the weights are bf16, so is what they are multiplied by; all sums are f32.
fn conv(step: &ConvStep, get: impl Fn(ValueId) -> Result<Tensor>) -> Result<Tensor> {
    let stored = get(step.weight)?.dtype();
    let get = |id| get(id).and_then(wide);
    let x = read(&step.sources, step.table, get)?;
    let bias = step.bias.map(get).transpose()?;
    let weight = get(step.weight)?;
    let mut y = match &step.kind {
        ConvKind::Plain(conv) => x.conv2d(&weight, bias.as_ref(), conv)?,
        ConvKind::Transposed(conv) => x.conv_transpose2d(&weight, bias.as_ref(), conv)?,
    };
    y = relu(y, step.relu)?;
    if let Some(tail) = &step.tail {
        let bias = tail.bias.map(get).transpose()?;
        let read = wide(y.cast(stored)?)?;
        y = relu(read.conv2d(&get(tail.weight)?, bias.as_ref(), &Conv2d::default())?, tail.relu)?;
    }
    match step.residual {
        Some(Residual::Value(value)) => y = y.add(&get(value)?)?,
        Some(Residual::Unpooled { pooled, index }) => {
            let size = [y.dim(2)?, y.dim(3)?];
            y = y.add(&get(pooled)?.max_unpool2d(&get(index)?, Window::square(2), size)?)?;
        }
        None => {}
    }
    y = relu(y, step.relu_last)?;
    if step.labels { y.argmax(1)?.cast(DType::U8) } else { Ok(y) }
}

/// bf16 as f32, anything else as it is.
fn wide(x: Tensor) -> Result<Tensor> {
    if x.dtype() == DType::BF16 { x.cast(DType::F32) } else { Ok(x) }
}

fn relu(y: Tensor, on: bool) -> Result<Tensor> {
    if on { y.relu() } else { Ok(y) }
}

//! bf16 between fused steps: what convolutions, pools and copies of channels hand each other is stored in half the bytes,
//! and convolutions multiply bf16 numbers where the processor can.
//!
//! A value becomes bf16 if a fused step makes it and only fused steps read it; inputs and outputs of the graph stay what they
//! are. A convolution multiplies bf16 with bf16: its weights are rounded here, once, and what it reads in f32 gets a rounded
//! copy ([`Step::Collect`]). Biases stay f32, and so do sums. Convolutions with groups stay in f32.

use std::collections::{HashMap, HashSet};

use smallvec::SmallVec;

use crate::{
    DType, Ops, Result,
    graph::{ConvStep, Graph, LookupStep, Node, Residual, Run, Step, ValueId},
};

/// Makes the values between fused steps bf16.
///
/// # Errors
/// Where a weight can not be rounded.
pub fn lower_precision(graph: &mut Graph) -> Result<()> {
    let lowered = chosen(graph);
    for &id in &lowered {
        graph.set_dtype(id, DType::BF16);
    }
    let mut rounded = Rounded::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        if fits(graph, &node.step) {
            match &mut node.step {
                Step::Conv(conv) => round_operands(graph, conv, &mut rounded)?,
                Step::Pool(pool) if lowered.contains(&node.outs[0]) => {
                    for run in pool.sources.iter_mut().filter(|_| pool.table.is_none()) {
                        run.value = in_bf16(graph, run.value, None, &mut rounded);
                    }
                }
                Step::Pool(_) | Step::Collect(_) | Step::Chain(_) | Step::Lookup(_) | Step::Op { .. } => {}
            }
        }
        graph.nodes.push(node);
    }
    Ok(())
}

/// Whether there are bf16 kernels for the step.
fn fits(graph: &Graph, step: &Step) -> bool {
    let float = |runs: &[Run]| runs.iter().all(|run| graph.meta(run.value).dtype != DType::F64);
    match step {
        Step::Conv(conv) => {
            let constant = |id: ValueId| graph.constant_of(id).is_some();
            let known = constant(conv.weight) && conv.tail.is_none_or(|tail| constant(tail.weight));
            known && conv.kind.groups() == 1 && float(&conv.sources)
        }
        Step::Pool(pool) => float(&pool.sources),
        Step::Collect(runs) => float(runs),
        Step::Lookup(_) => true,
        Step::Chain(_) | Step::Op { .. } => false,
    }
}

/// The values that become bf16.
fn chosen(graph: &Graph) -> HashSet<ValueId> {
    let made = |node: &Node| fits(graph, &node.step).then(|| node.outs.first().copied()).flatten();
    let float = |id: &ValueId| graph.meta(*id).dtype == DType::F32 && !graph.outputs.contains(id);
    let mut chosen: HashSet<ValueId> = graph.nodes.iter().filter_map(made).filter(float).collect();
    // A pool hands on what it reads: one whose result stays f32 does not read bf16, so that its operands stay f32 too.
    loop {
        let reads = |node: &Node| match &node.step {
            Step::Pool(_) => chosen.contains(&node.outs[0]),
            step => fits(graph, step),
        };
        let kept: Vec<ValueId> =
            graph.nodes.iter().filter(|node| !reads(node)).flat_map(|node| node.step.operands()).collect();
        let before = chosen.len();
        kept.iter().for_each(|id| {
            chosen.remove(id);
        });
        if chosen.len() == before {
            return chosen;
        }
    }
}

fn round_operands(graph: &mut Graph, conv: &mut ConvStep, rounded: &mut Rounded) -> Result<()> {
    let table = conv.table.take();
    for run in &mut conv.sources {
        run.value = in_bf16(graph, run.value, table, rounded);
    }
    match &mut conv.residual {
        Some(Residual::Value(value)) => *value = in_bf16(graph, *value, None, rounded),
        Some(Residual::Unpooled { pooled, .. }) => *pooled = in_bf16(graph, *pooled, None, rounded),
        None => {}
    }
    let mut weight = |id: ValueId| -> Result<ValueId> {
        match graph.constant_of(id) {
            Some(constant) => {
                let constant = constant.cast(DType::BF16)?;
                Ok(graph.constant(constant))
            }
            None => Ok(id),
        }
    };
    conv.weight = weight(conv.weight)?;
    if let Some(tail) = &mut conv.tail {
        tail.weight = weight(tail.weight)?;
    }
    Ok(())
}

/// The copy in bf16 of a value, as it is or by a table.
type Rounded = HashMap<(ValueId, Option<ValueId>), ValueId>;

/// The value, or where it is f32 a rounded copy, or what a table says of it, either of which is made once.
fn in_bf16(graph: &mut Graph, id: ValueId, table: Option<ValueId>, rounded: &mut Rounded) -> ValueId {
    let mut meta = graph.meta(id).clone();
    if meta.dtype == DType::BF16 {
        return id;
    }
    *rounded.entry((id, table)).or_insert_with(|| {
        let whole = Run { value: id, start: 0, len: meta.dims[1] };
        meta.dtype = DType::BF16;
        let out = graph.result(meta);
        let step = match table {
            None => Step::Collect(vec![whole]),
            Some(table) => Step::Lookup(LookupStep { x: id, table }),
        };
        graph.nodes.push(Node { step, outs: SmallVec::from_slice(&[out]), scope: "".into() });
        out
    })
}

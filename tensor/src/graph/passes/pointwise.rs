//! Pointwise operations that follow each other are done while their values are in the first-level cache: one pass over
//! memory where each would take its own.

use super::Facts;
use crate::{
    Meta, Op, Result,
    graph::{ChainStep, Graph, Link, Step, ValueId},
};

/// Makes runs of unary and binary operations and batch normalisations, where each result is used by the next alone and keeps
/// its dims and type, one step.
///
/// # Errors
/// Never.
pub fn join_pointwise(graph: &mut Graph) -> Result<()> {
    let facts = Facts::of(graph);
    for i in 0..graph.nodes.len() {
        let Some((op, ins)) = pointwise(&graph.nodes[i].step) else { continue };
        let out = graph.meta(graph.nodes[i].outs[0]);
        let before = |&x: &ValueId| {
            let at = *facts.producers.get(&x)?;
            let chain = chain(graph, at, out)?;
            (facts.uses.get(&x) == Some(&1)).then_some((x, at, chain))
        };
        let Some((x, at, mut chain)) = chained_operands(op, ins).iter().find_map(before) else { continue };
        let ins = ins.iter().map(|&id| (id != x).then_some(id)).collect();
        chain.links.push(Link { op: op.clone(), ins });
        graph.nodes[i].step = Step::Chain(chain);
        graph.nodes[at].outs.clear();
    }
    graph.nodes.retain(|node| !node.outs.is_empty());
    Ok(())
}

/// The operation and its operands, if it may be a link.
fn pointwise(step: &Step) -> Option<(&Op, &[ValueId])> {
    match step {
        Step::Op { op: op @ (Op::Unary(_) | Op::Binary(_) | Op::BatchNormApply(_)), ins } => Some((op, ins)),
        _ => None,
    }
}

/// The operands that a link may take from the one before.
fn chained_operands<'a>(op: &Op, ins: &'a [ValueId]) -> &'a [ValueId] {
    if matches!(op, Op::BatchNormApply(_)) { &ins[..1] } else { ins }
}

/// Node `at` as a chain, if it makes a value like `wanted`.
fn chain(graph: &Graph, at: usize, wanted: &Meta) -> Option<ChainStep> {
    let node = &graph.nodes[at];
    if graph.meta(*node.outs.first()?) != wanted {
        return None;
    }
    if let Step::Chain(chain) = &node.step {
        return Some(chain.clone());
    }
    let (op, ins) = pointwise(&node.step)?;
    let same = |id: &&ValueId| graph.meta(**id) == wanted && graph.constant_of(**id).is_none();
    let x = *chained_operands(op, ins).iter().find(same)?;
    let link = Link { op: op.clone(), ins: ins.iter().map(|&id| (id != x).then_some(id)).collect() };
    Some(ChainStep { x, links: vec![link] })
}

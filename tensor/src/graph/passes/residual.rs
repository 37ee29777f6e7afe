//! An addition after a convolution happens while its result is in registers; an unpooled summand is never written at all.

use super::{Facts, fuse_activation, sole_conv};
use crate::{
    Op, Result,
    graph::{Graph, Residual, Step, ValueId},
    ops::{Binary, Window},
};

/// Makes additions of two values of the same dims, one of them the result of a convolution that is used nowhere else,
/// part of that convolution, and the ReLU that follows too.
///
/// # Errors
/// Never.
pub fn fuse_residual(graph: &mut Graph) -> Result<()> {
    let mut i = 0;
    while i < graph.nodes.len() {
        if let Some((conv, other)) = summands(graph, i) {
            let residual = unpooled(graph, other).unwrap_or(Residual::Value(other));
            // The convolution moves to where the sum was: only there is the other summand sure to be known.
            let sum = graph.nodes[i].outs.clone();
            let mut node = graph.nodes[conv].clone();
            if let Step::Conv(step) = &mut node.step {
                step.residual = Some(residual);
            }
            node.outs = sum;
            graph.nodes[i] = node;
            graph.nodes.remove(conv);
        } else {
            i += 1;
        }
    }
    super::remove_dead(graph)?;
    fuse_activation(graph)
}

/// The convolution (its node) and the other summand, if node `i` is such a sum.
fn summands(graph: &mut Graph, i: usize) -> Option<(usize, ValueId)> {
    let Step::Op { op: Op::Binary(Binary::Add), ins } = &graph.nodes[i].step else { return None };
    let (a, b) = (ins[0], ins[1]);
    if graph.meta(a) != graph.meta(b) || graph.meta(a).rank() != 4 {
        return None;
    }
    let facts = Facts::of(graph);
    // The later one: the other may be an operand of it.
    let mut found = None;
    for (x, other) in [(a, b), (b, a)] {
        if let Some((at, conv)) = sole_conv(&mut graph.nodes, &facts, x)
            && conv.residual.is_none()
            && !conv.labels
            && found.is_none_or(|(best, _)| at > best)
        {
            found = Some((at, other));
        }
    }
    found
}

/// The operands of the 2×2 unpooling that makes `value`, if nothing else uses it.
fn unpooled(graph: &Graph, value: ValueId) -> Option<Residual> {
    let facts = Facts::of(graph);
    let node = &graph.nodes[*facts.producers.get(&value)?];
    let Step::Op { op: Op::MaxUnpool2d(op), ins } = &node.step else { return None };
    let dims = &graph.meta(ins[0]).dims;
    let doubled = op.size == [2 * dims[2], 2 * dims[3]];
    (op.window == Window::square(2) && doubled && facts.uses.get(&value) == Some(&1))
        .then(|| Residual::Unpooled { pooled: ins[0], index: ins[1] })
}

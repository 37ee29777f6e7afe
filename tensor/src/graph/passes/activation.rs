//! A ReLU after a convolution is a clamp on its way to memory.

use super::{Facts, sole_conv};
use crate::{
    Op, Result,
    graph::{Graph, Step},
    ops::Unary,
};

/// Makes each ReLU whose operand is the result of a convolution, used nowhere else, part of that convolution.
///
/// # Errors
/// Never.
pub fn fuse_activation(graph: &mut Graph) -> Result<()> {
    let facts = Facts::of(graph);
    for i in 0..graph.nodes.len() {
        let Step::Op { op: Op::Unary(Unary::Relu), ins } = &graph.nodes[i].step else { continue };
        let x = ins[0];
        let Some((at, conv)) = sole_conv(&mut graph.nodes, &facts, x) else { continue };
        if conv.labels || conv.relu_last {
            continue;
        }
        match conv.residual {
            Some(_) => conv.relu_last = true,
            None => conv.relu = true,
        }
        graph.nodes[at].outs = std::mem::take(&mut graph.nodes[i].outs);
    }
    graph.nodes.retain(|node| !node.outs.is_empty());
    Ok(())
}

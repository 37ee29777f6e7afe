//! Where only the best class of each pixel is wanted, the planes of all classes never exist.

use super::{Facts, sole_conv};
use crate::{
    DType, Op, Result,
    graph::{Graph, Step},
    ops::{ArgReduce, Cast, Extremum},
};

/// Makes `conv → argmax over channels → cast to u8` one step.
///
/// # Errors
/// Never.
pub fn fuse_labels(graph: &mut Graph) -> Result<()> {
    let facts = Facts::of(graph);
    for i in 0..graph.nodes.len() {
        let Step::Op { op: Op::Cast(Cast { dtype: DType::U8 }), ins } = &graph.nodes[i].step else {
            continue;
        };
        let best = ins[0];
        let Some(&arg) = facts.producers.get(&best).filter(|_| facts.uses[&best] == 1) else { continue };
        let Step::Op { op: Op::ArgReduce(op), ins } = &graph.nodes[arg].step else { continue };
        if *op != (ArgReduce { kind: Extremum::Max, axis: 1, keep: false }) {
            continue;
        }
        let logits = ins[0];
        let classes = graph.meta(logits).dims[1];
        let Some((at, conv)) = sole_conv(&mut graph.nodes, &facts, logits) else { continue };
        // Sums that are stored before they are compared take the ordinary path; labels are u8.
        if conv.residual.is_some() || conv.tail.is_some() || classes > 256 {
            continue;
        }
        conv.labels = true;
        let outs = std::mem::take(&mut graph.nodes[i].outs);
        graph.nodes[arg].outs.clear();
        graph.nodes[at].outs = outs;
    }
    graph.nodes.retain(|node| !node.outs.is_empty());
    Ok(())
}

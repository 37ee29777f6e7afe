//! Steps whose operands are all known are done once, now.

use smallvec::SmallVec;

use crate::{
    Result, Tensor, execute,
    graph::{Graph, Step},
};

/// Computes what depends on constants alone.
///
/// # Errors
/// Where an operation fails.
pub fn fold_constants(graph: &mut Graph) -> Result<()> {
    let nodes = std::mem::take(&mut graph.nodes);
    for node in nodes {
        let known = match &node.step {
            Step::Op { op, ins } => {
                let ins: Option<SmallVec<[&Tensor; 4]>> =
                    ins.iter().map(|&id| graph.constant_of(id)).collect();
                ins.map(|ins| execute(op, &ins)).transpose()?
            }
            Step::Conv(_) | Step::Pool(_) | Step::Collect(_) | Step::Chain(_) | Step::Lookup(_) => None,
        };
        match known {
            Some(results) => {
                for (&id, result) in node.outs.iter().zip(results) {
                    graph.values[id.0].constant = Some(result);
                }
            }
            None => graph.nodes.push(node),
        }
    }
    Ok(())
}

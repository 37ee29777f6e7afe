//! Steps whose results nobody uses go.

use std::collections::HashSet;

use crate::{Result, graph::Graph};

/// Removes steps that no output depends on.
///
/// # Errors
/// Never.
pub fn remove_dead(graph: &mut Graph) -> Result<()> {
    let mut wanted: HashSet<_> = graph.outputs.iter().copied().collect();
    let mut nodes = std::mem::take(&mut graph.nodes);
    nodes.reverse();
    nodes.retain(|node| {
        let used = node.outs.iter().any(|id| wanted.contains(id));
        if used {
            wanted.extend(node.step.operands());
        }
        used
    });
    nodes.reverse();
    graph.nodes = nodes;
    Ok(())
}

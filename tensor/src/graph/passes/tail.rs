//! A 1×1 convolution reads each pixel once: it can take it from the first-level cache, right after the convolution before
//! it made it.

use super::{Facts, sole_conv};
use crate::{
    Result,
    graph::{ConvKind, Graph, Run, Step, Tail},
    ops::Conv2d,
};

/// Makes a 1×1 convolution of a convolution's result that is used nowhere else part of that convolution.
///
/// # Errors
/// Never.
pub fn fuse_tail(graph: &mut Graph) -> Result<()> {
    let facts = Facts::of(graph);
    for i in 0..graph.nodes.len() {
        let Step::Conv(second) = &graph.nodes[i].step else { continue };
        let [Run { value: x, start: 0, len }] = second.sources[..] else { continue };
        let pointwise = second.kind == ConvKind::Plain(Conv2d::default())
            && graph.meta(second.weight).dims[2..] == [1, 1]
            && graph.meta(x).dims.get(1) == Some(&len);
        if !pointwise || second.tail.is_some() || second.labels {
            continue;
        }
        let second = second.clone();
        let Some((at, first)) = sole_conv(&mut graph.nodes, &facts, x) else { continue };
        if first.tail.is_some() || first.residual.is_some() || first.labels {
            continue;
        }
        // The first moves to where the second was: what is added to the result may be made between them.
        let mut fused = first.clone();
        fused.tail = Some(Tail { weight: second.weight, bias: second.bias, relu: second.relu });
        (fused.residual, fused.relu_last) = (second.residual, second.relu_last);
        graph.nodes[i].step = Step::Conv(Box::new(fused));
        graph.nodes[at].outs.clear();
    }
    graph.nodes.retain(|node| !node.outs.is_empty());
    Ok(())
}

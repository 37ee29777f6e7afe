//! Convolutions with known weights become steps that other passes can add to.

use crate::{
    Op, Result,
    graph::{ConvKind, ConvStep, Graph, Run, Step},
};

/// Turns convolution operations with constant weights (and bias) into [`ConvStep`]s.
///
/// # Errors
/// Never.
pub fn recognize_convolutions(graph: &mut Graph) -> Result<()> {
    for i in 0..graph.nodes.len() {
        let Step::Op { op, ins } = &graph.nodes[i].step else { continue };
        let kind = match op {
            Op::Conv2d(conv) => ConvKind::Plain(conv.clone()),
            Op::ConvTranspose2d(conv) => ConvKind::Transposed(conv.clone()),
            _ => continue,
        };
        let (x, weight, bias) = (ins[0], ins[1], ins.get(2).copied());
        if std::iter::once(weight).chain(bias).any(|id| graph.constant_of(id).is_none()) {
            continue;
        }
        let source = Run { value: x, start: 0, len: graph.meta(x).dims[1] };
        graph.nodes[i].step = Step::Conv(Box::new(ConvStep::plain(kind, source, weight, bias)));
    }
    Ok(())
}

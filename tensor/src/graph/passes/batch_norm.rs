//! A batch normalisation by known statistics is a scale and a shift of each channel: both go into the convolution before it.

use super::{Facts, sole_conv};
use crate::{
    Op, Ops, Result, Tensor,
    graph::{ConvKind, Graph, Step},
    ops::BatchNormApply,
};

/// Folds `γ·(x − mean)/√(var + eps) + β` into weight and bias of the convolution that makes `x`.
///
/// # Errors
/// Where a constant can not be computed.
pub fn fold_batch_norm(graph: &mut Graph) -> Result<()> {
    let facts = Facts::of(graph);
    for i in 0..graph.nodes.len() {
        let Step::Op { op: Op::BatchNormApply(BatchNormApply { eps, relu }), ins } = &graph.nodes[i].step
        else {
            continue;
        };
        let (eps, relu, x) = (*eps, *relu, ins[0]);
        let known: Option<Vec<Tensor>> = ins[1..].iter().map(|&id| graph.constant_of(id).cloned()).collect();
        let Some([mean, variance, gamma, beta]) = known.as_deref() else { continue };
        let Some((at, conv)) = sole_conv(&mut graph.nodes, &facts, x) else { continue };
        // The output channels of a grouped transposed convolution are spread over two axes of its weight.
        if !conv.is_open() || matches!(conv.kind, ConvKind::Transposed(_)) && conv.kind.groups() != 1 {
            continue;
        }
        let (axis, weight, bias) = (conv.kind.weight_axes().1, conv.weight, conv.bias);
        let scale = gamma.div(&variance.add_scalar(eps)?.sqrt()?)?;
        let mut shape = [1; 4];
        shape[axis] = scale.len();
        let Some(old) = graph.constant_of(weight) else { continue };
        // Of halves the statistics are f32: folded in that, and rounded once.
        let (low, wide) = (old.dtype(), scale.dtype());
        let weight = old.cast(wide)?.mul(&scale.reshape(&shape)?)?.cast(low)?;
        let shifted = match bias.and_then(|id| graph.constant_of(id)) {
            Some(bias) => bias.cast(wide)?.sub(mean)?,
            None => mean.neg()?,
        };
        let bias = shifted.mul(&scale)?.add(beta)?.cast(low)?;
        let (weight, bias) = (graph.constant(weight), graph.constant(bias));
        let out = std::mem::take(&mut graph.nodes[i].outs);
        let node = &mut graph.nodes[at];
        node.outs = out;
        if let Step::Conv(conv) = &mut node.step {
            (conv.weight, conv.bias, conv.relu) = (weight, Some(bias), relu);
        }
    }
    graph.nodes.retain(|node| !node.outs.is_empty());
    Ok(())
}

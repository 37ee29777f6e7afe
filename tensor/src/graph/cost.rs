//! What a step costs, however it is fused.

use smallvec::SmallVec;

use super::{ConvKind, ConvStep, Graph, Node, Step, ValueId};
use crate::{Cost, Meta};

impl Graph {
    /// Floating-point operations and multiply-accumulates of a step, and the bytes that it has to read and write at least
    /// (weights counted, of values read in part that part).
    pub fn cost(&self, node: &Node) -> Cost {
        let metas =
            |ids: &[ValueId]| ids.iter().map(|&id| self.meta(id).clone()).collect::<SmallVec<[Meta; 4]>>();
        let outs = metas(&node.outs);
        let written: usize = outs.iter().map(Meta::bytes).sum();
        match &node.step {
            Step::Op { op, ins } => op.cost(&metas(ins), &outs),
            Step::Chain(_) | Step::Lookup(_) => {
                let read: usize = node.step.operands().iter().map(|&id| self.meta(id).bytes()).sum();
                let each = if let Step::Chain(chain) = &node.step { chain.links.len() } else { 0 };
                let flops = outs.first().map_or(0, |y| y.len() * each) as u64;
                Cost { bytes: (read + written) as u64, flops, macs: 0 }
            }
            Step::Collect(runs) => {
                let read: usize = runs.iter().map(|run| self.run_bytes(run)).sum();
                Cost { bytes: (read + written) as u64, ..Cost::default() }
            }
            Step::Pool(pool) => {
                let read: usize = pool.sources.iter().map(|run| self.run_bytes(run)).sum();
                let area: usize = pool.window.kernel.iter().product();
                let flops = outs.first().map_or(0, |y| y.len() * (area - 1)) as u64;
                Cost { bytes: (read + written) as u64, flops, macs: 0 }
            }
            Step::Conv(conv) => {
                let runs: usize = conv.sources.iter().map(|run| self.run_bytes(run)).sum();
                let operands = node.step.operands();
                let others =
                    operands[conv.sources.len()..].iter().map(|&id| self.meta(id).bytes()).sum::<usize>();
                let macs = self.conv_macs(conv, node.outs[0]);
                Cost { bytes: (runs + others + written) as u64, flops: 2 * macs, macs }
            }
        }
    }

    fn run_bytes(&self, run: &super::Run) -> usize {
        let meta = self.meta(run.value);
        meta.bytes() / meta.dims[1].max(1) * run.len
    }

    fn conv_macs(&self, conv: &ConvStep, out: ValueId) -> u64 {
        let (x, out) = (&self.meta(conv.sources[0].value).dims, &self.meta(out).dims);
        let (h, w) = if conv.labels { (out[1], out[2]) } else { (out[2], out[3]) };
        // Every weight is used once for each pixel of the image that the filter moves over.
        let moves = match conv.kind {
            ConvKind::Plain(_) => h * w,
            ConvKind::Transposed(_) => x[2] * x[3],
        };
        let tail = conv.tail.map_or(0, |tail| self.meta(tail.weight).len() * h * w);
        (x[0] * (moves * self.meta(conv.weight).len() + tail)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Tensor, graph::passes, ops::Conv2d};

    #[test]
    fn fusing_does_not_change_what_is_multiplied() {
        let mut graph = Graph::new();
        let x = graph.input(Meta::new(&[2, 4, 6, 5][..], DType::F32));
        let weight = |dims: &[usize]| Tensor::ones(dims, DType::F32).unwrap();
        let (a, b) = (graph.constant(weight(&[8, 4, 3, 3])), graph.constant(weight(&[3, 8, 1, 1])));
        let conv = Conv2d { padding: [1, 1], ..Conv2d::default() };
        let y = graph.push(conv.into(), &[x, a], "").unwrap()[0];
        graph.outputs = graph.push(Conv2d::default().into(), &[y, b], "").unwrap().to_vec();
        let macs = |graph: &Graph| graph.nodes.iter().map(|node| graph.cost(node).macs).sum::<u64>();
        let before = macs(&graph);
        assert_eq!(before, 2 * 30 * (8 * 4 * 9 + 3 * 8));
        passes::optimize(&mut graph).unwrap();
        assert_eq!((graph.nodes.len(), macs(&graph)), (1, before));
    }
}

//! A recorded forward pass as a [`Graph`], to be optimised and compiled.

use std::collections::HashMap;

use smallvec::SmallVec;
use tensor::{Graph, graph::ValueId};

use crate::{
    Error, Result, Tape, Var,
    tape::{Edge, Kind},
};

impl Tape {
    /// The graph that makes `outputs` from `inputs`, leaves of this tape, which must come from [`Tape::for_graph`]. All other
    /// leaves and constants keep the values that they had; dims are those of the pass that was recorded.
    ///
    /// # Errors
    /// Where the tape does not keep constants or is spent, where an input is no leaf of it or an output not recorded on it, or
    /// where a custom operation was applied, which has no form outside of its code.
    pub fn graph(&self, inputs: &[&Var], outputs: &[&Var]) -> Result<Graph> {
        let inner = self.0.borrow();
        if !inner.keeps_constants || inner.spent {
            return Err(Error::Message(
                "a graph is made from an unspent tape of `Tape::for_graph`, which keeps the values of constants".into(),
            ));
        }
        let mut graph = Graph::new();
        let mut values: HashMap<(usize, usize), ValueId> = HashMap::new();
        for (i, input) in inputs.iter().enumerate() {
            let leaf = input.edge_on(self).filter(|edge| matches!(inner.nodes[edge.node].kind, Kind::Leaf));
            let edge =
                leaf.ok_or_else(|| Error::Message(format!("input {i} of the graph is no leaf of the tape")))?;
            let meta = inner.nodes[edge.node].out_metas[0].clone();
            values.insert((edge.node, 0), graph.input(meta));
        }
        for (index, node) in inner.nodes.iter().enumerate() {
            let operands =
                node.inputs.iter().zip(&node.saved_inputs).map(|(edge, saved)| match (edge, saved) {
                    (Some(Edge { node, output }), _) => values.get(&(*node, *output)).copied(),
                    (None, Some(tensor)) => Some(graph.constant(tensor.clone())),
                    (None, None) => None,
                });
            let operands: Option<SmallVec<[ValueId; 4]>> = operands.collect();
            let missing = || Error::Message(format!("an operand of {} is not known", node.kind.name()));
            match &node.kind {
                Kind::Leaf => {
                    let constant = node.saved_outputs.first().and_then(Option::as_ref);
                    if let (false, Some(constant)) = (values.contains_key(&(index, 0)), constant) {
                        values.insert((index, 0), graph.constant(constant.clone()));
                    }
                }
                Kind::Alias => {
                    values.insert((index, 0), operands.ok_or_else(missing)?[0]);
                }
                Kind::Op(op) => {
                    let operands = operands.ok_or_else(missing)?;
                    let outs = graph.push(op.clone(), &operands, &node.scope)?;
                    values.extend(outs.into_iter().enumerate().map(|(i, id)| ((index, i), id)));
                }
                Kind::Custom(op) => {
                    let what = format!("the custom operation {} can not be part of a graph", op.name());
                    return Err(Error::Message(what).at(&node.scope));
                }
            }
        }
        for (i, output) in outputs.iter().enumerate() {
            let id = output.edge_on(self).and_then(|edge| values.get(&(edge.node, edge.output)).copied());
            let id = id.ok_or_else(|| {
                Error::Message(format!("output {i} of the graph is not recorded on the tape"))
            })?;
            graph.outputs.push(id);
        }
        Ok(graph)
    }
}

#[cfg(test)]
mod tests {
    use tensor::{DType, Ops, Tensor, graph::interpret};

    use super::*;

    #[test]
    fn a_graph_computes_what_was_recorded() {
        let tape = Tape::for_graph();
        let x = tape.input(Tensor::arange(6, DType::F32).unwrap().reshape(&[2, 3]).unwrap());
        let w = tape.leaf(Tensor::ones(&[3, 2], DType::F32).unwrap());
        let constant = Var::new(Tensor::full_like(x.tensor(), 2.0, &[2, 2]).unwrap());
        let y = x.matmul(&w).unwrap().mul(&constant).unwrap();
        let graph = tape.graph(&[&x], &[&y]).unwrap();
        assert_eq!(
            graph.to_string(),
            "%0 = input f32[2, 3]\n%2 = matmul(%0, const [3, 2]) -> f32[2, 2]\n%4 = mul(%2, const [2, 2]) -> f32[2, 2]\nreturn %4\n"
        );
        let again = Tensor::from_slice(&[1f32, 0.0, 0.0, 0.0, 2.0, 3.0], &[2, 3]).unwrap();
        let found = interpret(&graph, &[&again]).unwrap();
        assert_eq!(found[0].to_vec::<f32>().unwrap(), [2.0, 2.0, 10.0, 10.0]);
    }

    #[test]
    fn what_makes_no_graph_is_said() {
        let tape = Tape::new();
        let x = tape.input(Tensor::ones(&[2], DType::F32).unwrap());
        let y = x.relu().unwrap();
        assert!(tape.graph(&[&x], &[&y]).unwrap_err().to_string().contains("Tape::for_graph"));
        let tape = Tape::for_graph();
        let z = tape.input(Tensor::ones(&[2], DType::F32).unwrap()).relu().unwrap();
        assert!(tape.graph(&[&x], &[&z]).unwrap_err().to_string().contains("input 0"));
        assert!(tape.graph(&[], &[&y]).unwrap_err().to_string().contains("output 0"));
    }
}

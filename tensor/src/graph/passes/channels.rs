//! Concatenation, splitting and shuffling of channels move nothing: they only say in which order channels are read, and a
//! convolution reads them in any order, with its weights sorted to fit.
//!
//! The pass knows for every channel of every value in which stored value it lies, and where. Convolutions and pools read
//! runs of neighbouring channels from several stored values; whatever else needs a value as it is gets a copy
//! ([`Step::Collect`]).

use std::collections::HashMap;

use smallvec::SmallVec;

use super::Facts;
use crate::{
    DType, Op, Result, Tensor,
    graph::{ConvStep, Graph, Node, PoolStep, Residual, Run, Step, ValueId},
    ops::{Cat, ChannelShuffle, Interleave, MaxPool2d, Slice, Span},
};

/// Where a channel is stored.
type Place = (ValueId, usize);

/// Removes `cat`, `slice`, `channel_shuffle` and `interleave` along the channels of images.
///
/// # Errors
/// Where a constant can not be computed.
pub fn dissolve_channels(graph: &mut Graph) -> Result<()> {
    let facts = Facts::of(graph);
    let nodes = std::mem::take(&mut graph.nodes);
    let mut pass = Dissolve { graph, facts, places: HashMap::new(), made: HashMap::new() };
    for node in nodes {
        pass.node(node)?;
    }
    for i in 0..pass.graph.outputs.len() {
        let output = pass.graph.outputs[i];
        pass.graph.outputs[i] = pass.stored(output)?;
    }
    Ok(())
}

struct Dissolve<'a> {
    graph: &'a mut Graph,
    /// Of the graph as it was.
    facts: Facts,
    /// Where the channels of a value are, for values that are not stored as they are.
    places: HashMap<ValueId, Vec<Place>>,
    /// The node that makes a value, in the new list.
    made: HashMap<ValueId, usize>,
}

impl Dissolve<'_> {
    fn push(&mut self, node: Node) {
        self.made.extend(node.outs.iter().map(|&id| (id, self.graph.nodes.len())));
        self.graph.nodes.push(node);
    }

    /// Where the channels of a value `[N, C, H, W]` are.
    fn places(&self, id: ValueId) -> Vec<Place> {
        let whole = || (0..self.graph.meta(id).dims[1]).map(|c| (id, c)).collect();
        self.places.get(&id).cloned().unwrap_or_else(whole)
    }

    /// A stored value with the channels of `id` in their order: itself, or a copy.
    fn stored(&mut self, id: ValueId) -> Result<ValueId> {
        match self.places.get(&id) {
            None => Ok(id),
            Some(places) => self.copy(id, &places.clone()),
        }
    }

    fn copy(&mut self, like: ValueId, places: &[Place]) -> Result<ValueId> {
        let meta = self.graph.meta(like).clone();
        let out = self.graph.result(meta);
        self.push(Node {
            step: Step::Collect(runs(places)),
            outs: SmallVec::from_slice(&[out]),
            scope: "".into(),
        });
        Ok(out)
    }

    fn node(&mut self, mut node: Node) -> Result<()> {
        if let Step::Op { op, ins } = &node.step
            && let Some(places) = self.moved(op, ins)
        {
            self.places.insert(node.outs[0], places);
            return Ok(());
        }
        match &mut node.step {
            Step::Conv(conv) if conv.kind.groups() == 1 => self.conv(conv, node.outs[0])?,
            Step::Op { op: Op::MaxPool2d(MaxPool2d { window }), ins } => {
                let (places, order) = sorted(self.places(ins[0]));
                let sources = runs(&places);
                if !self.facts.uses.contains_key(&node.outs[1]) {
                    node.outs.truncate(1);
                }
                if order.iter().enumerate().any(|(i, &j)| i != j) {
                    // Results come in the order of memory.
                    for &out in &node.outs {
                        let mut back = vec![(out, 0); order.len()];
                        order.iter().enumerate().for_each(|(i, &j)| back[j] = (out, i));
                        self.places.insert(out, back);
                    }
                }
                node.step = Step::Pool(PoolStep { sources, table: None, window: *window });
            }
            step => {
                let mut wanted = step.operands();
                wanted.dedup();
                for id in wanted {
                    let stored = self.stored(id)?;
                    node.step.for_each_operand(|operand| {
                        if *operand == id {
                            *operand = stored;
                        }
                    });
                }
            }
        }
        self.push(node);
        Ok(())
    }

    /// Where the channels of the result are, if `op` only moves channels of images.
    fn moved(&self, op: &Op, ins: &[ValueId]) -> Option<Vec<Place>> {
        let image = |&id: &ValueId| {
            let meta = self.graph.meta(id);
            // Copies of what is not f32 are ordinary steps, and constants are no images.
            meta.rank() == 4 && meta.dtype == DType::F32 && self.graph.constant_of(id).is_none()
        };
        if !ins.iter().all(image) {
            return None;
        }
        match op {
            Op::Cat(Cat { axis: 1 }) => Some(ins.iter().flat_map(|&id| self.places(id)).collect()),
            Op::Slice(Slice { spans }) => {
                let dims = &self.graph.meta(ins[0]).dims;
                let whole = |axis: usize| spans[axis] == Span::all(dims[axis]);
                let Span { start, len, step } = spans[1];
                let places = self.places(ins[0]);
                [0, 2, 3]
                    .into_iter()
                    .all(whole)
                    .then(|| places.into_iter().skip(start).step_by(step).take(len).collect())
            }
            Op::ChannelShuffle(ChannelShuffle { groups }) => Some(shuffled(&self.places(ins[0]), *groups)),
            Op::Interleave(Interleave) => {
                let joined: Vec<Place> = ins.iter().flat_map(|&id| self.places(id)).collect();
                Some(shuffled(&joined, ins.len()))
            }
            _ => None,
        }
    }

    fn conv(&mut self, conv: &mut ConvStep, out: ValueId) -> Result<()> {
        let places: Vec<Place> = conv
            .sources
            .iter()
            .flat_map(|run| self.places(run.value)[run.start..run.start + run.len].to_vec())
            .collect();
        let (places, order) = sorted(places);
        conv.weight = self.reorder(conv.weight, conv.kind.weight_axes().0, &order)?;
        conv.sources = runs(&places);
        match &mut conv.residual {
            None => {}
            Some(Residual::Value(value)) => {
                // The result takes the summand's order, if that is stored in one piece.
                let order = self.one_piece(*value);
                match order.filter(|_| conv.tail.is_none() && !conv.labels) {
                    Some((stored, order)) => {
                        *value = stored;
                        self.reorder_result(conv, &order)?;
                        self.note_order(out, &order);
                    }
                    None => *value = self.stored(*value)?,
                }
            }
            Some(Residual::Unpooled { pooled, index }) => {
                let order = self.one_piece(*index);
                let free = order.filter(|_| conv.tail.is_none() && !conv.labels);
                match free {
                    Some((stored, order)) if self.produce_in_order(*pooled, &order)? => {
                        *index = stored;
                        self.reorder_result(conv, &order)?;
                        self.note_order(out, &order);
                    }
                    _ => {
                        *index = self.stored(*index)?;
                        *pooled = self.stored(*pooled)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The stored value that holds the channels of `id` and no others, and which channel of `id` each of its channels is.
    fn one_piece(&self, id: ValueId) -> Option<(ValueId, Vec<usize>)> {
        let places = self.places(id);
        let stored = places.first()?.0;
        let (sorted, order) = sorted(places);
        let full = self.graph.meta(stored).dims[1] == order.len();
        (full && sorted.iter().enumerate().all(|(i, &place)| place == (stored, i))).then_some((stored, order))
    }

    /// Remembers that channel `i` of the stored `out` is its channel `order[i]`.
    fn note_order(&mut self, out: ValueId, order: &[usize]) {
        if order.iter().enumerate().any(|(i, &j)| i != j) {
            let mut back = vec![(out, 0); order.len()];
            order.iter().enumerate().for_each(|(i, &j)| back[j] = (out, i));
            self.places.insert(out, back);
        }
    }

    /// Makes the convolution that makes `id`, which must be used once, store its channels in that order. Whether it could.
    fn produce_in_order(&mut self, id: ValueId, order: &[usize]) -> Result<bool> {
        if order.iter().enumerate().all(|(i, &j)| i == j) && !self.places.contains_key(&id) {
            return Ok(true);
        }
        let Some(&at) = self.made.get(&id).filter(|_| self.facts.uses.get(&id) == Some(&1)) else {
            return Ok(false);
        };
        let Step::Conv(conv) = &self.graph.nodes[at].step else { return Ok(false) };
        let mut conv = conv.clone();
        if conv.kind.groups() != 1 || conv.residual.is_some() || conv.tail.is_some() || conv.labels {
            return Ok(false);
        }
        self.reorder_result(&mut conv, order)?;
        self.graph.nodes[at].step = Step::Conv(conv);
        Ok(true)
    }

    /// Stores the result's channels in another order.
    fn reorder_result(&mut self, conv: &mut ConvStep, order: &[usize]) -> Result<()> {
        conv.weight = self.reorder(conv.weight, conv.kind.weight_axes().1, order)?;
        if let Some(bias) = &mut conv.bias {
            *bias = self.reorder(*bias, 0, order)?;
        }
        Ok(())
    }

    /// A constant with element `order[i]` of an axis at place `i`.
    fn reorder(&mut self, id: ValueId, axis: usize, order: &[usize]) -> Result<ValueId> {
        if order.iter().enumerate().all(|(i, &j)| i == j) {
            return Ok(id);
        }
        let Some(constant) = self.graph.constant_of(id) else { return Ok(id) };
        let mut dims = vec![1; constant.dims().len()];
        dims[axis] = order.len();
        let index: Vec<i64> = order.iter().map(|&i| i as i64).collect();
        let index = Tensor::from_vec(index, &dims)?.to_device(&Tensor::device(constant))?;
        let mut wanted = constant.dims().to_vec();
        wanted[axis] = order.len();
        let reordered = crate::Ops::gather(constant, axis, &crate::Ops::broadcast_to(&index, &wanted)?)?;
        Ok(self.graph.constant(reordered))
    }
}

/// Places with (groups, channels of each) transposed.
fn shuffled(places: &[Place], groups: usize) -> Vec<Place> {
    let each = places.len() / groups;
    (0..places.len()).map(|c| places[c % groups * each + c / groups]).collect()
}

/// Places in the order of memory, and which of the given each is.
fn sorted(places: Vec<Place>) -> (Vec<Place>, Vec<usize>) {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|&i| places[i]);
    (order.iter().map(|&i| places[i]).collect(), order)
}

/// Neighbouring channels joined.
fn runs(places: &[Place]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for &(value, start) in places {
        match runs.last_mut() {
            Some(run) if run.value == value && run.start + run.len == start => run.len += 1,
            _ => runs.push(Run { value, start, len: 1 }),
        }
    }
    runs
}

//! A computation as a list: operations over numbered values, some of which are constants.
//!
//! A graph is made from one recorded forward pass (`autograd::Tape::graph`), rewritten by the passes of [`passes`], and handed
//! to [`Backend::plan`](crate::Backend::plan), which makes it executable. Dims are fixed: a graph serves images of one size.

mod cost;
mod interpret;
pub mod passes;
mod step;
mod text;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, fmt, sync::Arc};

use smallvec::SmallVec;

pub use interpret::{interpret, interpret_step, look_up};
pub use step::{ChainStep, ConvKind, ConvStep, Link, LookupStep, PoolStep, Residual, Run, Step, Tail};

use crate::{Meta, Op, Result, Tensor};

/// A value of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(crate) usize);

/// A step and what it makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What is done, and to what.
    pub step: Step,
    /// The results.
    pub outs: SmallVec<[ValueId; 2]>,
    /// Path of the module that asked for it, as `up4.right.1`.
    pub scope: Arc<str>,
}

/// What is known of a value.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub meta: Meta,
    pub constant: Option<Tensor>,
}

/// Steps in an order in which they can run, each value made once.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    values: Vec<Value>,
    /// The steps.
    pub nodes: Vec<Node>,
    /// What is given, in order.
    pub inputs: Vec<ValueId>,
    /// What is wanted, in order.
    pub outputs: Vec<ValueId>,
}

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    fn value(&mut self, meta: Meta, constant: Option<Tensor>) -> ValueId {
        self.values.push(Value { meta, constant });
        ValueId(self.values.len() - 1)
    }

    /// A value that is given when the graph runs.
    pub fn input(&mut self, meta: Meta) -> ValueId {
        let id = self.value(meta, None);
        self.inputs.push(id);
        id
    }

    /// A value that is known.
    pub fn constant(&mut self, tensor: Tensor) -> ValueId {
        self.value(tensor.meta(), Some(tensor))
    }

    /// Applies `op`; returns its results.
    ///
    /// # Errors
    /// Where the operation's shape rule is broken.
    pub fn push(&mut self, op: Op, ins: &[ValueId], scope: &str) -> Result<SmallVec<[ValueId; 2]>> {
        let metas: SmallVec<[Meta; 4]> = ins.iter().map(|&id| self.meta(id).clone()).collect();
        let outs: SmallVec<[ValueId; 2]> =
            op.infer(&metas)?.into_iter().map(|meta| self.value(meta, None)).collect();
        let step = Step::Op { op, ins: ins.into() };
        self.nodes.push(Node { step, outs: outs.clone(), scope: scope.into() });
        Ok(outs)
    }

    /// A new value that the caller's step will make.
    pub(crate) fn result(&mut self, meta: Meta) -> ValueId {
        self.value(meta, None)
    }

    /// Stores a value as another type; the caller sees to its maker and its readers.
    pub(crate) fn set_dtype(&mut self, id: ValueId, dtype: crate::DType) {
        self.values[id.0].meta.dtype = dtype;
    }

    /// Dims and dtype of a value.
    pub fn meta(&self, id: ValueId) -> &Meta {
        &self.values[id.0].meta
    }

    /// The value of a constant.
    pub fn constant_of(&self, id: ValueId) -> Option<&Tensor> {
        self.values[id.0].constant.as_ref()
    }

    /// How often each value is used, by steps and as output.
    pub(crate) fn uses(&self) -> HashMap<ValueId, usize> {
        let mut uses = HashMap::new();
        let mut count = |id: ValueId| *uses.entry(id).or_insert(0) += 1;
        self.nodes.iter().for_each(|node| node.step.operands().into_iter().for_each(&mut count));
        self.outputs.iter().for_each(|&id| count(id));
        uses
    }

    /// The step that makes each value: index of the node.
    pub(crate) fn producers(&self) -> HashMap<ValueId, usize> {
        let outs = |(i, node): (usize, &Node)| node.outs.iter().map(move |&id| (id, i)).collect::<Vec<_>>();
        self.nodes.iter().enumerate().flat_map(outs).collect()
    }

    /// Bytes of all values that steps make, each with memory of its own.
    pub fn naive_bytes(&self) -> usize {
        self.nodes.iter().flat_map(|node| &node.outs).map(|&id| self.meta(id).bytes()).sum()
    }
}

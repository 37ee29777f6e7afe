//! The tape: what was applied, in order. Push order is topological order, so backward is a reverse loop.

use std::{cell::RefCell, fmt, rc::Rc};

use smallvec::SmallVec;
use tensor::{Cost, Meta, Op, Tensor};

use crate::{CustomOp, Result, Var, rules::Saves};

/// A list of applied operations. Cloning shares it.
#[derive(Clone)]
pub struct Tape(pub(crate) Rc<RefCell<Inner>>);

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.try_borrow() {
            Ok(inner) => write!(f, "Tape({} nodes)", inner.nodes.len()),
            Err(_) => f.write_str("Tape(in use)"),
        }
    }
}

pub(crate) type Hook = Box<dyn FnMut(&Tensor) -> Result<()>>;

pub(crate) struct Inner {
    pub nodes: Vec<Node>,
    pub hooks: Vec<(usize, Hook)>,
    pub spent: bool,
    /// Whether the values of constants are kept, for [`Tape::graph`].
    pub keeps_constants: bool,
    scope: Rc<str>,
}

/// Which output of which node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    pub node: usize,
    pub output: usize,
}

#[derive(Clone)]
pub(crate) enum Kind {
    /// A value put on the tape from outside; `needs` says whether it wants a gradient.
    Leaf,
    /// Another name for a value: where [`crate::vjp`] stops.
    Alias,
    Op(Op),
    Custom(Rc<dyn CustomOp>),
}

#[derive(Clone)]
pub(crate) struct Node {
    pub kind: Kind,
    /// Where each operand came from; `None` for constants.
    pub inputs: SmallVec<[Option<Edge>; 3]>,
    pub in_metas: SmallVec<[Meta; 3]>,
    pub out_metas: SmallVec<[Meta; 2]>,
    /// The operands and results that the rule wants to see.
    pub saved_inputs: SmallVec<[Option<Tensor>; 3]>,
    pub saved_outputs: SmallVec<[Option<Tensor>; 2]>,
    /// Whether a gradient has to pass here.
    pub needs: bool,
    pub scope: Rc<str>,
}

/// What the tape tells of one applied operation.
#[derive(Debug, Clone)]
pub struct Record {
    /// Name of the operation.
    pub name: String,
    /// The operation, unless it is a leaf or a custom one.
    pub op: Option<Op>,
    /// The module that applied it.
    pub scope: Rc<str>,
    /// Dims and dtypes of its operands.
    pub inputs: SmallVec<[Meta; 3]>,
    /// Dims and dtypes of its results.
    pub outputs: SmallVec<[Meta; 2]>,
    /// What running it costs (nothing is known of custom ones).
    pub cost: Cost,
}

impl Default for Tape {
    fn default() -> Self {
        Self::new()
    }
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::keeping(false)
    }

    /// An empty tape from which [`Tape::graph`] can be made: it keeps the values of constants.
    pub fn for_graph() -> Self {
        Self::keeping(true)
    }

    fn keeping(keeps_constants: bool) -> Self {
        let (nodes, hooks) = (Vec::new(), Vec::new());
        Self(Rc::new(RefCell::new(Inner { nodes, hooks, spent: false, keeps_constants, scope: "".into() })))
    }

    /// Puts a value on the tape that wants a gradient. Integers never do, and on a tape of [`Tape::for_graph`] nothing does:
    /// what only backward would need is not kept.
    pub fn leaf(&self, value: Tensor) -> Var {
        let needs = value.dtype().is_float() && !self.0.borrow().keeps_constants;
        self.push_leaf(value, needs)
    }

    /// Puts a value on the tape that wants no gradient, so that what is applied to it is recorded.
    pub fn input(&self, value: Tensor) -> Var {
        self.push_leaf(value, false)
    }

    fn push_leaf(&self, value: Tensor, needs: bool) -> Var {
        self.push(Kind::Leaf, &[], std::slice::from_ref(&value), Saves::NOTHING, needs).remove(0)
    }

    /// Calls `hook` with the gradient of a leaf during [`Var::backward`], as soon as the walk comes to where the leaf
    /// was put on the tape: right after the operation that used it first, for one that was put there when needed.
    pub fn on_gradient(&self, leaf: &Var, hook: impl FnMut(&Tensor) -> Result<()> + 'static) {
        if let Some(edge) = leaf.edge_on(self) {
            self.0.borrow_mut().hooks.push((edge.node, Box::new(hook)));
        }
    }

    /// Names the module that is applying operations from now on; returns the one before.
    pub fn set_scope(&self, scope: Rc<str>) -> Rc<str> {
        std::mem::replace(&mut self.0.borrow_mut().scope, scope)
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.0.borrow().nodes.len()
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was applied, in order, leaves left out.
    pub fn records(&self) -> Vec<Record> {
        let inner = self.0.borrow();
        let applied = inner.nodes.iter().filter(|n| !matches!(n.kind, Kind::Leaf | Kind::Alias));
        applied
            .map(|n| {
                let op = match &n.kind {
                    Kind::Op(op) => Some(op.clone()),
                    Kind::Leaf | Kind::Alias | Kind::Custom(_) => None,
                };
                let cost = op.as_ref().map_or(Cost::default(), |op| op.cost(&n.in_metas, &n.out_metas));
                let (inputs, outputs) = (n.in_metas.clone(), n.out_metas.clone());
                Record { name: n.kind.name(), op, scope: n.scope.clone(), inputs, outputs, cost }
            })
            .collect()
    }

    /// Bytes of the values saved for backward (shared ones counted once for each place).
    pub fn saved_bytes(&self) -> usize {
        let inner = self.0.borrow();
        let saved = |n: &Node| -> usize {
            n.saved_inputs.iter().chain(&n.saved_outputs).flatten().map(|t| t.meta().bytes()).sum()
        };
        inner.nodes.iter().map(saved).sum()
    }

    /// Records a node and returns its results as variables.
    pub(crate) fn push(
        &self,
        kind: Kind,
        ins: &[&Var],
        outs: &[Tensor],
        saves: Saves,
        needs: bool,
    ) -> Vec<Var> {
        let mut inner = self.0.borrow_mut();
        let wants = |mask: u32, i: usize| needs && mask >> i & 1 == 1;
        let constants = inner.keeps_constants;
        let keep_input = |(i, v): (usize, &&Var)| {
            let constant = constants && v.edge_on(self).is_none();
            (constant || wants(saves.inputs, i)).then(|| v.tensor().clone())
        };
        let leaf = constants && matches!(kind, Kind::Leaf);
        let keep_output = |(i, t): (usize, &Tensor)| (leaf || wants(saves.outputs, i)).then(|| t.clone());
        let node = Node {
            kind,
            inputs: ins.iter().map(|v| v.edge_on(self)).collect(),
            in_metas: ins.iter().map(|v| v.tensor().meta()).collect(),
            out_metas: outs.iter().map(Tensor::meta).collect(),
            saved_inputs: ins.iter().enumerate().map(keep_input).collect(),
            saved_outputs: outs.iter().enumerate().map(keep_output).collect(),
            needs,
            scope: inner.scope.clone(),
        };
        let index = inner.nodes.len();
        inner.nodes.push(node);
        let var = |(output, t): (usize, &Tensor)| Var::on(self, t.clone(), Edge { node: index, output });
        outs.iter().enumerate().map(var).collect()
    }

    /// Frees what is still saved (beside the path that backward took, or where it failed) and the hooks.
    pub(crate) fn release(&self) {
        let mut inner = self.0.borrow_mut();
        for node in &mut inner.nodes {
            node.saved_inputs.clear();
            node.saved_outputs.clear();
        }
        let hooks = std::mem::take(&mut inner.hooks);
        drop(inner);
        drop(hooks); // they may hold this very tape
    }

    /// Whether a gradient has to pass through `edge`.
    pub(crate) fn needs(&self, edge: Edge) -> bool {
        let inner = self.0.borrow();
        let node = &inner.nodes[edge.node];
        node.needs && node.out_metas[edge.output].dtype.is_float()
    }
}

impl Kind {
    pub fn name(&self) -> String {
        match self {
            Kind::Leaf => "leaf".into(),
            Kind::Alias => "alias".into(),
            Kind::Op(op) => op.name().into(),
            Kind::Custom(op) => op.name().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tensor::{DType, Ops};

    use super::*;

    #[test]
    fn records_tell_what_was_applied_where_and_at_what_cost() {
        let tape = Tape::new();
        let x = tape.input(Tensor::ones(&[2, 3], DType::F32).unwrap());
        let before = tape.set_scope("head".into());
        let y = x.matmul(&tape.leaf(Tensor::ones(&[3, 4], DType::F32).unwrap())).unwrap();
        assert_eq!(&*tape.set_scope(before), "head");
        y.relu().unwrap();
        let records = tape.records();
        let told: Vec<_> = records.iter().map(|r| (&*r.name, &*r.scope, r.cost.macs)).collect();
        assert_eq!(told, [("matmul", "head", 24), ("relu", "", 0)]);
        assert_eq!(
            (&records[0].inputs[1].dims[..], &records[0].outputs[0].dims[..]),
            (&[3, 4][..], &[2, 4][..])
        );
        assert_eq!(tape.len(), 4, "leaves count as nodes");
    }
}

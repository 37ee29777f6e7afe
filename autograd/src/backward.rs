//! Backward: one reverse loop over the tape.

use std::collections::HashMap;

use smallvec::{SmallVec, smallvec};
use tensor::{Meta, Op, Ops, Tensor};

use crate::{
    Error, Result, Tape, Var,
    pending::Pending,
    rules,
    tape::{Edge, Kind, Node},
    var::common_tape,
};

/// Gradients of a scalar with respect to the leaves of its tape.
#[derive(Debug)]
pub struct Grads {
    tape: Tape,
    /// By node.
    leaves: HashMap<usize, Tensor>,
}

impl Grads {
    /// The gradient of a leaf; `None` where the scalar does not depend on it, or the leaf is another tape's.
    pub fn get(&self, leaf: &Var) -> Option<&Tensor> {
        self.leaves.get(&leaf.edge_on(&self.tape)?.node)
    }

    /// The gradient of a leaf, taken out.
    pub fn take(&mut self, leaf: &Var) -> Option<Tensor> {
        self.leaves.remove(&leaf.edge_on(&self.tape)?.node)
    }
}

/// What a rule sees: operands and results as far as it asked to save them, and the gradients of the results.
pub struct Context<'a> {
    node: &'a Node,
    /// The tape to record on, where derivatives are to be differentiated again.
    tape: Option<&'a Tape>,
    index: usize,
    grads: &'a [Option<Var>],
    pieces: &'a [Var],
    needs: SmallVec<[bool; 3]>,
}

impl Context<'_> {
    fn var(&self, value: &Tensor, edge: Option<Edge>) -> Var {
        match (self.tape, edge) {
            (Some(tape), Some(edge)) => Var::on(tape, value.clone(), edge),
            _ => Var::new(value.clone()),
        }
    }

    /// Operand `i`.
    ///
    /// # Errors
    /// Where the operation does not save it.
    pub fn input(&self, i: usize) -> Result<Var> {
        let saved = self.node.saved_inputs.get(i).and_then(Option::as_ref);
        let saved =
            saved.ok_or_else(|| Error::Message(format!("{}: operand {i} was not saved", self.name())))?;
        Ok(self.var(saved, self.node.inputs[i]))
    }

    /// Result `i`.
    ///
    /// # Errors
    /// Where the operation does not save it.
    pub fn output(&self, i: usize) -> Result<Var> {
        let saved = self.node.saved_outputs.get(i).and_then(Option::as_ref);
        let saved =
            saved.ok_or_else(|| Error::Message(format!("{}: result {i} was not saved", self.name())))?;
        Ok(self.var(saved, Some(Edge { node: self.index, output: i })))
    }

    /// Dims and dtype of operand `i`.
    pub fn input_meta(&self, i: usize) -> &Meta {
        &self.node.in_metas[i]
    }

    /// Dims and dtype of result `i`.
    pub fn output_meta(&self, i: usize) -> &Meta {
        &self.node.out_metas[i]
    }

    /// Number of operands.
    pub fn inputs(&self) -> usize {
        self.node.in_metas.len()
    }

    /// Whether anybody wants the gradient of operand `i`.
    pub fn needs(&self, i: usize) -> bool {
        self.needs[i]
    }

    /// The gradient of result `i`, where one arrived.
    pub fn grad_if_any(&self, i: usize) -> Option<&Var> {
        self.grads[i].as_ref()
    }

    /// The gradient of result `i`; zeros where none arrived.
    ///
    /// # Errors
    /// Where memory runs out.
    pub fn grad(&self, i: usize) -> Result<Var> {
        match &self.grads[i] {
            Some(g) => Ok(g.clone()),
            None => {
                let meta = self.output_meta(i);
                let like = self.grads.iter().flatten().next();
                let device = like.map_or_else(tensor::cpu::device, |g| g.device());
                Ok(Var::new(Tensor::full_on(&device, 0.0, &meta.dims, meta.dtype)?))
            }
        }
    }

    /// All gradients of the results, as they arrived.
    pub fn grads(&self) -> &[Option<Var>] {
        self.grads
    }

    /// For `Interleave`: the gradient of the result, cut along the channels, where it arrived that way. There is no
    /// gradient of the whole then.
    pub(crate) fn pieces(&self) -> &[Var] {
        self.pieces
    }

    fn name(&self) -> String {
        self.node.kind.name()
    }
}

/// What the walk does.
struct Walk<'a> {
    tape: &'a Tape,
    /// Keep what was saved, and record the rules' own operations.
    create_graph: bool,
    /// Values whose gradients are wanted, leaves or not; `None`: all leaves.
    targets: Option<&'a [Edge]>,
}

/// By node, what has arrived at each of its results.
type Slots = HashMap<usize, SmallVec<[Pending; 2]>>;

/// By node, the gradients of its results.
type Finished = HashMap<usize, Vec<Option<Var>>>;

pub(crate) fn backward(loss: &Var) -> Result<Grads> {
    if !loss.dims().is_empty() {
        return Err(Error::NotScalar { dims: loss.dims().to_vec() });
    }
    let (Some(tape), true) = (loss.tape(), loss.needs_gradient()) else {
        let spent = loss.tape().is_some_and(|t| t.0.borrow().spent);
        return Err(if spent { Error::Spent } else { Error::NotRecorded });
    };
    if std::mem::replace(&mut tape.0.borrow_mut().spent, true) {
        return Err(Error::Spent);
    }
    let seed = loss.detach().full_like(1.0, &[])?;
    let walk = Walk { tape, create_graph: false, targets: None };
    let finished = walk.run(&[(loss, seed)]);
    tape.release();
    let finished = finished?;
    let leaves =
        finished.into_iter().filter_map(|(node, mut grads)| Some((node, grads[0].take()?.into_tensor())));
    Ok(Grads { tape: tape.clone(), leaves: leaves.collect() })
}

/// Gradients of `outputs`, weighted by `seeds` of the same dims, with respect to `inputs`; `None` where there
/// is no dependence. With `create_graph` the computation is itself recorded, for higher derivatives;
/// either way the tape keeps what it saved and can be walked again.
///
/// ```
/// use autograd::{Ops, Tape, Var, gradients};
/// use tensor::Tensor;
/// let tape = Tape::new();
/// let x = tape.leaf(Tensor::scalar(2.0));
/// let y = x.pow_scalar(3.0)?;
/// let one = Var::new(Tensor::scalar(1.0));
/// let slope = gradients(&[&y], &[one.clone()], &[&x], true)?.remove(0).unwrap();
/// assert_eq!(slope.tensor().item()?, 12.0); // 3x²
/// let curvature = gradients(&[&slope], &[one], &[&x], true)?.remove(0).unwrap();
/// assert_eq!(curvature.tensor().item()?, 12.0); // 6x
/// # Ok::<(), autograd::Error>(())
/// ```
///
/// # Errors
/// Seeds that are not one for each output, of its dims and type; [`Error::Spent`] after [`Var::backward`]; what a rule reports.
pub fn gradients(
    outputs: &[&Var],
    seeds: &[Var],
    inputs: &[&Var],
    create_graph: bool,
) -> Result<Vec<Option<Var>>> {
    check_seeds(outputs, seeds)?;
    let all: Vec<&Var> = outputs.iter().chain(inputs).copied().collect();
    let Some(tape) = common_tape(|| "gradients".into(), &all)? else {
        return Ok(inputs.iter().map(|_| None).collect());
    };
    if tape.0.borrow().spent {
        return Err(Error::Spent);
    }
    let targets: Vec<Edge> = inputs.iter().filter_map(|v| v.edge()).collect();
    let walk = Walk { tape: &tape, create_graph, targets: Some(&targets) };
    let seeded: Vec<(&Var, Var)> = outputs
        .iter()
        .zip(seeds)
        .filter(|(out, _)| out.edge().is_some())
        .map(|(&out, seed)| (out, if create_graph { seed.clone() } else { seed.detach() }))
        .collect();
    let finished = walk.run(&seeded)?;
    let grad = |v: &&Var| v.edge().and_then(|e| finished.get(&e.node)?.get(e.output)?.clone());
    Ok(inputs.iter().map(grad).collect())
}

fn check_seeds(outputs: &[&Var], seeds: &[Var]) -> Result<()> {
    if outputs.len() != seeds.len() {
        let (outputs, seeds) = (outputs.len(), seeds.len());
        return Err(Error::Message(format!("gradients: {outputs} outputs want a seed each, got {seeds}")));
    }
    match outputs.iter().zip(seeds).position(|(out, seed)| out.meta() != seed.meta()) {
        Some(i) => {
            let (out, seed) = (outputs[i].meta(), seeds[i].meta());
            Err(Error::Message(format!(
                "gradients: output {i} is {out}, its seed {seed}; they must be alike"
            )))
        }
        None => Ok(()),
    }
}

/// The gradients of a composition: applies `compose` to `ins` and returns the gradients of what it returns,
/// weighted by `seeds` (`None`: zero), with respect to `ins`. For rules that are best written as the
/// function itself. Recorded where `ins` are.
///
/// # Errors
/// What `compose` or a rule reports.
pub fn vjp(
    ins: &[Var],
    seeds: &[Option<Var>],
    compose: impl FnOnce(&[Var]) -> Result<Vec<Var>>,
) -> Result<Vec<Option<Var>>> {
    let refs: Vec<&Var> = ins.iter().chain(seeds.iter().flatten()).collect();
    let outer = common_tape(|| "vjp".into(), &refs)?;
    let tape = outer.clone().unwrap_or_default();
    let alias = |v: &Var| {
        let needs = v.meta().dtype.is_float();
        let save = rules::Saves::NOTHING;
        let operand: &[&Var] = if outer.is_some() { &[v] } else { &[] };
        let kind = if outer.is_some() { Kind::Alias } else { Kind::Leaf };
        tape.push(kind, operand, std::slice::from_ref(v.tensor()), save, needs).remove(0)
    };
    let inner: Vec<Var> = ins.iter().map(alias).collect();
    let outs = compose(&inner)?;
    let (outs, seeds): (Vec<&Var>, Vec<Var>) =
        outs.iter().zip(seeds).filter_map(|(o, s)| Some((o, s.clone()?))).unzip();
    let grads = gradients(&outs, &seeds, &inner.iter().collect::<Vec<_>>(), outer.is_some())?;
    Ok(grads)
}

impl Walk<'_> {
    /// Walks back from the seeded outputs and returns the gradients that were asked for.
    fn run(&self, seeded: &[(&Var, Var)]) -> Result<Finished> {
        let mut finished = Finished::new();
        let Some(last) = seeded.iter().filter_map(|(v, _)| Some(v.edge()?.node)).max() else {
            return Ok(finished);
        };
        let wanted = self.wanted(last);
        let mut slots = Slots::new();
        for (out, seed) in seeded {
            if let Some(edge) = out.edge() {
                self.slot(&mut slots, edge).add(seed.clone())?;
            }
        }
        for index in (0..=last).rev() {
            if !wanted[index] {
                continue;
            }
            let Some(pending) = slots.remove(&index) else { continue };
            let node = if self.create_graph || self.targets.is_some() {
                self.tape.0.borrow().nodes[index].clone()
            } else {
                self.take(index)
            };
            let scope = self.create_graph.then(|| self.tape.set_scope(node.scope.clone()));
            let passed = tensor::scope::backward(&node.scope, || {
                self.pass(index, &node, pending, &wanted, &mut slots, &mut finished)
            });
            scope.map(|s| self.tape.set_scope(s));
            passed.map_err(|e| e.at(&node.scope))?;
        }
        Ok(finished)
    }

    /// Takes the gradients that arrived at a node and passes on those of its operands.
    fn pass(
        &self,
        index: usize,
        node: &Node,
        mut pending: SmallVec<[Pending; 2]>,
        wanted: &[bool],
        slots: &mut Slots,
        finished: &mut Finished,
    ) -> Result<()> {
        let pieces = match &node.kind {
            Kind::Op(Op::Interleave(_)) if !self.keeps(index) => {
                pending[0].take_pieces(1, &node.out_metas[0].dims)
            }
            _ => SmallVec::new(),
        };
        let totals = pending.into_iter().zip(&node.out_metas).map(|(p, meta)| p.total(&meta.dims));
        let grads = totals.collect::<Result<Vec<_>>>()?;
        let leaf = matches!(node.kind, Kind::Leaf);
        if leaf && self.targets.is_none() {
            self.call_hooks(index, &grads)?;
        }
        if leaf || self.keeps(index) {
            finished.insert(index, grads.clone());
        }
        if !node.inputs.iter().flatten().any(|e| wanted[e.node]) {
            return Ok(());
        }
        let ins = self.rule(node, index, &grads, &pieces, wanted)?;
        drop((grads, pieces));
        for ((grad, edge), meta) in ins.into_iter().zip(&node.inputs).zip(&node.in_metas) {
            if let (Some(grad), Some(edge)) = (grad, *edge)
                && wanted[edge.node]
                && meta.dtype.is_float()
            {
                match &node.kind {
                    Kind::Op(Op::Slice(window)) => self.slot(slots, edge).add_part(window.clone(), grad),
                    _ => self.slot(slots, edge).add(unbroadcast(grad, &meta.dims)?)?,
                }
            }
        }
        Ok(())
    }

    /// What has arrived at `edge` so far.
    fn slot<'s>(&self, slots: &'s mut Slots, edge: Edge) -> &'s mut Pending {
        let outputs = || self.tape.0.borrow().nodes[edge.node].out_metas.len();
        &mut slots.entry(edge.node).or_insert_with(|| smallvec![Pending::default(); outputs()])[edge.output]
    }

    fn keeps(&self, index: usize) -> bool {
        self.targets.is_some_and(|targets| targets.iter().any(|e| e.node == index))
    }

    /// Which nodes a gradient has to reach.
    fn wanted(&self, last: usize) -> Vec<bool> {
        let inner = self.tape.0.borrow();
        let Some(targets) = self.targets else {
            return inner.nodes[..=last].iter().map(|n| n.needs).collect();
        };
        let mut wanted = vec![false; last + 1];
        for edge in targets.iter().filter(|e| e.node <= last) {
            wanted[edge.node] = inner.nodes[edge.node].needs;
        }
        for i in 0..=last {
            let node = &inner.nodes[i];
            wanted[i] |= node.needs && node.inputs.iter().flatten().any(|e| wanted[e.node]);
        }
        wanted
    }

    /// The node, with what it saved taken off the tape: freed when the rule has run.
    fn take(&self, index: usize) -> Node {
        let mut inner = self.tape.0.borrow_mut();
        let node = &mut inner.nodes[index];
        let (saved_inputs, saved_outputs) =
            (std::mem::take(&mut node.saved_inputs), std::mem::take(&mut node.saved_outputs));
        Node { saved_inputs, saved_outputs, ..node.clone() }
    }

    fn call_hooks(&self, index: usize, grads: &[Option<Var>]) -> Result<()> {
        let Some(grad) = &grads[0] else { return Ok(()) };
        // Hooks may look at the tape: it is not borrowed while they run.
        let mut hooks = std::mem::take(&mut self.tape.0.borrow_mut().hooks);
        let mine = hooks.iter_mut().filter(|(node, _)| *node == index);
        let result = mine.map(|(_, hook)| hook(grad.tensor())).collect::<Result<Vec<()>>>();
        self.tape.0.borrow_mut().hooks.append(&mut hooks);
        result.map(|_| ())
    }

    fn rule(
        &self,
        node: &Node,
        index: usize,
        grads: &[Option<Var>],
        pieces: &[Var],
        wanted: &[bool],
    ) -> Result<Vec<Option<Var>>> {
        let wants = |(edge, meta): (&Option<Edge>, &Meta)| {
            meta.dtype.is_float() && edge.is_some_and(|e| wanted[e.node])
        };
        let needs = node.inputs.iter().zip(&node.in_metas).map(wants).collect();
        let cx = Context { node, tape: self.create_graph.then_some(self.tape), index, grads, pieces, needs };
        match &node.kind {
            Kind::Leaf => Ok(vec![]),
            Kind::Alias => Ok(vec![grads[0].clone()]),
            Kind::Op(op) => rules::backward(op, &cx),
            Kind::Custom(op) => op.backward(&cx),
        }
    }
}

/// Sums `grad` over the axes along which an operand of `dims` was repeated.
fn unbroadcast(grad: Var, dims: &[usize]) -> Result<Var> {
    if grad.dims() == dims {
        return Ok(grad);
    }
    let lead = grad.dims().len().saturating_sub(dims.len());
    let axes: Vec<usize> = (0..grad.dims().len())
        .filter(|&a| a < lead || (dims[a - lead] == 1 && grad.dims()[a] != 1))
        .collect();
    grad.sum(&axes, true)?.reshape(dims)
}

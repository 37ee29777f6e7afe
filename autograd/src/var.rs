//! A tensor that may be recorded on a tape.

use std::{fmt, rc::Rc};

use smallvec::SmallVec;
use tensor::{Device, Meta, Op, Ops, Outputs, Tensor, execute};

use crate::{
    Error, Grads, Result, Tape,
    backward::backward,
    rules,
    tape::{Edge, Kind},
};

/// A tensor and, where it is recorded, its place on a tape. Without a tape, operations on it are not recorded:
/// evaluation costs nothing more and pins nothing.
#[derive(Clone)]
pub struct Var {
    value: Tensor,
    place: Option<(Tape, Edge)>,
}

impl Var {
    /// A plain value, on no tape.
    pub fn new(value: Tensor) -> Self {
        Self { value, place: None }
    }

    pub(crate) fn on(tape: &Tape, value: Tensor, edge: Edge) -> Self {
        Self { value, place: Some((tape.clone(), edge)) }
    }

    /// The value.
    pub fn tensor(&self) -> &Tensor {
        &self.value
    }

    /// The sum of two gradients, in the memory of this one where nothing is recorded and nobody else holds it.
    pub(crate) fn add_into(self, other: &Self) -> Result<Self> {
        match (&self.place, &other.place) {
            (None, None) => Ok(Self::new(self.value.add_into(&other.value)?)),
            _ => self.add(other),
        }
    }

    /// The value, taken out.
    pub fn into_tensor(self) -> Tensor {
        self.value
    }

    /// Size along each axis.
    pub fn dims(&self) -> &[usize] {
        self.value.dims()
    }

    /// The same value on no tape: gradients stop here.
    pub fn detach(&self) -> Self {
        Self::new(self.value.clone())
    }

    /// The tape it is recorded on.
    pub fn tape(&self) -> Option<&Tape> {
        self.place.as_ref().map(|(tape, _)| tape)
    }

    /// Whether a gradient has to pass here.
    pub fn needs_gradient(&self) -> bool {
        self.place.as_ref().is_some_and(|(tape, edge)| tape.needs(*edge))
    }

    pub(crate) fn edge(&self) -> Option<Edge> {
        self.place.as_ref().map(|(_, edge)| *edge)
    }

    pub(crate) fn edge_on(&self, tape: &Tape) -> Option<Edge> {
        self.place.as_ref().filter(|(t, _)| Rc::ptr_eq(&t.0, &tape.0)).map(|(_, edge)| *edge)
    }

    /// The gradient of this scalar with respect to every leaf of its tape. The tape frees what it saved as it
    /// is walked, and is spent afterwards.
    ///
    /// # Errors
    /// [`Error::NotScalar`], [`Error::NotRecorded`], [`Error::Spent`], or what a rule reports, with the module
    /// it happened in.
    pub fn backward(&self) -> Result<Grads> {
        backward(self)
    }
}

/// The one tape that operands are recorded on, if any.
pub(crate) fn common_tape(op: impl Fn() -> String, ins: &[&Var]) -> Result<Option<Tape>> {
    let mut tapes = ins.iter().filter_map(|v| v.tape());
    let Some(first) = tapes.next() else { return Ok(None) };
    if tapes.any(|t| !Rc::ptr_eq(&t.0, &first.0)) {
        return Err(Error::TwoTapes { op: op() });
    }
    Ok(Some(first.clone()))
}

impl Ops for Var {
    type Error = Error;

    fn apply(op: Op, ins: &[&Self]) -> Result<Outputs<Self>> {
        let tape = common_tape(|| op.name().into(), ins)?;
        let values: Vec<&Tensor> = ins.iter().map(|v| v.tensor()).collect();
        let outs = execute(&op, &values)?;
        let Some(tape) = tape else { return Ok(outs.into_iter().map(Var::new).collect()) };
        let wants: SmallVec<[bool; 3]> = ins.iter().map(|v| v.needs_gradient()).collect();
        let needs = rules::differentiable(&op) && wants.contains(&true);
        let saves = rules::saves(&op, &wants);
        Ok(tape.push(Kind::Op(op), ins, &outs, saves, needs).into())
    }

    fn meta(&self) -> Meta {
        self.value.meta()
    }

    fn device(&self) -> Device {
        self.value.device()
    }

    fn constant(value: Tensor) -> Self {
        Self::new(value)
    }
}

impl fmt::Debug for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some((_, edge)) => write!(f, "Var(node {}.{}, {:?})", edge.node, edge.output, self.value),
            None => write!(f, "Var({:?})", self.value),
        }
    }
}

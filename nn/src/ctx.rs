//! What a forward pass carries along.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
};

use autograd::{Grads, Tape, Var};
use tensor::{DType, Ops, Tensor, rng::Key};

use crate::{
    Module, Param, Policy, Result, Work,
    collective::{Collective, Solo},
};

/// Draws that a step has room for.
const SPACING: u64 = 1 << 20;

/// Tape, mode, precision, ranks, random stream and path of one forward pass.
pub struct Ctx {
    tape: Option<Tape>,
    training: bool,
    ranks: Arc<dyn Collective>,
    key: Key,
    draws: Cell<u64>,
    path: RefCell<Vec<String>>,
    bound: RefCell<HashMap<u64, Var>>,
    policy: Cell<Policy>,
    /// Copies of parameters in other types.
    copies: RefCell<HashMap<(u64, DType), Var>>,
}

impl Ctx {
    /// Evaluation: nothing is recorded, batch normalisation uses its running statistics, dropout does nothing.
    pub fn eval() -> Self {
        Self::new(None, false, Key::default())
    }

    /// Training, recorded on a new tape. `key` names the random stream of this step (dropout).
    pub fn train(key: Key) -> Self {
        Self::new(Some(Tape::new()), true, key)
    }

    /// Evaluation recorded on `tape`: to see what a model does, or to differentiate it as it is.
    pub fn trace(tape: &Tape) -> Self {
        Self::new(Some(tape.clone()), false, Key::default())
    }

    /// Recorded on `tape`, in the mode that `training` says: where the tape is somebody else's.
    pub fn on(tape: &Tape, training: bool, key: Key) -> Self {
        Self::new(Some(tape.clone()), training, key)
    }

    fn new(tape: Option<Tape>, training: bool, key: Key) -> Self {
        let (path, bound, copies) = (RefCell::default(), RefCell::default(), RefCell::default());
        let (policy, draws) = (Cell::default(), Cell::new(0));
        Self { tape, training, ranks: Arc::new(Solo), key, draws, path, bound, policy, copies }
    }

    /// The same pass as one rank's share of a step that all of `ranks` take.
    pub fn across(mut self, ranks: Arc<dyn Collective>) -> Self {
        self.ranks = ranks;
        self
    }

    /// The same pass in the precision that `policy` says; without this, in [`Policy::Full`].
    pub fn under(self, policy: Policy) -> Self {
        self.policy.set(policy);
        self
    }

    /// In which precision the module that runs computes.
    pub fn policy(&self) -> Policy {
        self.policy.get()
    }

    /// Runs `f` in [`Policy::Full`].
    pub fn in_full<T>(&self, f: impl FnOnce() -> T) -> T {
        let before = self.policy.replace(Policy::Full);
        let result = f();
        self.policy.set(before);
        result
    }

    /// `x` in the type in which the policy does `work`; itself where it is of that type.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn operand(&self, x: &Var, work: Work) -> Result<Var> {
        Ok(x.cast(self.policy().dtype(work, x.tensor().dtype()))?)
    }

    /// The variable of a parameter in the type in which the policy does `work`: the leaf, or its copy, which is made once in a
    /// pass.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn weight(&self, param: &Param, work: Work) -> Result<Var> {
        let leaf = self.var(param);
        let dtype = self.policy().dtype(work, leaf.tensor().dtype());
        if dtype == leaf.tensor().dtype() {
            return Ok(leaf);
        }
        let key = (param.id(), dtype);
        if let Some(copy) = self.copies.borrow().get(&key) {
            return Ok(copy.clone());
        }
        let copy = leaf.cast(dtype)?;
        self.copies.borrow_mut().insert(key, copy.clone());
        Ok(copy)
    }

    /// The ranks that take this step together; [`Solo`] where nothing was said.
    pub fn ranks(&self) -> &Arc<dyn Collective> {
        &self.ranks
    }

    /// Whether modules train.
    pub fn training(&self) -> bool {
        self.training
    }

    /// The tape, where there is one.
    pub fn tape(&self) -> Option<&Tape> {
        self.tape.as_ref()
    }

    /// A value from outside (an image) as a variable that wants no gradient.
    pub fn input(&self, value: Tensor) -> Var {
        match &self.tape {
            Some(tape) => tape.input(value),
            None => Var::new(value),
        }
    }

    /// The variable of a parameter: a leaf of the tape, the same for each use.
    pub fn var(&self, param: &Param) -> Var {
        let mut bound = self.bound.borrow_mut();
        match (&self.tape, bound.get(&param.id())) {
            (_, Some(var)) => var.clone(),
            (None, None) => Var::new(param.value()),
            (Some(tape), None) => {
                let var = tape.leaf(param.value());
                bound.insert(param.id(), var.clone());
                var
            }
        }
    }

    /// Lets `var` stand for a parameter in this pass: for checking gradients, and for functions of weights.
    pub fn bind(&self, param: &Param, var: Var) {
        self.bound.borrow_mut().insert(param.id(), var);
        self.copies.borrow_mut().retain(|(id, _), _| *id != param.id());
    }

    /// The variable of a parameter, where the pass used it.
    pub fn bound(&self, param: &Param) -> Option<Var> {
        self.bound.borrow().get(&param.id()).cloned()
    }

    /// The gradient of a parameter, where the pass used it.
    pub fn grad<'a>(&self, grads: &'a Grads, param: &Param) -> Option<&'a Tensor> {
        grads.get(self.bound.borrow().get(&param.id())?)
    }

    /// A key for the next random draw: each call in a pass gets another one.
    pub fn next_key(&self) -> Key {
        let draw = self.draws.get();
        self.draws.set(draw + 1);
        // Streams of a step are spaced so that no layer's stream meets another step's.
        Key::new(self.key.seed, self.key.stream.wrapping_mul(SPACING).wrapping_add(draw))
    }

    /// By how much the streams of [`Ctx::next_key`] differ between steps whose keys have these streams.
    pub fn shift(from: u64, to: u64) -> u64 {
        to.wrapping_sub(from).wrapping_mul(SPACING)
    }

    /// Path of the module that runs, as `up4.right.1`.
    pub fn path(&self) -> String {
        self.path.borrow().join(".")
    }

    /// Applies the child module `name` to `x`, as [`Ctx::scope`] runs it.
    ///
    /// # Errors
    /// What the module returns, with the path.
    pub fn call(&self, name: &str, module: &dyn Module, x: &Var) -> Result<Var> {
        self.scope(name, || module.forward(x, self))
    }

    /// Runs `f` as the child module `name`: its operations are recorded under that path, and its errors name it.
    ///
    /// # Errors
    /// What `f` returns, with the path.
    pub fn scope<T>(&self, name: &str, f: impl FnOnce() -> Result<T>) -> Result<T> {
        self.path.borrow_mut().push(name.into());
        let path: Rc<str> = self.path().into();
        let before = self.tape.as_ref().map(|tape| tape.set_scope(path.clone()));
        let result = tensor::scope::within(&path, f).map_err(|e| e.at(&path));
        if let (Some(tape), Some(before)) = (&self.tape, before) {
            tape.set_scope(before);
        }
        self.path.borrow_mut().pop();
        result
    }
}

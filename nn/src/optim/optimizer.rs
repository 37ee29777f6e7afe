//! Applies a rule to all parameters and keeps their state.

use std::collections::BTreeMap;

use tensor::{Device, Op, Ops, Tensor, ops::Update};

use super::{Gradient, Group, Hyper, Rule, check_finite};
use crate::{Error, Module, Param, Result, parameters};

/// What an optimiser keeps for one parameter.
#[derive(Debug, Clone)]
pub struct State {
    /// Number of updates so far.
    pub steps: u64,
    /// One tensor for each of the rule's slots.
    pub slots: Vec<Tensor>,
}

/// A step that is computed, but not taken.
#[derive(Debug)]
pub struct Proposal {
    /// f32 `[]`: 0, or 1 where a gradient is NaN or infinite and all values are the old ones.
    pub found: Tensor,
    /// The new value of each parameter.
    pub values: Vec<Tensor>,
    /// The new slots of each parameter.
    pub slots: Vec<Vec<Tensor>>,
}

impl Proposal {
    /// 1 where all gradients are finite, else 0: f32 `[]`, what a [`super::LossScale`] wants to know.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn finite(&self) -> Result<Tensor> {
        Ok(self.found.neg()?.add_scalar(1.0)?)
    }
}

/// A rule, a base rate, weight decay, groups, and the state of each parameter by name.
#[derive(Debug)]
pub struct Optimizer {
    rule: Box<dyn Rule>,
    rate: f64,
    weight_decay: f64,
    groups: Vec<Group>,
    state: BTreeMap<String, State>,
}

impl Optimizer {
    /// An optimiser without weight decay.
    pub fn new(rule: impl Rule + 'static, rate: f64) -> Self {
        Self { rule: Box::new(rule), rate, weight_decay: 0.0, groups: vec![], state: BTreeMap::new() }
    }

    /// With weight decay.
    pub fn weight_decay(mut self, decay: f64) -> Self {
        self.weight_decay = decay;
        self
    }

    /// With a group of parameters that are treated otherwise.
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// The base rate.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Name of the rule.
    pub fn name(&self) -> &'static str {
        self.rule.name()
    }

    /// Names of what the rule keeps for each parameter.
    pub fn slots(&self) -> &'static [&'static str] {
        self.rule.slots()
    }

    /// Moves each parameter by its gradient, at the base rate times `factor` (a schedule's).
    ///
    /// # Errors
    /// A gradient that does not fit its parameter, or is NaN or infinite, by name. Nothing moves then.
    pub fn step(&mut self, grads: &[Gradient], factor: f64) -> Result<()> {
        let params: Vec<_> = grads.iter().map(|g| (g.name.clone(), g.param.clone())).collect();
        let proposal = self.propose(grads, &self.numbers(&params, factor)?, &Tensor::scalar(1.0_f64))?;
        if proposal.found.item()? != 0.0 {
            check_finite(grads)?;
            return Err(Error::config(self.name(), "a gradient is NaN or infinite"));
        }
        self.accept(&params, proposal.values, proposal.slots);
        Ok(())
    }

    /// The numbers of the next step of `params`, at the base rate times `factor`: f64 `[n, …]`, on the CPU. They change from
    /// step to step, the rest of the computation does not.
    ///
    /// # Errors
    /// None in practice.
    pub fn numbers(&self, params: &[(String, Param)], factor: f64) -> Result<Tensor> {
        let width = self.rule.update().numbers();
        let mut numbers = Vec::with_capacity(params.len() * width);
        for (name, param) in params {
            let value = param.value();
            let group = self.groups.iter().find(|g| g.matches(name, &value));
            let weight_decay = group.and_then(|g| g.weight_decay).unwrap_or(self.weight_decay);
            let rate = self.rate * factor * group.map_or(1.0, |g| g.rate_factor);
            let step = self.state.get(name).map_or(0, |s| s.steps) + 1;
            numbers.extend(self.rule.numbers(Hyper { rate, weight_decay, step }));
        }
        Ok(Tensor::from_slice(&numbers, &[params.len(), width])?)
    }

    /// The parameters of `model` that were updated, in the order of the visit.
    pub fn updated(&self, model: &dyn Module) -> Vec<(String, Param)> {
        parameters(model).into_iter().filter(|(name, _)| self.state.contains_key(name)).collect()
    }

    /// What each of `params` keeps: zeros before its first step.
    ///
    /// # Errors
    /// Where memory runs out.
    pub fn kept(&self, params: &[(String, Param)]) -> Result<Vec<Vec<Tensor>>> {
        let of = |(name, param): &(String, Param)| match self.state.get(name) {
            Some(state) => Ok(state.slots.clone()),
            None => {
                let value = param.value();
                let zeros = || Tensor::full_on(&Tensor::device(&value), 0.0, value.dims(), value.dtype());
                Ok(self.rule.slots().iter().map(|_| zeros()).collect::<Result<_, _>>()?)
            }
        };
        params.iter().map(of).collect()
    }

    /// Computes a step with the [`Optimizer::numbers`] of the parameters of `grads`, on their device, in one operation: nothing
    /// moves before [`Optimizer::accept`]. `factor` (f64 `[]`) is what gradients are multiplied with: one over the loss scale,
    /// [`super::clip_factor`].
    ///
    /// # Errors
    /// A gradient that does not fit its parameter, by name; parameters of several types or devices.
    pub fn propose(&self, grads: &[Gradient], numbers: &Tensor, factor: &Tensor) -> Result<Proposal> {
        let params: Vec<_> = grads.iter().map(|g| (g.name.clone(), g.param.clone())).collect();
        self.propose_from(grads, &self.kept(&params)?, numbers, factor)
    }

    /// The same with other slots than those that are kept.
    ///
    /// # Errors
    /// As [`Optimizer::propose`].
    pub fn propose_from(
        &self,
        grads: &[Gradient],
        kept: &[Vec<Tensor>],
        numbers: &Tensor,
        factor: &Tensor,
    ) -> Result<Proposal> {
        let mut operands = Vec::new();
        for (grad, slots) in grads.iter().zip(kept) {
            let value = grad.param.value();
            let gradient = grad.value.to_device(&Tensor::device(&value))?;
            if let Some(other) = slots.iter().chain([&gradient]).find(|t| t.meta() != value.meta()) {
                let (a, b) = (value.meta(), other.meta());
                let why = format!("parameter, gradient and state differ: {a} and {b}");
                return Err(Error::config(self.name(), why).at(&grad.name));
            }
            operands.extend([value, gradient]);
            operands.extend_from_slice(slots);
        }
        let Some(first) = operands.first() else {
            return Ok(Proposal { found: Tensor::scalar(0.0_f32), values: vec![], slots: vec![] });
        };
        let device = Tensor::device(first);
        let (numbers, factor) = (numbers.to_device(&device)?, factor.to_device(&device)?);
        let ins: Vec<&Tensor> = [&numbers, &factor].into_iter().chain(&operands).collect();
        let outs = Tensor::apply(Op::from(Update { rule: self.rule.update() }), &ins)?;
        let width = 1 + self.rule.slots().len();
        let each = outs[1..].chunks_exact(width);
        let (values, slots) = each.map(|of| (of[0].clone(), of[1..].to_vec())).unzip();
        Ok(Proposal { found: outs[0].clone(), values, slots })
    }

    /// Takes a step: new values and slots of `params`, in their order.
    pub fn accept(&mut self, params: &[(String, Param)], values: Vec<Tensor>, slots: Vec<Vec<Tensor>>) {
        for (((name, param), value), slots) in params.iter().zip(values).zip(slots) {
            param.set(value);
            let steps = self.state.get(name).map_or(0, |s| s.steps) + 1;
            self.state.insert(name.clone(), State { steps, slots });
        }
    }

    /// The state of each parameter that was updated, by name.
    pub fn state(&self) -> &BTreeMap<String, State> {
        &self.state
    }

    /// Moves the state to `device`, as the parameters were.
    ///
    /// # Errors
    /// Where a device fails or its memory is full.
    pub fn to_device(&mut self, device: &Device) -> Result<()> {
        for slot in self.state.values_mut().flat_map(|s| &mut s.slots) {
            *slot = slot.to_device(device)?;
        }
        Ok(())
    }

    /// Replaces the state, as from a checkpoint.
    ///
    /// # Errors
    /// A number of slots that is not the rule's.
    pub fn set_state(&mut self, state: BTreeMap<String, State>) -> Result<()> {
        let slots = self.rule.slots();
        if let Some((name, s)) = state.iter().find(|(_, s)| s.slots.len() != slots.len()) {
            let why = format!("keeps {slots:?} for each parameter, but {name} comes with {}", s.slots.len());
            return Err(Error::config(self.name(), why));
        }
        self.state = state;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{Adam, Sgd};

    fn gradient(name: &str, dims: &[usize]) -> Gradient {
        let ones = Tensor::ones(dims, tensor::DType::F64).unwrap();
        Gradient { name: name.into(), param: Param::new(ones.clone()), value: ones }
    }

    fn first(g: &Gradient) -> f64 {
        g.param.value().to_f64_vec().unwrap()[0]
    }

    #[test]
    fn groups_change_rate_and_decay() {
        let all =
            [gradient("head.weight", &[2, 2]), gradient("stem.weight", &[2, 2]), gradient("stem.bias", &[2])];
        let mut optimizer = Optimizer::new(Sgd::default(), 0.1)
            .weight_decay(0.5)
            .group(Group::below("head").rate_factor(10.0))
            .group(Group::vectors_without_decay());
        optimizer.step(&all, 0.5).unwrap();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} {b}");
        near(first(&all[0]), 1.0 - 0.5 * 1.5);
        near(first(&all[1]), 1.0 - 0.05 * 1.5);
        near(first(&all[2]), 1.0 - 0.05);
    }

    #[test]
    fn each_parameter_counts_its_own_updates() {
        let (a, b) = (gradient("a", &[1]), gradient("b", &[1]));
        let mut optimizer = Optimizer::new(Adam::default(), 0.1);
        optimizer.step(std::slice::from_ref(&a), 1.0).unwrap();
        optimizer.step(&[a, b.clone()], 1.0).unwrap();
        let steps: Vec<_> = optimizer.state().values().map(|s| s.steps).collect();
        assert_eq!(steps, [2, 1]);
        // Adam's first update moves by the rate, whenever it comes.
        assert!((first(&b) - 0.9).abs() < 1e-7);
    }

    #[test]
    fn a_misfit_is_named() {
        let mut bad = gradient("up.weight", &[3]);
        bad.value = Tensor::ones(&[2], tensor::DType::F64).unwrap();
        let error = Optimizer::new(Sgd::default(), 0.1).step(&[bad.clone()], 1.0).unwrap_err().to_string();
        assert!(error.starts_with("up.weight: ") && error.contains("f64[3] and f64[2]"), "{error}");
        assert_eq!(first(&bad), 1.0);
    }

    #[test]
    fn a_bad_gradient_moves_nothing() {
        let (good, mut bad) = (gradient("a", &[3]), gradient("up.weight", &[2]));
        bad.value = Tensor::from_slice(&[1.0, f64::INFINITY], &[2]).unwrap();
        let mut optimizer = Optimizer::new(Sgd::momentum(0.9), 0.1);
        let error = optimizer.step(&[good.clone(), bad], 1.0).unwrap_err().to_string();
        assert!(error.starts_with("the gradient of up.weight"), "{error}");
        assert!(first(&good) == 1.0 && optimizer.state().is_empty());
    }
}

//! Applies a rule to all parameters and keeps their state.

use std::collections::BTreeMap;

use tensor::{Device, Tensor};

use super::{Gradient, Group, Hyper, Rule};
use crate::{Error, Result};

/// What an optimiser keeps for one parameter.
#[derive(Debug, Clone)]
pub struct State {
    /// Number of updates so far.
    pub steps: u64,
    /// One tensor for each of the rule's slots.
    pub slots: Vec<Tensor>,
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

    /// Changes the base rate.
    pub fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
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
    /// A gradient that does not fit its parameter, by name.
    pub fn step(&mut self, grads: &[Gradient], factor: f64) -> Result<()> {
        for Gradient { name, param, value: grad } in grads {
            let value = param.value();
            let group = self.groups.iter().find(|g| g.matches(name, &value));
            let decay = group.and_then(|g| g.weight_decay).unwrap_or(self.weight_decay);
            let rate = self.rate * factor * group.map_or(1.0, |g| g.rate_factor);
            let state = match self.state.get_mut(name) {
                Some(state) => state,
                None => {
                    let zeros = || Tensor::full_on(&Tensor::device(&value), 0.0, value.dims(), value.dtype());
                    let slots = self.rule.slots().iter().map(|_| zeros()).collect::<Result<_, _>>()?;
                    self.state.entry(name.clone()).or_insert(State { steps: 0, slots })
                }
            };
            let hyper = Hyper { rate, weight_decay: decay, step: state.steps + 1 };
            let update = self.rule.update(hyper, &value, grad, &state.slots);
            let (value, slots) = update.map_err(|e| e.at(name))?;
            *state = State { steps: hyper.step, slots };
            param.set(value);
        }
        Ok(())
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
    use crate::{
        Param,
        optim::{Adam, Sgd},
    };

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
}

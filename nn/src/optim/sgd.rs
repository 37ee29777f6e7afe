//! Stochastic gradient descent.

use tensor::{Element, Ops, Tensor};

use super::{
    Hyper, Rule,
    pass::{Real, on_cpu, zip},
    rule::dispatch,
};
use crate::Result;

/// Gradient descent with momentum, as PyTorch computes it: with decay added to the gradient g,
/// `b ← μ·b + g`, then `p ← p − rate·b`, or with Nesterov's momentum `p ← p − rate·(g + μ·b)`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sgd {
    /// μ; 0: no momentum, and no state.
    pub momentum: f64,
    /// Whether to look ahead.
    pub nesterov: bool,
}

impl Sgd {
    /// With momentum.
    pub fn momentum(momentum: f64) -> Self {
        Self { momentum, nesterov: false }
    }

    /// With Nesterov's momentum.
    pub fn nesterov(momentum: f64) -> Self {
        Self { momentum, nesterov: true }
    }

    fn run<T: Real>(
        &self,
        hyper: Hyper,
        p: &Tensor,
        g: &Tensor,
        slots: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        if !on_cpu(p) {
            return self.run_elsewhere(hyper, p, g, slots);
        }
        let [rate, decay, mu] = [hyper.rate, hyper.weight_decay, self.momentum].map(<T as Element>::from_f64);
        let Some(buffer) = slots.first() else {
            let [p] = zip::<T, 2, 1>([p, g], |[p, g]| [p - rate * (g + decay * p)])?;
            return Ok((p, vec![]));
        };
        let nesterov = self.nesterov;
        let [p, b] = zip::<T, 3, 2>([p, g, buffer], |[p, g, b]| {
            let g = g + decay * p;
            let b = mu * b + g;
            let step = if nesterov { g + mu * b } else { b };
            [p - rate * step, b]
        })?;
        Ok((p, vec![b]))
    }

    /// The same in operations of the device where the parameter is.
    fn run_elsewhere(
        &self,
        hyper: Hyper,
        p: &Tensor,
        g: &Tensor,
        slots: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let g = g.to_device(&p.device())?;
        let g = if hyper.weight_decay == 0.0 { g } else { g.add(&p.mul_scalar(hyper.weight_decay)?)? };
        let Some(buffer) = slots.first() else {
            return Ok((p.sub(&g.mul_scalar(hyper.rate)?)?, vec![]));
        };
        let b = buffer.mul_scalar(self.momentum)?.add(&g)?;
        let step = if self.nesterov { g.add(&b.mul_scalar(self.momentum)?)? } else { b.clone() };
        Ok((p.sub(&step.mul_scalar(hyper.rate)?)?, vec![b]))
    }
}

impl Rule for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn slots(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum"] }
    }

    fn update(
        &self,
        hyper: Hyper,
        param: &Tensor,
        grad: &Tensor,
        slots: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        dispatch!(self.name(), param, T => self.run::<T>(hyper, param, grad, slots))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_steps(rule: Sgd, weight_decay: f64) -> f64 {
        let (mut p, g) = (Tensor::scalar(1.0_f64), Tensor::scalar(0.5_f64));
        let mut slots = vec![Tensor::scalar(0.0_f64); rule.slots().len()];
        for step in 1..=2 {
            (p, slots) = rule.update(Hyper { rate: 0.1, weight_decay, step }, &p, &g, &slots).unwrap();
        }
        p.item().unwrap()
    }

    #[test]
    fn by_hand() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} {b}");
        near(two_steps(Sgd::default(), 0.0), 1.0 - 0.05 - 0.05);
        near(two_steps(Sgd::momentum(0.9), 0.0), 1.0 - 0.05 - 0.1 * (0.45 + 0.5));
        let (first, second) = (0.5 + 0.9 * 0.5, 0.5 + 0.9 * (0.45 + 0.5));
        near(two_steps(Sgd::nesterov(0.9), 0.0), 1.0 - 0.1 * first - 0.1 * second);
        let p = 1.0 - 0.1 * (0.5 + 0.2);
        near(two_steps(Sgd::default(), 0.2), p - 0.1 * (0.5 + 0.2 * p));
    }
}

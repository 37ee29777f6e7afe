//! Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), as PyTorch computes them.

use tensor::{Element, Ops, Tensor};

use super::{
    Hyper, Rule,
    pass::{Real, on_cpu, zip},
    rule::dispatch,
};
use crate::Result;

/// `m ← β₁·m + (1 − β₁)·g`, `v ← β₂·v + (1 − β₂)·g²`,
/// `p ← p − rate/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + eps)`. Weight decay is added to the gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// β₁ and β₂.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub eps: f64,
}

/// [`Adam`] with the weight decay taken off the parameter: `p ← (1 − rate·decay)·p` first.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AdamW(
    /// β and eps.
    pub Adam,
);

impl Default for Adam {
    /// β 0.9 and 0.999, eps 1e-8.
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8 }
    }
}

impl Adam {
    fn run<T: Real>(
        &self,
        hyper: Hyper,
        decoupled: bool,
        [p, g, m, v]: [&Tensor; 4],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        if !on_cpu(p) {
            return self.run_elsewhere(hyper, decoupled, [p, g, m, v]);
        }
        let Hyper { rate, weight_decay, step } = hyper;
        let t = i32::try_from(step).unwrap_or(i32::MAX);
        let correct = self.betas.map(|beta| 1.0 - beta.powi(t));
        // Scalars are computed in f64 and rounded once.
        let c = <T as Element>::from_f64;
        let (b1, a1) = (c(self.betas[0]), c(1.0 - self.betas[0]));
        let (b2, a2) = (c(self.betas[1]), c(1.0 - self.betas[1]));
        let (size, root, eps) = (c(rate / correct[0]), c(correct[1].sqrt()), c(self.eps));
        let keep = c(if decoupled { 1.0 - rate * weight_decay } else { 1.0 });
        let decay = c(if decoupled { 0.0 } else { weight_decay });
        let [p, m, v] = zip::<T, 4, 3>([p, g, m, v], |[p, g, m, v]| {
            let (p, g) = (p * keep, g + decay * p);
            let m = b1 * m + a1 * g;
            let v = b2 * v + a2 * g * g;
            [p - size * m / (v.sqrt() / root + eps), m, v]
        })?;
        Ok((p, vec![m, v]))
    }

    /// The same in operations of the device where the parameter is.
    fn run_elsewhere(
        &self,
        hyper: Hyper,
        decoupled: bool,
        [p, g, m, v]: [&Tensor; 4],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let Hyper { rate, weight_decay, step } = hyper;
        let t = i32::try_from(step).unwrap_or(i32::MAX);
        let [b1, b2] = self.betas;
        let (size, root) = (rate / (1.0 - b1.powi(t)), (1.0 - b2.powi(t)).sqrt());
        let g = g.to_device(&p.device())?;
        let (p, g) = match (decoupled, weight_decay == 0.0) {
            (_, true) => (p.clone(), g),
            (true, false) => (p.mul_scalar(1.0 - rate * weight_decay)?, g),
            (false, false) => (p.clone(), g.add(&p.mul_scalar(weight_decay)?)?),
        };
        let m = m.mul_scalar(b1)?.add(&g.mul_scalar(1.0 - b1)?)?;
        let v = v.mul_scalar(b2)?.add(&g.mul_scalar(1.0 - b2)?.mul(&g)?)?;
        let below = v.sqrt()?.mul_scalar(1.0 / root)?.add_scalar(self.eps)?;
        Ok((p.sub(&m.mul_scalar(size)?.div(&below)?)?, vec![m, v]))
    }

    fn dispatched(
        &self,
        name: &str,
        hyper: Hyper,
        decoupled: bool,
        param: &Tensor,
        grad: &Tensor,
        slots: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let [m, v] = slots else {
            let why = format!("wants two slots for each parameter, got {}", slots.len());
            return Err(crate::Error::config(name, why));
        };
        dispatch!(name, param, T => self.run::<T>(hyper, decoupled, [param, grad, m, v]))
    }
}

/// First and second moment.
const SLOTS: &[&str] = &["m", "v"];

impl Rule for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn slots(&self) -> &'static [&'static str] {
        SLOTS
    }

    fn update(
        &self,
        hyper: Hyper,
        param: &Tensor,
        grad: &Tensor,
        slots: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        self.dispatched(self.name(), hyper, false, param, grad, slots)
    }
}

impl Rule for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn slots(&self) -> &'static [&'static str] {
        SLOTS
    }

    fn update(
        &self,
        hyper: Hyper,
        param: &Tensor,
        grad: &Tensor,
        slots: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        self.0.dispatched(self.name(), hyper, true, param, grad, slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook, two steps.
    fn textbook(decoupled: bool, decay: f64) -> f64 {
        let (mut p, mut m, mut v, rate) = (1.0_f64, 0.0_f64, 0.0_f64, 0.01);
        for (t, g) in [(1, 0.5), (2, -0.25)] {
            let g = if decoupled { g } else { g + decay * p };
            if decoupled {
                p -= rate * decay * p;
            }
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let (mh, vh) = (m / (1.0 - 0.9_f64.powi(t)), v / (1.0 - 0.999_f64.powi(t)));
            p -= rate * mh / (vh.sqrt() + 1e-8);
        }
        p
    }

    fn ours(rule: &dyn Rule, decay: f64) -> f64 {
        let mut p = Tensor::scalar(1.0_f64);
        let mut slots = vec![Tensor::scalar(0.0_f64); 2];
        for (step, g) in [(1, 0.5), (2, -0.25)] {
            let hyper = Hyper { rate: 0.01, weight_decay: decay, step };
            (p, slots) = rule.update(hyper, &p, &Tensor::scalar(g), &slots).unwrap();
        }
        p.item().unwrap()
    }

    #[test]
    fn by_the_textbook() {
        for decay in [0.0, 0.1] {
            assert!((ours(&Adam::default(), decay) - textbook(false, decay)).abs() < 1e-14);
            assert!((ours(&AdamW::default(), decay) - textbook(true, decay)).abs() < 1e-14);
        }
    }

    #[test]
    fn halves_are_refused() {
        use tensor::{DType, Ops};
        let half = Tensor::scalar(1.0_f32).cast(DType::BF16).unwrap();
        let slots = [half.clone(), half.clone()];
        let hyper = Hyper { rate: 0.1, weight_decay: 0.0, step: 1 };
        let error = Adam::default().update(hyper, &half, &half, &slots).unwrap_err().to_string();
        assert!(error.contains("bf16") && error.contains("master"), "{error}");
    }
}

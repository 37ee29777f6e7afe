//! Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), as PyTorch computes them.

use tensor::ops::UpdateRule;

use super::{Hyper, Rule};

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
    fn numbers_of(&self, hyper: Hyper, decoupled: bool) -> Vec<f64> {
        let Hyper { rate, weight_decay, step } = hyper;
        let t = i32::try_from(step).unwrap_or(i32::MAX);
        let ([b1, b2], correct) = (self.betas, self.betas.map(|beta| 1.0 - beta.powi(t)));
        let (size, root) = (rate / correct[0], correct[1].sqrt());
        let keep = if decoupled { 1.0 - rate * weight_decay } else { 1.0 };
        let decay = if decoupled { 0.0 } else { weight_decay };
        vec![b1, 1.0 - b1, b2, 1.0 - b2, size, root, self.eps, keep, decay]
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

    fn update(&self) -> UpdateRule {
        UpdateRule::Adam
    }

    fn numbers(&self, hyper: Hyper) -> Vec<f64> {
        self.numbers_of(hyper, false)
    }
}

impl Rule for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn slots(&self) -> &'static [&'static str] {
        SLOTS
    }

    fn update(&self) -> UpdateRule {
        UpdateRule::Adam
    }

    fn numbers(&self, hyper: Hyper) -> Vec<f64> {
        self.0.numbers_of(hyper, true)
    }
}

#[cfg(test)]
mod tests {
    use tensor::{DType, Ops, Tensor};

    use super::*;
    use crate::{
        Param,
        optim::{Gradient, Optimizer, testing::last_of_steps},
    };

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

    fn ours(rule: impl Rule + 'static, decay: f64) -> f64 {
        last_of_steps(Optimizer::new(rule, 0.01).weight_decay(decay), &[0.5, -0.25])
    }

    #[test]
    fn by_the_textbook() {
        for decay in [0.0, 0.1] {
            assert!((ours(Adam::default(), decay) - textbook(false, decay)).abs() < 1e-14);
            assert!((ours(AdamW::default(), decay) - textbook(true, decay)).abs() < 1e-14);
        }
    }

    #[test]
    fn halves_are_refused() {
        let half = Tensor::scalar(1.0_f32).cast(DType::BF16).unwrap();
        let grad = Gradient { name: "w".into(), param: Param::new(half.clone()), value: half };
        let error = Optimizer::new(Adam::default(), 0.1).step(&[grad], 1.0).unwrap_err().to_string();
        assert!(error.contains("bf16") && error.contains("master"), "{error}");
    }
}

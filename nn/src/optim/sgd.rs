//! Stochastic gradient descent.

use tensor::ops::UpdateRule;

use super::{Hyper, Rule};

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
}

impl Rule for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn slots(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum"] }
    }

    fn update(&self) -> UpdateRule {
        UpdateRule::Sgd { momentum: self.momentum != 0.0, nesterov: self.nesterov }
    }

    fn numbers(&self, hyper: Hyper) -> Vec<f64> {
        vec![hyper.rate, hyper.weight_decay, self.momentum]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{Optimizer, testing::last_of_steps};

    fn two_steps(rule: Sgd, weight_decay: f64) -> f64 {
        last_of_steps(Optimizer::new(rule, 0.1).weight_decay(weight_decay), &[0.5, 0.5])
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

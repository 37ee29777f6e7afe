//! Cross entropy.

use autograd::Var;
use tensor::{Ops, Tensor};

use super::{ClassBalance, IGNORE, class_counts, focal::focal_sum};
use crate::{
    Collective, Error, Result,
    collective::{Solo, sum_numbers},
};

/// What the summed losses are divided by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reduction {
    /// The summed weights of the labelled pixels, as in PyTorch. Without weights, their number.
    #[default]
    MeanOverWeights,
    /// The number of labelled pixels.
    MeanOverPixels,
    /// Nothing.
    Sum,
}

/// `−wᵢ·ln p` at each labelled pixel of true class `i`, p its softmax probability.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossEntropy {
    /// Weight of each class; `None`: all 1.
    pub weights: Option<Vec<f64>>,
    /// Label of pixels that take no part.
    pub ignore: i64,
    /// What the sum is divided by.
    pub reduction: Reduction,
}

impl Default for CrossEntropy {
    /// No weights, the label 255 ignored, the mean.
    fn default() -> Self {
        Self { weights: None, ignore: IGNORE, reduction: Reduction::default() }
    }
}

impl CrossEntropy {
    /// The loss, a scalar, of logits `[N, K, …]` and labels `[N, …]`.
    ///
    /// # Errors
    /// Shapes that do not fit; a label that is neither a class nor `ignore`.
    pub fn forward(&self, logits: &Var, labels: &Tensor) -> Result<Var> {
        self.forward_across(logits, labels, &Solo)
    }

    /// This rank's part of the loss of all ranks' images: divided by the weights or pixels of all of them.
    ///
    /// # Errors
    /// As [`CrossEntropy::forward`]; a rank that is lost or hangs.
    pub fn forward_across(&self, logits: &Var, labels: &Tensor, ranks: &dyn Collective) -> Result<Var> {
        let &[_, classes, ..] = logits.dims() else {
            let why = format!("wants logits [N, K, …], got dims {:?}", logits.dims());
            return Err(Error::config("cross_entropy", why));
        };
        let mut balance = ClassBalance::uniform(classes);
        if let Some(weights) = &self.weights {
            balance.alpha.clone_from(weights);
        }
        let (sum, _) = focal_sum(logits, labels, &balance, self.ignore)?;
        if self.reduction == Reduction::Sum {
            return Ok(sum);
        }
        let counts = class_counts(labels, classes, self.ignore)?;
        let weight = |class: usize| match self.reduction {
            Reduction::MeanOverWeights => balance.alpha[class],
            Reduction::MeanOverPixels | Reduction::Sum => 1.0,
        };
        let each =
            |image: &Vec<u64>| image.iter().enumerate().map(|(c, &n)| n as f64 * weight(c)).sum::<f64>();
        let total = sum_numbers(&[counts.iter().map(each).sum()], ranks)?[0];
        // No labelled pixel, or weights of 0 only: the sum is 0 already.
        Ok(if total > 0.0 { sum.mul_scalar(1.0 / total)? } else { sum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes with logits (0, z): −ln p is softplus(−z) for class 1, softplus(z) for class 0.
    #[test]
    fn by_hand() {
        let z = [1.0_f64, -0.5, 2.0];
        let logits = Tensor::from_vec(vec![0.0, 0.0, 0.0, z[0], z[1], z[2]], &[1, 2, 3]).unwrap();
        let labels = Tensor::from_vec(vec![1_u8, 0, 255], &[1, 3]).unwrap();
        let softplus = |x: f64| x.exp().ln_1p();
        let (one, zero) = (softplus(-z[0]), softplus(z[1]));
        let loss = |weights: Option<Vec<f64>>, reduction| {
            let ce = CrossEntropy { weights, reduction, ..CrossEntropy::default() };
            ce.forward(&Var::new(logits.clone()), &labels).unwrap().tensor().item().unwrap()
        };
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        let weights = || Some(vec![0.5, 2.0]);
        near(loss(None, Reduction::MeanOverWeights), (one + zero) / 2.0);
        near(loss(weights(), Reduction::MeanOverWeights), (2.0 * one + 0.5 * zero) / 2.5);
        near(loss(weights(), Reduction::MeanOverPixels), (2.0 * one + 0.5 * zero) / 2.0);
        near(loss(weights(), Reduction::Sum), 2.0 * one + 0.5 * zero);
    }

    #[test]
    fn nothing_labelled_is_zero() {
        let logits = Var::new(Tensor::from_vec(vec![1.0, 2.0], &[1, 2, 1]).unwrap());
        let labels = Tensor::from_vec(vec![255_i64], &[1, 1]).unwrap();
        let loss = CrossEntropy::default().forward(&logits, &labels).unwrap();
        assert_eq!(loss.tensor().item().unwrap(), 0.0);
    }
}

//! The focal loss (Lin et al. 2017) and its object weighted form (OWFL; Wang et al., arXiv 1812.07049, Eq. 4).

use autograd::Var;
use tensor::{Op, Ops, Tensor, ops};

use super::{ClassBalance, IGNORE};
use crate::{Collective, Error, Result, collective::Solo};

/// `−αᵢ·(1 − p)^γᵢ·ln p` at each labelled pixel of true class `i`, p its softmax probability, averaged over the
/// labelled pixels. One fused operation with the analytic gradient (Eq. 5).
#[derive(Debug, Clone, PartialEq)]
pub struct FocalLoss {
    /// α and γ of each class.
    pub balance: ClassBalance,
    /// Label of pixels that take no part.
    pub ignore: i64,
}

impl FocalLoss {
    /// OWFL: α and γ differ by class.
    pub fn owfl(balance: ClassBalance) -> Self {
        Self { balance, ignore: IGNORE }
    }

    /// The focal loss: one γ (0 or at least 1) for all classes, weights by class.
    pub fn focal(gamma: f64, alpha: Vec<f64>) -> Self {
        Self::owfl(ClassBalance { gamma: vec![gamma; alpha.len()], alpha })
    }

    /// The loss, a scalar, of logits `[N, K, …]` and labels `[N, …]`.
    ///
    /// # Errors
    /// Shapes that do not fit; a label that is neither a class nor `ignore`.
    pub fn forward(&self, logits: &Var, labels: &Tensor) -> Result<Var> {
        self.forward_across(logits, labels, &Solo)
    }

    /// This rank's part of the loss of all ranks' images: divided by the number of labelled pixels of all of them.
    ///
    /// # Errors
    /// As [`FocalLoss::forward`]; a rank that is lost or hangs.
    pub fn forward_across(&self, logits: &Var, labels: &Tensor, ranks: &dyn Collective) -> Result<Var> {
        let (sum, count) = focal_sum(logits, labels, &self.balance, self.ignore)?;
        let count = Var::new(ranks.all_reduce(count.tensor())?);
        // No labelled pixel: 0/1 instead of 0/0.
        let one = count.full_like(1.0, &[])?;
        Ok(sum.div(&count.maximum(&one)?)?)
    }
}

/// Sum of the losses over the labelled pixels, and the number of those.
pub(super) fn focal_sum(
    logits: &Var,
    labels: &Tensor,
    balance: &ClassBalance,
    ignore: i64,
) -> Result<(Var, Var)> {
    // Logits in 16 bits are computed with as they are read, and their gradient is rounded as it is written.
    let (device, dtype) = (logits.device(), logits.tensor().dtype().wide());
    let classes = balance.alpha.len();
    if logits.dims().get(1) != Some(&classes) {
        let why = format!("logits of dims {:?} do not have the {classes} classes of the loss", logits.dims());
        return Err(Error::config("loss", why));
    }
    let vector = |values: &[f64]| -> Result<Var> {
        Ok(Var::new(Tensor::from_slice(values, &[classes])?.cast(dtype)?.to_device(&device)?))
    };
    let (alpha, gamma) = (vector(&balance.alpha)?, vector(&balance.gamma)?);
    let op = Op::from(ops::FocalLoss { ignore });
    let mut outs = Var::apply(op, &[logits, &Var::new(labels.clone()), &alpha, &gamma])?.into_iter();
    match (outs.next(), outs.next()) {
        (Some(sum), Some(count)) => Ok((sum, count)),
        _ => Err(Error::config("focal_loss", "the operation has two results")),
    }
}

#[cfg(test)]
mod tests {
    use autograd::Tape;

    use super::*;
    use crate::loss::CrossEntropy;

    fn setting() -> (Tensor, Tensor) {
        let logits: Vec<f64> = (0..24).map(|i| ((i * 7 % 11) as f64 - 5.0) / 2.0).collect();
        let labels = Tensor::from_vec(vec![0_u8, 1, 2, 255, 1, 1, 0, 2], &[2, 2, 2]).unwrap();
        (Tensor::from_vec(logits, &[2, 3, 2, 2]).unwrap(), labels)
    }

    fn value_and_gradient(loss: impl Fn(&Var) -> Result<Var>, logits: Tensor) -> (f64, Vec<f64>) {
        let tape = Tape::new();
        let x = tape.leaf(logits);
        let loss = loss(&x).unwrap();
        let value = loss.tensor().item().unwrap();
        (value, loss.backward().unwrap().get(&x).unwrap().to_vec().unwrap())
    }

    #[test]
    fn gradients_and_values() {
        let (logits, labels) = setting();
        let owfl = FocalLoss::owfl(ClassBalance { alpha: vec![0.5, 1.0, 0.7], gamma: vec![2.0, 0.0, 1.0] });
        let (value, grads) = value_and_gradient(|x| owfl.forward(x, &labels), logits.clone());
        let flat = logits.to_vec::<f64>().unwrap();
        let at = |flat: Vec<f64>| {
            let x = Var::new(Tensor::from_vec(flat, &[2, 3, 2, 2]).unwrap());
            owfl.forward(&x, &labels).unwrap().tensor().item().unwrap()
        };
        assert_eq!(at(flat.clone()), value);
        for i in 0..flat.len() {
            let moved =
                |h: f64| at(flat.iter().enumerate().map(|(j, v)| if i == j { v + h } else { *v }).collect());
            let want = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((grads[i] - want).abs() < 1e-8, "{i}: {} {want}", grads[i]);
        }
    }

    /// γ = 0 and α = 1 is cross entropy.
    #[test]
    fn limits() {
        let (logits, labels) = setting();
        let plain = FocalLoss::owfl(ClassBalance::uniform(3));
        let a = value_and_gradient(|x| plain.forward(x, &labels), logits.clone());
        let b = value_and_gradient(|x| CrossEntropy::default().forward(x, &labels), logits);
        assert!((a.0 - b.0).abs() < 1e-14 && a.1.iter().zip(&b.1).all(|(a, b)| (a - b).abs() < 1e-14));
    }

    #[test]
    fn nothing_labelled_is_zero() {
        let (logits, _) = setting();
        let labels = Tensor::full(255.0, &[2, 2, 2], tensor::DType::U8).unwrap();
        let loss = FocalLoss::focal(2.0, vec![1.0; 3]);
        let (value, grads) = value_and_gradient(|x| loss.forward(x, &labels), logits);
        assert_eq!(value, 0.0);
        assert!(grads.iter().all(|g| *g == 0.0));
    }

    #[test]
    fn class_counts_must_agree() {
        let (logits, labels) = setting();
        let error = FocalLoss::focal(2.0, vec![1.0; 4]).forward(&Var::new(logits), &labels).unwrap_err();
        assert!(error.to_string().contains("4 classes"), "{error}");
    }
}

//! The semantic encoding loss (SEL; Eq. 7): which classes are in the image at all.

use autograd::Var;
use tensor::Tensor;

use super::{IGNORE, bce_with_logits, class_presence};
use crate::{Error, Result};

/// Sigmoid cross entropy of one logit per image and class against "this class occurs in this image", mean over
/// images and classes. (The full two-sided cross entropy; the printed Eq. 7 shows its positive term only.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SemanticEncodingLoss {
    /// Label of pixels that take no part.
    pub ignore: i64,
}

impl Default for SemanticEncodingLoss {
    /// The label 255 ignored.
    fn default() -> Self {
        Self { ignore: IGNORE }
    }
}

impl SemanticEncodingLoss {
    /// The loss, a scalar, of logits `[N, K]` and the labels `[N, H, W]` of the pixels.
    ///
    /// # Errors
    /// Shapes that do not fit; a label that is neither a class nor `ignore`.
    pub fn forward(&self, logits: &Var, labels: &Tensor) -> Result<Var> {
        match (logits.dims(), labels.dims().first()) {
            (&[n, classes], Some(&images)) if n == images => {
                let present = class_presence(labels, classes, self.ignore, tensor::DType::F32)?;
                bce_with_logits(logits, &Var::new(present))
            }
            (dims, _) => {
                let why = format!("wants logits [N, K] for labels of dims {:?}, got {dims:?}", labels.dims());
                Err(Error::config("sel", why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let labels = Tensor::from_vec(vec![0_u8, 0, 255, 1], &[2, 1, 2]).unwrap();
        let logits = Tensor::from_vec(vec![1.0, -1.0, 0.0, 3.0], &[2, 2]).unwrap();
        let loss = SemanticEncodingLoss::default().forward(&Var::new(logits.clone()), &labels).unwrap();
        let softplus = |x: f64| x.exp().ln_1p();
        let want = (softplus(-1.0) + softplus(-1.0) + softplus(0.0) + softplus(-3.0)) / 4.0;
        assert!((loss.tensor().item().unwrap() - want).abs() < 1e-12);
        let one = Tensor::from_vec(vec![0_u8, 0], &[1, 2]).unwrap();
        assert!(SemanticEncodingLoss::default().forward(&Var::new(logits), &one).is_err());
    }
}

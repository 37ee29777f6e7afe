//! The semantic encoding loss (SEL; Eq. 7): which classes are in the image at all.

use autograd::Var;
use tensor::{Ops, Tensor};

use super::{IGNORE, bce, class_presence};
use crate::{
    Collective, Error, Result,
    collective::{Share, Solo},
};

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
        self.forward_across(logits, labels, &Solo)
    }

    /// This rank's part of the loss of all ranks' images: divided by the number of all of them.
    ///
    /// # Errors
    /// As [`SemanticEncodingLoss::forward`]; a rank that is lost or hangs.
    pub fn forward_across(&self, logits: &Var, labels: &Tensor, ranks: &dyn Collective) -> Result<Var> {
        match (logits.dims(), labels.dims().first()) {
            (&[n, classes], Some(&images)) if n == images => {
                let present = class_presence(labels, classes, self.ignore, tensor::DType::F32)?;
                let each = bce::each(logits, &Var::new(present))?;
                if ranks.world() == 1 {
                    return Ok(each.mean_all()?);
                }
                let images = Share::find(images, ranks)?.total;
                Ok(each.sum_all()?.mul_scalar(1.0 / (images * classes).max(1) as f64)?)
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

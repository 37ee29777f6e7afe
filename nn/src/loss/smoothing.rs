//! Label smoothing (Szegedy et al. 2016): a small share of the target is spread over all classes.

use autograd::Var;
use tensor::{DType, Ops, Tensor};

use super::widened;
use crate::{Collective, Error, Result};

/// Mean over the labelled pixels of `−1/K·Σₖ ln pₖ`: the cross entropy against "any of the K classes". This rank's part of
/// it, where several share the images. With ε times this and 1 − ε times the cross entropy, the target is
/// `(1 − ε)·one-hot + ε/K`.
pub(super) fn uniform(logits: &Var, labels: &Tensor, ignore: i64, ranks: &dyn Collective) -> Result<Var> {
    let x = widened(logits)?;
    let each = x.log_softmax(1)?.mean(&[1], false)?.neg()?;
    if each.dims() != labels.dims() {
        let why = format!("logits of dims {:?} do not fit labels of dims {:?}", logits.dims(), labels.dims());
        return Err(Error::config("label smoothing", why));
    }
    let (labels, ignored) = (labels.cast(DType::F64)?, Tensor::scalar(ignore as f64).to_device(&x.device())?);
    let mask = labels.not_equal(&ignored)?.cast(x.tensor().dtype())?;
    let count = ranks.all_reduce(&mask.sum_all()?)?;
    let sum = each.mul(&Var::new(mask))?.sum_all()?;
    let one = count.full_like(1.0, &[])?;
    Ok(sum.div(&Var::new(count.maximum(&one)?))?)
}

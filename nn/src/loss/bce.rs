//! Sigmoid cross entropy.

use autograd::Var;
use tensor::Ops;

use super::widened;
use crate::Result;

/// Mean of `−t·ln σ(x) − (1 − t)·ln(1 − σ(x))` over all elements, computed as `softplus(x) − x·t`, which neither
/// overflows nor takes a logarithm of 0. Logits and targets broadcast.
///
/// # Errors
/// Where shapes or types do not fit.
pub fn bce_with_logits(logits: &Var, targets: &Var) -> Result<Var> {
    Ok(each(logits, targets)?.mean_all()?)
}

/// The loss of each element.
pub(super) fn each(logits: &Var, targets: &Var) -> Result<Var> {
    let x = widened(logits)?;
    let t = targets.cast(x.tensor().dtype())?;
    Ok(x.softplus()?.sub(&x.mul(&t)?)?)
}

#[cfg(test)]
mod tests {
    use autograd::Tape;
    use tensor::Tensor;

    use super::*;

    #[test]
    fn values_and_gradients_also_far_out() {
        let tape = Tape::new();
        let x = tape.leaf(Tensor::from_vec(vec![0.5, -2.0, 800.0, -800.0], &[4]).unwrap());
        let t = Var::new(Tensor::from_vec(vec![1.0, 0.0, 0.0, 0.0], &[4]).unwrap());
        let loss = bce_with_logits(&x, &t).unwrap();
        let sigma = |x: f64| 1.0 / (1.0 + (-x).exp());
        let want = (-sigma(0.5).ln() - (1.0 - sigma(-2.0)).ln() + 800.0 + 0.0) / 4.0;
        assert!((loss.tensor().item().unwrap() - want).abs() < 1e-12);
        let grads = loss.backward().unwrap().get(&x).unwrap().to_vec::<f64>().unwrap();
        let want = [sigma(0.5) - 1.0, sigma(-2.0), 1.0, 0.0].map(|g| g / 4.0);
        assert!(grads.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{grads:?}");
    }
}

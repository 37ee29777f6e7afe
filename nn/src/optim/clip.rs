//! Gradient clipping.

use tensor::{Op, Ops, Tensor, ops::SquareSum};

use super::Gradient;
use crate::{Error, Result, optim::check_finite};

/// Added to the norm that limits are divided by, as in PyTorch.
const EPS: f64 = 1e-6;

/// Scales all gradients so that their common Euclidean norm is at most `max`; returns the norm before. The factor is
/// `max/(norm + 1e-6)`, as in PyTorch.
///
/// # Errors
/// [`crate::Error::NonFinite`] where a gradient is NaN or infinite, another where the norm alone is: no factor repairs that.
pub fn clip_norm(grads: &mut [Gradient], max: f64) -> Result<f64> {
    if grads.is_empty() {
        return Ok(0.0);
    }
    let norm = norm(grads)?.item()?;
    if !norm.is_finite() {
        check_finite(grads)?;
        return Err(Error::config(
            "gradient clipping",
            "the squares of the gradients are too large to be added up",
        ));
    }
    let factor = max / (norm + EPS);
    if factor < 1.0 {
        for grad in grads {
            grad.value = grad.value.mul_scalar(factor)?;
        }
    }
    Ok(norm)
}

/// The factor by which [`clip_norm`] would scale gradients that are `scale` (f64 `[]`) times too small or large, times
/// `scale`: what [`super::Optimizer::propose`] takes. It stays on the gradients' device; NaN where the norm is.
///
/// # Errors
/// No gradients; gradients of several types or devices.
pub fn clip_factor(grads: &[Gradient], max: f64, scale: &Tensor) -> Result<Tensor> {
    let below = norm(grads)?.mul(scale)?.add_scalar(EPS)?;
    let factor = below.full_like(max, &[])?.div(&below)?;
    Ok(factor.minimum(&factor.full_like(1.0, &[])?)?.mul(scale)?)
}

/// Limits each element of each gradient to `−max..=max`.
///
/// # Errors
/// Where the device fails.
pub fn clip_value(grads: &mut [Gradient], max: f64) -> Result<()> {
    for grad in grads {
        grad.value = grad.value.clamp(-max, max)?;
    }
    Ok(())
}

/// The Euclidean norm of all gradients together, f64 `[]`.
fn norm(grads: &[Gradient]) -> Result<Tensor> {
    let values: Vec<&Tensor> = grads.iter().map(|g| &g.value).collect();
    Ok(Tensor::apply1(Op::from(SquareSum {}), &values)?.sqrt()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Param;

    fn grads(a: [f32; 2], b: f32) -> Vec<Gradient> {
        let make = |name: &str, v: Vec<f32>| Gradient {
            name: name.into(),
            param: Param::new(Tensor::scalar(0.0_f32)),
            value: Tensor::from_slice(&v, &[v.len()]).unwrap(),
        };
        vec![make("a", a.to_vec()), make("b", vec![b])]
    }

    fn flat(grads: &[Gradient]) -> Vec<f64> {
        grads.iter().flat_map(|g| g.value.to_f64_vec().unwrap()).collect()
    }

    #[test]
    fn by_norm() {
        let mut g = grads([2.0, 3.0], 6.0);
        assert_eq!(clip_norm(&mut g, 100.0).unwrap(), 7.0);
        assert_eq!(flat(&g), [2.0, 3.0, 6.0]);
        assert_eq!(clip_norm(&mut g, 3.5).unwrap(), 7.0);
        assert!(flat(&g).iter().zip([1.0, 1.5, 3.0]).all(|(a, b)| (a - b).abs() < 1e-6));
        let error = clip_norm(&mut grads([1.0, 1.0], f32::NAN), 1.0).unwrap_err().to_string();
        assert!(error.contains("gradient of b"), "{error}");
        let mut large = grads([0.0, 0.0], 0.0);
        large[0].value = Tensor::from_slice(&[1e200_f64], &[1]).unwrap();
        let error = clip_norm(&mut large[..1], 1.0).unwrap_err().to_string();
        assert!(error.contains("too large to be added up"), "{error}");
    }

    #[test]
    fn the_factor_knows_the_scale() {
        // Gradients of a loss times 8: their norm is 7/8.
        let (g, scale) = (grads([2.0, 3.0], 6.0), Tensor::scalar(0.125));
        let factor = |max: f64| clip_factor(&g, max, &scale).unwrap().item().unwrap();
        assert_eq!(factor(1.0), 0.125);
        assert_eq!(factor(0.5), 0.5 / (0.875 + EPS) * 0.125);
        assert!(clip_factor(&grads([f32::NAN, 0.0], 0.0), 1.0, &scale).unwrap().item().unwrap().is_nan());
    }

    #[test]
    fn by_value() {
        let mut g = grads([-2.0, 0.5], 6.0);
        clip_value(&mut g, 1.0).unwrap();
        assert_eq!(flat(&g), [-1.0, 0.5, 1.0]);
    }
}

//! Gradient clipping.

use tensor::Ops;

use super::{
    Gradient,
    pass::{on_host, values},
};
use crate::{Result, optim::check_finite};

/// Scales all gradients so that their common Euclidean norm is at most `max`; returns the norm before. The factor is
/// `max/(norm + 1e-6)`, as in PyTorch.
///
/// # Errors
/// [`crate::Error::NonFinite`] where the norm is NaN or infinite: no factor repairs that.
pub fn clip_norm(grads: &mut [Gradient], max: f64) -> Result<f64> {
    let norm = norm(grads)?;
    if !norm.is_finite() {
        check_finite(grads)?;
    }
    let factor = max / (norm + 1e-6);
    if factor < 1.0 {
        for grad in grads {
            grad.value = grad.value.mul_scalar(factor)?;
        }
    }
    Ok(norm)
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

/// The Euclidean norm of all gradients together, summed in f64.
fn norm(grads: &[Gradient]) -> Result<f64> {
    let mut total = 0.0;
    for grad in grads {
        let host = on_host(&grad.value)?;
        total += match values::<f32>(&host) {
            Ok(v) => square_sum(v),
            Err(_) => host.to_f64_vec()?.iter().map(|x| x * x).sum(),
        };
    }
    Ok(total.sqrt())
}

/// Sum of squares in eight partial sums, which the compiler turns into vector code; always in the same order.
fn square_sum(v: &[f32]) -> f64 {
    let (blocks, rest) = v.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for block in blocks {
        for (sum, &x) in sums.iter_mut().zip(block) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use tensor::Tensor;

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
    }

    #[test]
    fn squares_of_all_elements() {
        let v: Vec<f32> = (1..=19).map(|i| i as f32).collect();
        assert_eq!(square_sum(&v), 2470.0);
    }

    #[test]
    fn by_value() {
        let mut g = grads([-2.0, 0.5], 6.0);
        clip_value(&mut g, 1.0).unwrap();
        assert_eq!(flat(&g), [-1.0, 0.5, 1.0]);
    }
}

//! Gradients with the names of their parameters.

use autograd::Grads;
use tensor::Tensor;

use crate::{Ctx, Error, Module, Param, Result, parameters};

/// A parameter and its gradient.
#[derive(Debug, Clone)]
pub struct Gradient {
    /// Full name of the parameter.
    pub name: String,
    /// The parameter.
    pub param: Param,
    /// Its gradient.
    pub value: Tensor,
}

/// The gradients of `model`'s parameters after `grads = loss.backward()` of a pass under `ctx`, in the order of the
/// visit. A parameter that the loss does not depend on is left out, and an optimiser leaves it alone.
pub fn gradients(ctx: &Ctx, grads: &Grads, model: &dyn Module) -> Vec<Gradient> {
    let with = |(name, param): (String, Param)| {
        let value = ctx.grad(grads, &param)?.clone();
        Some(Gradient { name, param, value })
    };
    parameters(model).into_iter().filter_map(with).collect()
}

/// Fails where a gradient holds NaN or an infinity.
///
/// # Errors
/// [`Error::NonFinite`] names the first such parameter.
pub fn check_finite(grads: &[Gradient]) -> Result<()> {
    for grad in grads {
        let bad = grad.value.to_f64_vec()?.iter().filter(|v| !v.is_finite()).count();
        if bad > 0 {
            return Err(Error::NonFinite { name: grad.name.clone(), dims: grad.value.dims().to_vec(), bad });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bad_one_is_named() {
        let make = |name: &str, v: f32| Gradient {
            name: name.into(),
            param: Param::new(Tensor::scalar(0.0_f32)),
            value: Tensor::from_vec(vec![1.0, v], &[2]).unwrap(),
        };
        assert!(check_finite(&[make("a", 1.0)]).is_ok());
        let error = check_finite(&[make("a", 1.0), make("up4.weight", f32::NAN)]).unwrap_err().to_string();
        assert_eq!(error, "the gradient of up4.weight (dims [2]) holds 1 values that are NaN or infinite");
        assert!(check_finite(&[make("a", f32::INFINITY)]).is_err());
    }
}

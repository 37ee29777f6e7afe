//! Gradients with the names of their parameters.

use autograd::Grads;
use tensor::{DType, Element, Ops, Tensor, ops::Reduction};

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
    if all_finite_elsewhere(grads)? {
        return Ok(());
    }
    for grad in grads {
        let bad = match grad.value.dtype() {
            DType::F32 => bad::<f32>(&grad.value)?,
            _ => grad.value.to_f64_vec()?.iter().filter(|v| !v.is_finite()).count(),
        };
        if bad > 0 {
            return Err(Error::NonFinite { name: grad.name.clone(), dims: grad.value.dims().to_vec(), bad });
        }
    }
    Ok(())
}

/// Whether all gradients are on one device other than the CPU and finite: found there, and told by one number.
fn all_finite_elsewhere(grads: &[Gradient]) -> Result<bool> {
    let Some(first) = grads.first() else { return Ok(true) };
    let meta = |g: &Gradient| (Tensor::device(&g.value).name().to_owned(), g.value.dtype());
    if super::pass::on_cpu(&first.value) || grads.iter().any(|g| meta(g) != meta(first)) {
        return Ok(false);
    }
    Ok(finite(grads)?.item()? != 0.0)
}

/// 1 where all gradients, of one type and on one device, are finite, else 0: f32, no dims, on that device.
pub(super) fn finite(grads: &[Gradient]) -> Result<Tensor> {
    let largest = |t: &Tensor| -> Result<Tensor> {
        let axes: Vec<usize> = (0..t.dims().len()).collect();
        Ok(t.abs()?.reduce(Reduction::Max, &axes, false)?.reshape(&[1])?)
    };
    let filled = grads.iter().filter(|g| !g.value.is_empty());
    let each = filled.map(|g| largest(&g.value)).collect::<Result<Vec<_>>>()?;
    if each.is_empty() {
        return Ok(Tensor::scalar(1.0_f32));
    }
    // The maximum of values with a NaN among them is NaN; what is not finite less itself is NaN, too.
    let all = largest(&Tensor::cat(&each.iter().collect::<Vec<_>>(), 0)?)?.reshape(&[])?;
    let rest = all.sub(&all)?;
    Ok(rest.equal(&rest.full_like(0.0, &[])?)?.cast(DType::F32)?)
}

fn bad<T: Element>(t: &Tensor) -> Result<usize> {
    let t = super::pass::on_host(t)?;
    Ok(super::pass::values::<T>(&t)?.iter().filter(|v| !v.to_f64().is_finite()).count())
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

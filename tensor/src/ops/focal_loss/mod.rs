//! The Object Weighted Focal Loss (Wang et al., arXiv 1812.07049, Eq. 4 and 5) from logits.
//!
//! At a pixel of true class `i` with softmax probability `p`: `L = −αᵢ·(1 − p)^γᵢ·ln p` (Eq. 4). With γ = 0
//! it is weighted cross entropy; with equal α as well, cross entropy. Its gradient with respect to the logits
//! is `dL/dp · p·(δᵢⱼ − pⱼ)` with `dL/dp` from Eq. 5, in the form
//! `α·[γ·(1 − p)^(γ−1)·p·ln p − (1 − p)^γ]·(δᵢⱼ − pⱼ)`, which stays finite as p → 0 and p → 1.

mod cpu;

use smallvec::{SmallVec, smallvec};

use crate::{
    Cost, Error, Meta, OpDef, Result,
    op::{one, operands},
};

/// Operands: logits `[N, K, …]`, labels `[N, …]` (u8 or i64), `α` `[K]`, `γ` `[K]` (γ = 0 or γ ≥ 1). Results, scalars: the sum
/// of the losses over all labelled pixels, and the number of those pixels. All numbers but logits are of the type that the logits
/// are computed with: f32 for 16-bit ones.
/// A label that is neither below K nor `ignore` is an error that names its place.
#[derive(Debug, Clone, PartialEq)]
pub struct FocalLoss {
    /// Label of pixels that take no part.
    pub ignore: i64,
}

/// Operands: logits, labels, `α`, `γ` as for [`FocalLoss`], and the scalar gradient of the sum. Result: the
/// gradient of the logits, in their type.
#[derive(Debug, Clone, PartialEq)]
pub struct FocalLossInput {
    /// Label of pixels that take no part.
    pub ignore: i64,
}

fn check(op: &'static str, ins: &[Meta]) -> Result<()> {
    let (logits, labels) = (&ins[0], &ins[1]);
    if labels.dtype.is_float() {
        return Err(Error::dtype(op, ins, "wants integer labels (u8 or i64)"));
    }
    let wide = logits.dtype.wide();
    if !wide.is_float() || ins.iter().skip(2).any(|m| m.dtype != wide) {
        let what = "wants floating-point logits, and α, γ and gradient in the type they are computed with";
        return Err(Error::dtype(op, ins, what));
    }
    if logits.rank() < 2 {
        return Err(Error::shape(op, ins, "wants logits [N, K, …]"));
    }
    let mut want = logits.dims.clone();
    let classes = want.remove(1);
    if classes == 0 {
        return Err(Error::shape(op, ins, "wants logits of at least one class"));
    }
    if labels.dims != want {
        return Err(Error::shape(op, ins, format!("wants labels of dims {:?}", &want[..])));
    }
    if ins[2].dims[..] != [classes] || ins[3].dims[..] != [classes] {
        return Err(Error::shape(op, ins, format!("wants α and γ of dims [{classes}]")));
    }
    Ok(())
}

impl OpDef for FocalLoss {
    fn name(&self) -> &'static str {
        "focal_loss"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        operands::<4>("focal_loss", ins)?;
        check("focal_loss", ins)?;
        let scalar = Meta::new(&[][..], ins[0].dtype.wide());
        Ok(smallvec![scalar.clone(), scalar])
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost { flops: 14 * ins[0].len() as u64, ..Cost::movement(ins, outs) }
    }
}

impl OpDef for FocalLossInput {
    fn name(&self) -> &'static str {
        "focal_loss_input"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        operands::<5>("focal_loss_input", ins)?;
        check("focal_loss_input", ins)?;
        if ins[4].rank() != 0 {
            return Err(Error::shape("focal_loss_input", ins, "wants a scalar gradient"));
        }
        one(ins[0].clone())
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::pointwise(ins, outs, 16)
    }
}

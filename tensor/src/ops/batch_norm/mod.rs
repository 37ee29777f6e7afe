//! Batch normalisation (Ioffe & Szegedy 2015) over every axis but the channel axis 1, in pieces.
//!
//! [`BatchNormStats`] and [`BatchNormApply`] make up the forward pass, [`BatchNormReduce`] and
//! [`BatchNormInput`] the backward pass; what lies between the two of each pair is a sum per channel, which
//! is where synchronised batch normalisation adds up over ranks. [`BatchNorm`] is the training-mode forward
//! pass as one operation. All take `[N, C, …]` of rank 2 or more and optionally fuse the ReLU that follows:
//! its mask is recomputed from `x`, so that the result need not be kept.
//!
//! Where `x` is a half, so are its gradient and `y`; all per-channel operands and results (statistics, γ, β and sums) are
//! f32 then, so that mixed precision loses nothing in them.
//!
//! With `x̂ = (x − mean)·(var + eps)^−½` and `y = γ·x̂ + β`.

mod cpu;
mod rows;

use smallvec::{SmallVec, smallvec};

use crate::{
    Cost, Error, Meta, OpDef, Result,
    op::{one, operands, same_float},
};

/// Training-mode batch normalisation. Operands: `x`, `γ` `[C]`, `β` `[C]`. Results: `y` like `x`, and the
/// batch's mean and biased variance `[C]` for the running statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance.
    pub eps: f64,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// Operand `x`; results: mean and biased variance of each channel, `[C]` each (two passes: no cancellation).
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormStats;

/// Operands: `x`, mean, variance, `γ`, `β`; result `y`.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormApply {
    /// Added to the variance.
    pub eps: f64,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// Operands: `x`, gradient `g` of `y`, mean, variance, `γ`, `β`; results: `Σ g'` (the gradient of `β`) and
/// `Σ g'·x̂` (that of `γ`), with `g' = g` where the ReLU (if any) passed, else 0.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormReduce {
    /// Added to the variance.
    pub eps: f64,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// Operands: `x`, `g`, mean, variance, `γ`, `β`, `Σ g'`, `Σ g'·x̂`; result: the gradient of `x`,
/// `γ·(var + eps)^−½ · (g' − Σ g'/count − x̂·Σ g'x̂/count)`.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormInput {
    /// Added to the variance.
    pub eps: f64,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// Number of values that the statistics of a channel were taken over (over all ranks).
    pub count: usize,
}

/// Checks `x` (and `like_x` more operands of its dims and type) followed by per-channel vectors; returns what such a vector
/// is.
fn check(op: &'static str, ins: &[Meta], like_x: usize) -> Result<Meta> {
    let x = &ins[0];
    let wide = x.dtype.wide();
    let (maps, vectors) = ins.split_at(1 + like_x);
    same_float(op, maps)?;
    if vectors.iter().any(|m| m.dtype != wide) {
        return Err(Error::dtype(op, ins, format!("wants per-channel operands in {wide} for {}", x.dtype)));
    }
    if x.rank() < 2 {
        return Err(Error::shape(op, ins, "wants [N, C, …]"));
    }
    let c = x.dims[1];
    if maps.iter().any(|m| m.dims != x.dims) {
        return Err(Error::shape(op, ins, "the gradient wants the dims of the input"));
    }
    if vectors.iter().any(|m| m.dims[..] != [c]) {
        return Err(Error::shape(op, ins, format!("per-channel operands want dims [{c}]")));
    }
    Ok(Meta::new(&[c][..], wide))
}

/// Fails where a channel has no value to take statistics over.
fn check_count(op: &'static str, ins: &[Meta], least: usize) -> Result<()> {
    let count = ins[0].len() / ins[0].dims[1].max(1);
    if count < least {
        let rule = format!("statistics want at least {least} values for each channel, got {count}");
        return Err(Error::shape(op, ins, rule));
    }
    Ok(())
}

impl OpDef for BatchNorm {
    fn name(&self) -> &'static str {
        if self.relu { "batch_norm_relu" } else { "batch_norm" }
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let op = self.name();
        operands::<3>(op, ins)?;
        let stat = check(op, ins, 0)?;
        check_count(op, ins, 2)?;
        Ok(smallvec![ins[0].clone(), stat.clone(), stat])
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::pointwise(ins, outs, 7)
    }
}

impl OpDef for BatchNormStats {
    fn name(&self) -> &'static str {
        "batch_norm_stats"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        operands::<1>("batch_norm_stats", ins)?;
        let stat = check("batch_norm_stats", ins, 0)?;
        check_count("batch_norm_stats", ins, 1)?;
        Ok(smallvec![stat.clone(), stat])
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost { flops: 4 * ins[0].len() as u64, ..Cost::movement(ins, outs) }
    }
}

impl OpDef for BatchNormApply {
    fn name(&self) -> &'static str {
        if self.relu { "batch_norm_apply_relu" } else { "batch_norm_apply" }
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        operands::<5>(self.name(), ins)?;
        check(self.name(), ins, 0)?;
        one(ins[0].clone())
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::pointwise(ins, outs, 3)
    }
}

impl OpDef for BatchNormReduce {
    fn name(&self) -> &'static str {
        "batch_norm_reduce"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        operands::<6>("batch_norm_reduce", ins)?;
        let stat = check("batch_norm_reduce", ins, 1)?;
        Ok(smallvec![stat.clone(), stat])
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost { flops: 6 * ins[0].len() as u64, ..Cost::movement(ins, outs) }
    }
}

impl OpDef for BatchNormInput {
    fn name(&self) -> &'static str {
        "batch_norm_input"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        operands::<8>("batch_norm_input", ins)?;
        check("batch_norm_input", ins, 1)?;
        if self.count == 0 {
            return Err(Error::shape("batch_norm_input", ins, "count must be at least 1"));
        }
        one(ins[0].clone())
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::pointwise(ins, outs, 8)
    }
}

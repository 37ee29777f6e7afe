//! One step of an optimiser on many parameters at once, and what clipping wants to know of many gradients.

mod cpu;

use smallvec::SmallVec;

use crate::{Cost, DType, Error, Meta, OpDef, Result, op::one};

/// How a parameter p moves by its gradient g, and what is kept of it besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateRule {
    /// `b ← μ·b + (g + decay·p)`, `p ← p − rate·b`; with Nesterov's momentum `p ← p − rate·(g + decay·p + μ·b)`. Numbers:
    /// rate, decay, μ. Slots: b, or none where there is no momentum.
    Sgd {
        /// Whether b is kept.
        momentum: bool,
        /// Whether to look ahead.
        nesterov: bool,
    },
    /// With `g ← g + decay·p`: `m ← β₁·m + a₁·g`, `v ← β₂·v + a₂·g²`, `p ← keep·p − size·m/(√v/root + ε)`. Numbers: β₁, a₁,
    /// β₂, a₂, size, root, ε, keep, decay. Slots: m, v.
    Adam,
    /// `p ← keep·p + take·g`: p is a running average of what g is. Numbers: keep, take.
    Average,
}

impl UpdateRule {
    /// How many tensors are kept for each parameter.
    pub fn slots(self) -> usize {
        match self {
            UpdateRule::Sgd { momentum, .. } => usize::from(momentum),
            UpdateRule::Adam => 2,
            UpdateRule::Average => 0,
        }
    }

    /// How many numbers come with each parameter.
    pub fn numbers(self) -> usize {
        match self {
            UpdateRule::Sgd { .. } => 3,
            UpdateRule::Adam => 9,
            UpdateRule::Average => 2,
        }
    }
}

/// New values of n parameters in one step. Operands: the numbers of the rule, f64 `[n, …]`; a factor on every gradient, f64
/// `[]` (one over the loss scale, times that of clipping); then for each parameter itself, its gradient and its slots, all f32
/// or all f64. Results: f32 `[]`, 0 or, where a gradient is NaN or infinite, 1; then for each parameter its new value and its
/// new slots, which are the old ones where the first result is 1.
///
/// Numbers are rounded to the parameters' type, in which all is computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// How each parameter moves.
    pub rule: UpdateRule,
}

/// The sum of the squares of all elements of all operands, which are floats, as f64 `[]`, summed in f64.
#[derive(Debug, Clone, PartialEq)]
pub struct SquareSum {}

impl Update {
    /// Operands before the first parameter.
    pub const LEADING: usize = 2;

    /// Operands of each parameter: itself, its gradient, its slots.
    pub fn group(&self) -> usize {
        2 + self.rule.slots()
    }
}

impl OpDef for Update {
    fn name(&self) -> &'static str {
        "update"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let (group, name) = (self.group(), "update");
        let shape = |rule: String| Error::shape(name, &ins[..ins.len().min(2 + group)], rule);
        let Some((leading, all)) =
            ins.split_at_checked(Self::LEADING).filter(|(_, all)| all.len() % group == 0)
        else {
            return Err(shape(format!(
                "wants numbers, a factor and {group} operands for each parameter, got {} operands",
                ins.len()
            )));
        };
        let want = [all.len() / group, self.rule.numbers()];
        if leading[0].dims[..] != want || !leading[1].dims.is_empty() {
            return Err(shape(format!("wants numbers of dims {want:?} and a factor without axes")));
        }
        if leading.iter().any(|m| m.dtype != DType::F64) {
            return Err(Error::dtype(name, leading, "wants numbers and factor in f64"));
        }
        let mut outs = SmallVec::from_iter([Meta::new(&[][..], DType::F32)]);
        for of in all.chunks_exact(group) {
            let param = &of[0];
            if !matches!(param.dtype, DType::F32 | DType::F64) || param.dtype != all[0].dtype {
                let rule = "wants parameters that are all f32 or all f64; keep master weights in f32";
                return Err(Error::dtype(name, of, rule));
            }
            if of.iter().any(|m| m != param) {
                return Err(Error::shape(
                    name,
                    of,
                    "wants gradient and slots of the parameter's dims and type",
                ));
            }
            outs.extend(of.iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, m)| m.clone()));
        }
        Ok(outs)
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        let each = match self.rule {
            UpdateRule::Sgd { momentum: false, .. } => 4,
            UpdateRule::Sgd { momentum: true, .. } => 6,
            UpdateRule::Adam => 15,
            UpdateRule::Average => 3,
        };
        let params = outs.iter().skip(1).step_by(self.group() - 1);
        let flops = each * params.map(|m| m.len() as u64).sum::<u64>();
        Cost { flops, ..Cost::movement(ins, outs) }
    }
}

impl OpDef for SquareSum {
    fn name(&self) -> &'static str {
        "square_sum"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        match ins.first() {
            Some(first) if first.dtype.is_float() && ins.iter().all(|m| m.dtype == first.dtype) => {
                one(Meta::new(&[][..], DType::F64))
            }
            _ => Err(Error::dtype("square_sum", ins, "wants at least one operand, all floats of one type")),
        }
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        let elements: usize = ins.iter().map(Meta::len).sum();
        Cost { flops: 2 * elements as u64, ..Cost::movement(ins, outs) }
    }
}

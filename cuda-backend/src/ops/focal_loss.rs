//! The Object Weighted Focal Loss and its gradient, over [pixels, classes]: `kernels/focal_loss.cu`.

use smallvec::smallvec;
use tensor::ops::{FocalLoss, FocalLossInput};
use tensor::{DType, Format, Outputs, Tensor};

use super::geometry::{empty_pixels, from_pixels, int, pixels};
use super::{Run, address, suffix};
use crate::error::Result;
use crate::faults::Check;

/// Blocks at most; each leaves a part of the sum.
const BLOCKS: usize = 1024;

/// Bytes of a part: the sum of losses and the number of pixels, as f64.
const PART: usize = 16;

/// Where sums, or the gradient, go; 0 for what is not wanted.
struct Wanted {
    weight: u64,
    gradient: u64,
    parts: u64,
}

/// From logits, labels, α, γ; returns the number of blocks.
fn launch(run: &Run, ins: &[&Tensor], ignore: i64, wanted: &Wanted) -> Result<usize> {
    int(run, ins[0].len())?;
    let logits = pixels(run, ins[0])?;
    let [labels, alpha, gamma] = [ins[1], ins[2], ins[3]].map(|t| run.dense(t, Format::Contiguous));
    let (labels, alpha, gamma) = (labels?, alpha?, gamma?);
    let blocks = labels.len().div_ceil(256).clamp(1, BLOCKS);
    let k = alpha.len();
    let (fault, ticket) = run.fault_of(Check {
        op: run.op(),
        subject: "label",
        rule: format!("is neither one of the {k} classes nor {ignore}, which is ignored"),
        dims: labels.dims().into(),
        format: Format::Contiguous,
        beyond: Some(("γ of class", "must be 0 or at least 1")),
    });
    run.kernel("focal_loss", &format!("focal_loss_{}_{}", suffix(logits.dtype()), suffix(labels.dtype())))?
        .grid([blocks as u32, 1, 1])
        .arg(address(&logits)?)
        .arg(address(&labels)?)
        .arg(address(&alpha)?)
        .arg(address(&gamma)?)
        .arg(wanted.weight)
        .arg(wanted.gradient)
        .arg(wanted.parts)
        .arg(labels.len() as i64)
        .arg(int(run, alpha.len())?)
        .arg(ignore)
        .arg(fault)
        .arg(ticket)
        .run()?;
    Ok(blocks)
}

/// The sum of the losses, and the number of pixels that count.
pub(crate) fn focal_loss(run: &Run, op: &FocalLoss, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
    let parts = run.scratch(BLOCKS * PART)?;
    let wanted = Wanted { weight: 0, gradient: 0, parts: parts.address() };
    let blocks = launch(run, ins, op.ignore, &wanted)?;
    let new = |dtype: DType| run.empty(&[], dtype, Format::Contiguous);
    let wide = ins[0].dtype().wide();
    let (sum, count) = (new(wide)?, new(wide)?);
    run.kernel("focal_loss", &format!("focal_loss_finish_{}", suffix(wide)))?
        .arg(parts.address())
        .arg(address(&sum)?)
        .arg(address(&count)?)
        .arg(blocks as i32)
        .run()?;
    Ok(smallvec![sum, count])
}

/// The gradient of the logits, from the gradient of the sum.
pub(crate) fn focal_loss_input(run: &Run, op: &FocalLossInput, ins: &[&Tensor]) -> Result<Tensor> {
    let y = empty_pixels(run, ins[0].dims(), ins[0].dtype())?;
    if !y.is_empty() {
        let wanted = Wanted { weight: address(ins[4])?, gradient: address(&y)?, parts: 0 };
        launch(run, ins, op.ignore, &wanted)?;
    }
    from_pixels(run, y)
}

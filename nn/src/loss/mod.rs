//! Losses. Each turns logits and labels into a scalar to call `backward` on.
//!
//! Labels are integers (u8 or i64); those equal to `ignore` take no part. Where no pixel is labelled, a loss is 0
//! with gradient 0 (where PyTorch says NaN), so that one empty crop does not end a training. Logits in halves are
//! widened to f32 first.

mod balance;
mod bce;
mod bootstrap;
mod cross_entropy;
mod focal;
mod labels;
mod sel;
mod smoothing;
mod spec;

pub use balance::ClassBalance;
pub use bce::bce_with_logits;
pub use bootstrap::Bootstrapped;
pub use cross_entropy::{CrossEntropy, Reduction};
pub use focal::FocalLoss;
pub use labels::{class_counts, class_presence};
pub use sel::SemanticEncodingLoss;
pub use spec::{Criterion, LossSpec, LossValue, PixelLoss};

use autograd::Var;
use tensor::Ops;

use crate::Result;

/// The label that the data sets here give to pixels that take no part.
pub const IGNORE: i64 = 255;

/// Logits in a type in which exponentials and sums are safe.
fn widened(logits: &Var) -> Result<Var> {
    Ok(logits.cast(logits.tensor().dtype().wide())?)
}

//! How good a segmentation is: one confusion matrix over a whole split, and what is read from it.

mod confusion;
mod scores;

pub use confusion::Confusion;
pub use scores::{ClassScore, GroupScore, Scores};

//! Rewrites of a graph that leave its results (but for rounding) as they are.

mod activation;
mod batch_norm;
mod channels;
mod constants;
mod convolution;
mod dead;
mod labels;
mod lookup;
mod pointwise;
mod precision;
mod residual;
mod tail;

pub use activation::fuse_activation;
pub use batch_norm::fold_batch_norm;
pub use channels::dissolve_channels;
pub use constants::fold_constants;
pub use convolution::recognize_convolutions;
pub use dead::remove_dead;
pub use labels::fuse_labels;
pub use lookup::tabulate_bytes;
pub use pointwise::join_pointwise;
pub use precision::lower_precision;
pub use residual::fuse_residual;
pub use tail::fuse_tail;

use super::{ConvStep, Graph, Node, Step, ValueId};
use crate::Result;

/// A rewrite.
pub type Pass = fn(&mut Graph) -> Result<()>;

/// All passes in the order in which they help each other, with their names.
pub const ALL: [(&str, Pass); 11] = [
    ("fold_constants", fold_constants),
    ("recognize_convolutions", recognize_convolutions),
    ("fold_batch_norm", fold_batch_norm),
    ("fuse_activation", fuse_activation),
    ("fuse_residual", fuse_residual),
    ("fuse_labels", fuse_labels),
    ("dissolve_channels", dissolve_channels),
    ("fuse_tail", fuse_tail),
    ("tabulate_bytes", tabulate_bytes),
    ("join_pointwise", join_pointwise),
    ("remove_dead", remove_dead),
];

/// Applies [`ALL`].
///
/// # Errors
/// Where a constant can not be computed.
pub fn optimize(graph: &mut Graph) -> Result<()> {
    ALL.iter().try_for_each(|(_, pass)| pass(graph))
}

/// The convolution whose only result is `value`, if nothing but one step uses it.
fn sole_conv<'a>(nodes: &'a mut [Node], facts: &Facts, value: ValueId) -> Option<(usize, &'a mut ConvStep)> {
    let &index = facts.producers.get(&value)?;
    if facts.uses.get(&value) != Some(&1) {
        return None;
    }
    match &mut nodes[index].step {
        Step::Conv(conv) => Some((index, conv)),
        Step::Op { .. } | Step::Pool(_) | Step::Collect(_) | Step::Chain(_) | Step::Lookup(_) => None,
    }
}

/// Who makes and who uses values, as it was when it was asked.
struct Facts {
    uses: std::collections::HashMap<ValueId, usize>,
    producers: std::collections::HashMap<ValueId, usize>,
}

impl Facts {
    fn of(graph: &Graph) -> Self {
        Self { uses: graph.uses(), producers: graph.producers() }
    }
}

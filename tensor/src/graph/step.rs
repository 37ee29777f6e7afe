//! What a node of a graph does: an operation as it was recorded, or several that a pass made one.

use smallvec::{SmallVec, smallvec};

use super::ValueId;
use crate::{
    Op,
    ops::{Conv2d, ConvTranspose2d, Window},
};

/// What a node does.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// An operation.
    Op {
        /// Which.
        op: Op,
        /// Its operands.
        ins: SmallVec<[ValueId; 4]>,
    },
    /// A convolution with what comes before and after it.
    Conv(Box<ConvStep>),
    /// A max pool of channels that may lie in several values.
    Pool(PoolStep),
    /// The channels of some runs, joined into one value.
    Collect(Vec<Run>),
    /// Pointwise operations in one pass over memory.
    Chain(ChainStep),
    /// Numbers for bytes.
    Lookup(LookupStep),
}

/// Pointwise operations one after the other on one value, whose dims and type they keep.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainStep {
    /// What the first link takes.
    pub x: ValueId,
    /// The operations.
    pub links: Vec<Link>,
}

/// One operation of a [`ChainStep`].
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Which: a unary or binary one, or a batch normalisation.
    pub op: Op,
    /// Its operands; none stands for the result of the link before.
    pub ins: SmallVec<[Option<ValueId>; 4]>,
}

/// A number for each byte of an image, by a table for each channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LookupStep {
    /// Bytes `[N, C, H, W]`.
    pub x: ValueId,
    /// Numbers `[C, 256]`.
    pub table: ValueId,
}

/// Some channels of a value `[N, C, H, W]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The value.
    pub value: ValueId,
    /// First channel.
    pub start: usize,
    /// Number of channels.
    pub len: usize,
}

/// Which convolution.
#[derive(Debug, Clone, PartialEq)]
pub enum ConvKind {
    /// An ordinary one.
    Plain(Conv2d),
    /// A transposed one.
    Transposed(ConvTranspose2d),
}

/// `relu_last(relu(conv + bias) + residual)`, then perhaps a 1×1 convolution, then perhaps the best class; each part but the
/// first convolution optional. Where there is a 1×1 convolution, the residual is added to its result.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvStep {
    /// The convolution.
    pub kind: ConvKind,
    /// Where its input channels lie, in the order of the weight. More than one run excludes groups.
    pub sources: Vec<Run>,
    /// Where the source is one whole image of bytes: the numbers that they stand for, `[C, 256]`.
    pub table: Option<ValueId>,
    /// Weight, as the operation wants it.
    pub weight: ValueId,
    /// One value per result channel.
    pub bias: Option<ValueId>,
    /// Clamp below at zero.
    pub relu: bool,
    /// A 1×1 convolution of the result.
    pub tail: Option<Tail>,
    /// What is added to the result.
    pub residual: Option<Residual>,
    /// Clamp below at zero after the residual was added.
    pub relu_last: bool,
    /// Keep only the channel of the largest value of each pixel, as u8 `[N, H, W]`.
    pub labels: bool,
}

/// `relu(conv + bias)` with a 1×1 convolution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tail {
    /// Weight `[K, C, 1, 1]`.
    pub weight: ValueId,
    /// One value per result channel.
    pub bias: Option<ValueId>,
    /// Clamp below at zero.
    pub relu: bool,
}

/// What a convolution's result is added to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Residual {
    /// A value of the result's dims.
    Value(ValueId),
    /// A value of half the height and width, unpooled by the places of a 2×2 max pool.
    Unpooled {
        /// The values.
        pooled: ValueId,
        /// The places.
        index: ValueId,
    },
}

/// A max pool: its results are the maxima and, where anybody wants them, their places, as of [`crate::ops::MaxPool2d`].
#[derive(Debug, Clone, PartialEq)]
pub struct PoolStep {
    /// Where the channels lie.
    pub sources: Vec<Run>,
    /// Where the source is one whole image of bytes: the numbers that they stand for, `[C, 256]`, which rise with the byte.
    pub table: Option<ValueId>,
    /// The window.
    pub window: Window,
}

impl Step {
    /// The values that it reads, one entry for each use.
    pub fn operands(&self) -> SmallVec<[ValueId; 4]> {
        let mut all = smallvec![];
        // One list of the places, for reading and for renaming.
        self.clone().for_each_operand(|id| all.push(*id));
        all
    }

    /// Calls `f` with each place that names a value.
    pub(crate) fn for_each_operand(&mut self, mut f: impl FnMut(&mut ValueId)) {
        match self {
            Step::Op { ins, .. } => ins.iter_mut().for_each(f),
            Step::Collect(sources) => sources.iter_mut().for_each(|run| f(&mut run.value)),
            Step::Pool(PoolStep { sources, table, .. }) => {
                sources.iter_mut().for_each(|run| f(&mut run.value));
                table.iter_mut().for_each(f);
            }
            Step::Chain(chain) => {
                f(&mut chain.x);
                chain.links.iter_mut().flat_map(|link| &mut link.ins).flatten().for_each(f);
            }
            Step::Lookup(LookupStep { x, table }) => {
                f(x);
                f(table);
            }
            Step::Conv(conv) => {
                conv.sources.iter_mut().for_each(|run| f(&mut run.value));
                conv.table.iter_mut().for_each(&mut f);
                f(&mut conv.weight);
                conv.bias.iter_mut().for_each(&mut f);
                if let Some(tail) = &mut conv.tail {
                    f(&mut tail.weight);
                    tail.bias.iter_mut().for_each(&mut f);
                }
                match &mut conv.residual {
                    Some(Residual::Value(value)) => f(value),
                    Some(Residual::Unpooled { pooled, index }) => {
                        f(pooled);
                        f(index);
                    }
                    None => {}
                }
            }
        }
    }
}

impl ConvKind {
    /// Groups of channels.
    pub fn groups(&self) -> usize {
        match self {
            ConvKind::Plain(conv) => conv.groups,
            ConvKind::Transposed(conv) => conv.conv.groups,
        }
    }

    /// Axes of the weight along which input and output channels lie (without groups).
    pub(crate) fn weight_axes(&self) -> (usize, usize) {
        match self {
            ConvKind::Plain(_) => (1, 0),
            ConvKind::Transposed(_) => (0, 1),
        }
    }
}

impl ConvStep {
    /// A convolution of a whole value and nothing else.
    pub(crate) fn plain(kind: ConvKind, x: Run, weight: ValueId, bias: Option<ValueId>) -> Self {
        let sources = vec![x];
        Self {
            kind,
            sources,
            table: None,
            weight,
            bias,
            relu: false,
            tail: None,
            residual: None,
            relu_last: false,
            labels: false,
        }
    }

    /// Whether nothing but a bias follows the (last) convolution yet.
    pub(crate) fn is_open(&self) -> bool {
        let relu = self.tail.map_or(self.relu, |tail| tail.relu);
        !relu && self.residual.is_none() && !self.labels
    }
}

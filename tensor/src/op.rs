//! An operation as a value. The tape records them, a profiler costs them, a compiler rewrites them: all
//! read this one list. Matches over it are exhaustive, so that adding one makes the compiler list every
//! place to fill (`docs/adding-an-op.md`).

use smallvec::SmallVec;

use crate::{Cost, Error, Meta, Result, ops::*};

/// What every operation knows of itself.
pub trait OpDef {
    /// Its name, in snake case, as in messages and graphs.
    fn name(&self) -> &'static str;

    /// The shape rule: dims and dtypes of the results, or the rule that the operands break.
    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>>;

    /// What running it costs, given operands that `infer` accepted and what it returned.
    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost;
}

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// An operation with its parameters.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Op {
            $($(#[$doc])* $name($name),)*
        }

        impl Op {
            /// The names of all variants, in order: test suites check that none is left out.
            pub const VARIANTS: &'static [&'static str] = &[$(stringify!($name)),*];

            /// The name of the variant.
            pub fn variant(&self) -> &'static str {
                match self { $(Op::$name(_) => stringify!($name),)* }
            }

            fn def(&self) -> &dyn OpDef {
                match self { $(Op::$name(def) => def,)* }
            }
        }

        $(impl From<$name> for Op {
            fn from(def: $name) -> Self { Op::$name(def) }
        })*
    };
}

ops! {
    /// A constant.
    Full,
    /// Evenly spaced values.
    Arange,
    /// Random values from a counter-based generator.
    Random,
    /// The same elements, in row-major order, with other dims.
    Reshape,
    /// Axes reordered.
    Permute,
    /// Axes of size 1 (and new leading axes) repeated.
    BroadcastTo,
    /// A strided window along each axis.
    Slice,
    /// The adjoint of `Slice`: elements put back into zeros.
    Unslice,
    /// Another element type.
    Cast,
    /// A dense copy in a given format.
    Copy,
    /// A pointwise function of one operand.
    Unary,
    /// A pointwise function of two operands, broadcast.
    Binary,
    /// A pointwise comparison, broadcast, as u8.
    Compare,
    /// `condition ? a : b`, broadcast.
    Select,
    /// Sum, mean, maximum or minimum over axes.
    Reduce,
    /// Index of the maximum or minimum along an axis.
    ArgReduce,
    /// How often each of the integers 0..bins occurs.
    Bincount,
    /// How many values fall into each of equally wide bins.
    Histogram,
    /// Operands joined along an axis.
    Cat,
    /// Elements picked along an axis by an index tensor.
    Gather,
    /// The adjoint of `Gather`.
    ScatterAdd,
    /// Matrix product over the last two axes, leading axes broadcast.
    MatMul,
    /// Two-dimensional convolution (cross-correlation).
    Conv2d,
    /// Transposed two-dimensional convolution.
    ConvTranspose2d,
    /// The weight gradient of a two-dimensional convolution.
    Conv2dWeight,
    /// Max pooling, with the window-local place of each maximum.
    MaxPool2d,
    /// Picks from each pooling window the place that an index names.
    PoolGather,
    /// Puts pooled values back where an index says: max unpooling, the adjoint of `PoolGather`.
    MaxUnpool2d,
    /// Average pooling.
    AvgPool2d,
    /// The adjoint of `AvgPool2d`.
    AvgPool2dInput,
    /// Nearest or bilinear resizing.
    Resize2d,
    /// The adjoint of `Resize2d`.
    Resize2dInput,
    /// Softmax along an axis.
    Softmax,
    /// Logarithm of the softmax along an axis.
    LogSoftmax,
    /// Channels regrouped: (groups, C/groups) transposed.
    ChannelShuffle,
    /// Channels of several operands in turn.
    Interleave,
    /// The inverse of `Interleave`.
    Deinterleave,
    /// Batch normalisation by the batch's own statistics.
    BatchNorm,
    /// Mean and biased variance of each channel.
    BatchNormStats,
    /// Normalisation by given statistics, with an optional ReLU.
    BatchNormApply,
    /// The two per-channel sums of batch normalisation's gradient.
    BatchNormReduce,
    /// The input gradient of batch normalisation.
    BatchNormInput,
    /// Focal loss with a weight and an exponent for each class (OWFL), from logits.
    FocalLoss,
    /// The analytic gradient of `FocalLoss` with respect to the logits.
    FocalLossInput,
    /// One step of an optimiser on many parameters.
    Update,
    /// The sum of the squares of all elements of many tensors.
    SquareSum,
}

impl Op {
    /// Its name, in snake case.
    pub fn name(&self) -> &'static str {
        self.def().name()
    }

    /// The shape rule.
    ///
    /// # Errors
    /// Names the operation, its operands and the rule that they break.
    pub fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let outs = self.def().infer(ins)?;
        // Kernels compute sizes and places without looking for overflow.
        match outs.iter().find(|out| !out.addressable()) {
            Some(out) => {
                Err(Error::shape(self.name(), ins, format!("the result, {out}, has no room in memory")))
            }
            None => Ok(outs),
        }
    }

    /// What running it costs.
    pub fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        self.def().cost(ins, outs)
    }
}

/// The operands as an array of exactly `N`, or an error that says how many there should be.
pub(crate) fn operands<'a, const N: usize>(op: &'static str, ins: &'a [Meta]) -> Result<&'a [Meta; N]> {
    ins.try_into().map_err(|_| Error::shape(op, ins, format!("wants {N} operands, got {}", ins.len())))
}

/// One result.
pub(crate) fn one(meta: Meta) -> Result<SmallVec<[Meta; 2]>> {
    let mut outs = SmallVec::new();
    outs.push(meta);
    Ok(outs)
}

/// Fails unless every operand is a float of the same type as the first.
pub(crate) fn same_float(op: &'static str, ins: &[Meta]) -> Result<()> {
    if !ins[0].dtype.is_float() || ins.iter().any(|m| m.dtype != ins[0].dtype) {
        return Err(Error::dtype(op, ins, "wants floating-point operands of one type"));
    }
    Ok(())
}

/// Fails unless operand `i` has `rank` axes.
pub(crate) fn rank(op: &'static str, ins: &[Meta], i: usize, rank: usize, axes: &str) -> Result<()> {
    if ins[i].rank() != rank {
        return Err(Error::shape(
            op,
            ins,
            format!("operand {i} wants {rank} axes {axes}, has {}", ins[i].rank()),
        ));
    }
    Ok(())
}

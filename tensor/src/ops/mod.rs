//! The operations, one directory (or, for a family that shares one kernel, one file) each: parameters,
//! shape rule and cost in `mod.rs`, the CPU kernel in `cpu.rs`.

pub(crate) mod batch_norm;
pub(crate) mod cat;
pub(crate) mod channel_shuffle;
pub(crate) mod conv;
pub(crate) mod copy;
pub(crate) mod create;
pub(crate) mod focal_loss;
pub(crate) mod gather;
pub(crate) mod histogram;
pub(crate) mod interleave;
pub(crate) mod matmul;
pub(crate) mod pointwise;
pub(crate) mod pool;
pub(crate) mod reduce;
pub(crate) mod resize;
pub(crate) mod softmax;
pub(crate) mod update;
pub(crate) mod view;

pub use batch_norm::{BatchNorm, BatchNormApply, BatchNormInput, BatchNormReduce, BatchNormStats};
pub use cat::Cat;
pub use channel_shuffle::ChannelShuffle;
pub use conv::{Conv2d, Conv2dWeight, ConvTranspose2d};
pub use copy::{Cast, Copy, Unslice};
pub use create::{Arange, Distribution, Full, Random};
pub use focal_loss::{FocalLoss, FocalLossInput};
pub use gather::{Gather, ScatterAdd};
pub use histogram::{Bincount, Histogram};
pub use interleave::{Deinterleave, Interleave};
pub use matmul::MatMul;
pub use pointwise::{Binary, Compare, Select, Unary, broadcast_dims};
pub use pool::{AvgPool2d, AvgPool2dInput, MaxPool2d, MaxUnpool2d, PoolGather, Window};
pub use reduce::{ArgReduce, Extremum, Reduce, Reduction};
pub use resize::{Interpolation, Resize2d, Resize2dInput};
pub use softmax::{LogSoftmax, Softmax};
pub use update::{SquareSum, Update, UpdateRule};
pub use view::{BroadcastTo, Permute, Reshape, Slice, Span};

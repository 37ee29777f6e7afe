//! What a convolution does with its sums while they are at hand.

use super::Shared;
use super::pack::PackLayout;

/// What happens to a convolution's sums: `y = relu_last(relu(sum + bias) + residual)`, each part optional.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// One value per produced channel.
    pub bias: Option<&'a [T]>,
    /// Clamp below at zero before the residual is added.
    pub relu: bool,
    /// What is added.
    pub residual: Option<Residual<'a, T>>,
    /// Clamp below at zero after the residual was added.
    pub relu_last: bool,
}

/// Values to add to a convolution's result.
#[derive(Clone, Copy, Debug)]
pub enum Residual<'a, T> {
    /// An image of the result's shape (NHWC).
    Image(&'a [T]),
    /// An image of half the height and width, each value put to one place of its 2×2 window: max unpooling.
    Unpooled {
        /// The values, NHWC.
        pooled: &'a [T],
        /// The places (0 to 3, row by row), of the same shape.
        index: &'a [u8],
    },
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Self { bias: None, relu: false, residual: None, relu_last: false }
    }
}

/// Where the pixels of a convolution go.
pub(crate) enum After<'a, T> {
    /// Into the result.
    Store,
    /// Through a 1×1 convolution, a strip at a time, while they are in the first-level cache.
    Pointwise(Pointwise<'a, T>),
    /// The channel of the largest value is all that is kept.
    Labels {
        /// One label for each pixel.
        out: Shared<u8>,
        /// Their number.
        len: usize,
    },
}

/// A 1×1 convolution without groups.
pub(crate) struct Pointwise<'a, T> {
    pub layout: &'a PackLayout,
    pub packed: &'a [T],
    pub epilogue: Epilogue<'a, T>,
}

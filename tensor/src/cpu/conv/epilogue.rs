//! What a convolution does with its sums while they are at hand.

use super::Shared;
use super::pack::PackLayout;
use crate::cpu::dispatch::vectorized;
use crate::cpu::math::select;
use crate::cpu::simd::Scalar;

/// What happens to a convolution's sums: `y = relu_last(relu(sum + bias) + residual)`, each part optional.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T> {
    /// One value per produced channel.
    pub bias: Option<&'a [T]>,
    /// Clamp below at zero before the residual is added.
    pub relu: bool,
    /// What is added.
    pub residual: Option<Residual<'a, T>>,
    /// Clamp below at zero after the residual was added; where there is none, `relu` says it all and this is not looked at.
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

impl<T> Epilogue<'_, T> {
    /// Whether unpooled values are added, whose places depend on rows and columns.
    pub(super) fn unpools(&self) -> bool {
        matches!(self.residual, Some(Residual::Unpooled { .. }))
    }
}

impl<T: Scalar> Residual<'_, T> {
    /// Copies the values of some pixels (image, row, column) of a result of this size, one after the other.
    pub(super) fn gather(
        &self,
        to: &mut [T],
        channels: usize,
        pixels: impl Iterator<Item = (usize, usize, usize)>,
        [h, w]: [usize; 2],
    ) {
        for (to, (image, row, column)) in to.chunks_exact_mut(channels).zip(pixels) {
            match self {
                Residual::Image(values) => {
                    to.copy_from_slice(&values[((image * h + row) * w + column) * channels..][..channels]);
                }
                Residual::Unpooled { pooled, index } => {
                    let at = ((image * (h / 2) + row / 2) * (w / 2) + column / 2) * channels;
                    let place = (row % 2 * 2 + column % 2) as u8;
                    unpool(to, &pooled[at..at + channels], &index[at..at + channels], place);
                }
            }
        }
    }
}

vectorized! {
    /// The values whose index is `place`, zero elsewhere.
    fn unpool<T: Scalar>(to: &mut [T], pooled: &[T], index: &[u8], place: u8) {
        for ((to, &value), &i) in to.iter_mut().zip(pooled).zip(index) {
            *to = select(i == place, value, T::zero());
        }
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

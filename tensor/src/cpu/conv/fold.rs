//! Transposed convolutions whose filter is as wide as its stride: every input pixel makes `s` neighbouring output pixels of its
//! row, and those lie side by side in memory. Read as one pixel of `s` times the channels they are a convolution of one
//! column: vectors span the pixels (38 channels fill three vectors where two times 19 fill four), and rows are written in
//! order.

use super::ConvGeometry;
use super::pack::Direction;

/// Most pixels that are read as one.
pub(super) const MAX_FOLD: usize = 4;

/// A transposed convolution of fewer, wider pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fold {
    /// The convolution whose gradient it is.
    pub geometry: ConvGeometry,
    /// Pixels that are read as one.
    pub by: usize,
}

impl Fold {
    /// The form of `g`, if it has one.
    pub fn of(g: &ConvGeometry, direction: Direction) -> Option<Self> {
        let by = g.stride[1];
        let fits = direction == Direction::InputGradient
            && (2..=MAX_FOLD).contains(&by)
            && (g.kernel[1], g.padding[1], g.dilation[1], g.groups) == (by, 0, 1, 1)
            && g.in_w == g.out_w * by;
        let (kernel, stride) = ([g.kernel[0], 1], [g.stride[0], 1]);
        let geometry = ConvGeometry { in_w: g.out_w, c_in: g.c_in * by, kernel, stride, ..*g };
        fits.then_some(Self { geometry, by })
    }

    /// Weights `[c_out, c_in, kernel_h, by]` as `[c_out, by · c_in, kernel_h, 1]`.
    pub fn weights<T: Copy>(&self, weights: &[T], folded: &mut [T]) {
        let (rows, by) = (self.geometry.kernel[0], self.by);
        let channels = self.geometry.c_in / by;
        let filters =
            weights.chunks_exact(channels * rows * by).zip(folded.chunks_exact_mut(channels * rows * by));
        for (from, to) in filters {
            for (i, &weight) in from.iter().enumerate() {
                let (channel, row, column) = (i / (rows * by), i / by % rows, i % by);
                to[(column * channels + channel) * rows + row] = weight;
            }
        }
    }

    /// Per-channel values for each of the pixels that are read as one.
    pub fn repeat<T: Copy>(&self, values: &[T]) -> Vec<T> {
        values.repeat(self.by)
    }
}

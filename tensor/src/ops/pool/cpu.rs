//! CPU kernels over channels-last maps: windows row by row, the inner loop across channels.

mod average;
mod max;

use std::ops::Range;

use rayon::prelude::*;

use super::*;
use crate::{Tensor, cpu::math::Real};

/// Values that one task writes at least.
const TASK: usize = 16 * 1024;

/// A map and its pooled map.
#[derive(Clone, Copy)]
struct Map {
    images: usize,
    channels: usize,
    /// (H, W) of the large map.
    size: [usize; 2],
    /// (H, W) of the pooled map.
    pooled: [usize; 2],
    window: Window,
}

impl Map {
    /// From the dims of the large and of the pooled map.
    fn new(window: Window, large: &[usize], pooled: &[usize]) -> Self {
        Self {
            images: large[0],
            channels: large[1],
            size: [large[2], large[3]],
            pooled: [pooled[2], pooled[3]],
            window,
        }
    }

    /// The places along `axis` that window `o` covers.
    fn covered(&self, axis: usize, o: usize) -> Range<usize> {
        let Window { kernel, stride, padding } = self.window;
        let (start, p) = (o * stride[axis], padding[axis]);
        start.max(p) - p..(start + kernel[axis]).min(self.size[axis] + p) - p
    }

    /// The windows along `axis` that cover place `i`.
    fn covering(&self, axis: usize, i: usize) -> Range<usize> {
        let Window { kernel, stride, padding } = self.window;
        let at = i + padding[axis];
        let first = (at + 1).saturating_sub(kernel[axis]).div_ceil(stride[axis]);
        first..(at / stride[axis] + 1).min(self.pooled[axis])
    }

    /// Place `i` along `axis` within window `o`, which covers it.
    fn offset(&self, axis: usize, o: usize, i: usize) -> usize {
        i + self.window.padding[axis] - o * self.window.stride[axis]
    }

    fn area(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    /// Elements of one image of the large map.
    fn image(&self) -> usize {
        self.size[0] * self.size[1] * self.channels
    }

    /// Elements of one image of the pooled map.
    fn pooled_image(&self) -> usize {
        self.pooled[0] * self.pooled[1] * self.channels
    }
}

/// Calls `row(n, h, values)` for each of the rows of `y`, of images of `height` rows, in parallel.
fn for_rows<T: Send>(y: &mut [T], images: usize, height: usize, row: impl Fn(usize, usize, &mut [T]) + Sync) {
    let width = y.len() / (images * height).max(1);
    if width > 0 {
        y.par_chunks_mut(width)
            .with_min_len(TASK.div_ceil(width))
            .enumerate()
            .for_each(|(i, values)| row(i / height, i % height, values));
    }
}

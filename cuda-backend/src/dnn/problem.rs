//! A convolution's sizes, types and direction.

use tensor::ops::Conv2d;
use tensor::{DType, Format};

/// What is computed from what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// The result, from input and weight.
    Forward,
    /// The input (or its gradient), from result and weight: also the transposed convolution.
    Data,
    /// The weight's gradient, from input and result's gradient.
    Filter,
}

/// A convolution of cuDNN: `x` `[N, C, H, W]`, `w` `[K, C/groups, kh, kw]`, `y` `[N, K, Ho, Wo]`, whichever of them is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Problem {
    pub direction: Direction,
    pub x: [usize; 4],
    pub w: [usize; 4],
    pub y: [usize; 4],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    pub groups: usize,
    pub dtype: DType,
    /// Whether f32 factors may be rounded to TF32.
    pub tf32: bool,
    /// Whether bias and activation follow in the same call.
    pub fused: bool,
    /// Order of all three in memory.
    pub format: Format,
}

impl Problem {
    /// Of `conv`, between tensors of these dims.
    pub fn new(
        direction: Direction,
        conv: &Conv2d,
        x: [usize; 4],
        w: [usize; 4],
        y: [usize; 4],
        dtype: DType,
    ) -> Self {
        let Conv2d { stride, padding, dilation, groups } = *conv;
        // cuDNN has no channels-last kernels for f64, which only gradient checks use.
        let format = if dtype == DType::F64 { Format::Contiguous } else { Format::ChannelsLast };
        Self {
            direction,
            x,
            w,
            y,
            stride,
            padding,
            dilation,
            groups,
            dtype,
            tf32: false,
            fused: false,
            format,
        }
    }

    /// Whether `y` is what the convolution of `x` has the size of, as cuDNN wants. A transposed convolution with an output
    /// padding of a stride or more (dilated ones may have that) is of a larger `x`.
    pub fn is_whole(&self) -> bool {
        let Self { stride, padding, dilation, groups, .. } = *self;
        let size = |t: [usize; 4]| [t[2], t[3]];
        Conv2d { stride, padding, dilation, groups }.output_size(size(self.x), size(self.w))
            == Some(size(self.y))
    }

    /// For people, and as the key of the disk cache.
    pub fn text(&self) -> String {
        let dims = |d: [usize; 4]| d.map(|n| n.to_string()).join("x");
        format!(
            "{:?} x {} w {} y {} stride {}x{} padding {}x{} dilation {}x{} groups {} {}{} {:?}",
            self.direction,
            dims(self.x),
            dims(self.w),
            dims(self.y),
            self.stride[0],
            self.stride[1],
            self.padding[0],
            self.padding[1],
            self.dilation[0],
            self.dilation[1],
            self.groups,
            self.dtype,
            if self.tf32 { " tf32" } else { "" },
            self.format
        )
    }
}

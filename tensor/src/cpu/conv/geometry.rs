//! Sizes of a convolution, and its reduction to *axis phases*: what each output row or column sums.
//!
//! Forward, data gradient and transposed convolution differ only in which input position a filter tap reads for an output
//! position. Along one axis that is an affine map, split by the residue of the output position where the map has a stride
//! (sub-pixel decomposition): each residue becomes an ordinary stride-1 sum over the taps that reach it, and no zero is ever
//! inserted or multiplied.

use smallvec::SmallVec;

/// Sizes and parameters of a 2-D convolution (cross-correlation, as deep learning uses the word). Pairs are (height, width).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvGeometry {
    /// Images.
    pub batch: usize,
    /// Input rows.
    pub in_h: usize,
    /// Input columns.
    pub in_w: usize,
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Filter size.
    pub kernel: [usize; 2],
    /// Input pixels between neighbouring output pixels.
    pub stride: [usize; 2],
    /// Zero rows above and columns left of the input (those below and right follow from the output size).
    pub padding: [usize; 2],
    /// Input pixels between neighbouring taps.
    pub dilation: [usize; 2],
    /// Independent groups of channels; divides `c_in` and `c_out`.
    pub groups: usize,
    /// Output rows.
    pub out_h: usize,
    /// Output columns.
    pub out_w: usize,
}

impl ConvGeometry {
    /// An ungrouped convolution of `batch` images of `size` with stride 1, dilation 1 and no padding; see the `with_…`
    /// methods for the rest.
    pub fn new(batch: usize, size: [usize; 2], c_in: usize, c_out: usize, kernel: [usize; 2]) -> Self {
        let mut geometry = Self {
            batch,
            in_h: size[0],
            in_w: size[1],
            c_in,
            c_out,
            kernel,
            stride: [1; 2],
            padding: [0; 2],
            dilation: [1; 2],
            groups: 1,
            out_h: 0,
            out_w: 0,
        };
        geometry.infer_output();
        geometry
    }

    /// The same with another stride.
    pub fn with_stride(mut self, stride: [usize; 2]) -> Self {
        self.stride = stride;
        self.infer_output();
        self
    }

    /// The same with `padding` zeros on both sides of each axis.
    pub fn with_padding(mut self, padding: [usize; 2]) -> Self {
        self.padding = padding;
        self.infer_output();
        self
    }

    /// The same with another dilation.
    pub fn with_dilation(mut self, dilation: [usize; 2]) -> Self {
        self.dilation = dilation;
        self.infer_output();
        self
    }

    /// The same with `groups` groups of channels.
    pub fn with_groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Output size of the usual formula, `⌊(in + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1` (0 if it does not fit).
    fn infer_output(&mut self) {
        let size = |input: usize, axis: usize| {
            let span = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            (input + 2 * self.padding[axis]).checked_sub(span).map_or(0, |room| room / self.stride[axis] + 1)
        };
        (self.out_h, self.out_w) = (size(self.in_h, 0), size(self.in_w, 1));
    }

    /// Floating-point operations of one pass (forward, or either gradient), a multiply-add counted as two, zeros of the
    /// padding counted too.
    pub fn flops(&self) -> usize {
        2 * self.batch * self.out_h * self.out_w * self.weight_len()
    }

    /// Numbers in the input (NHWC).
    pub fn input_len(&self) -> usize {
        self.batch * self.in_h * self.in_w * self.c_in
    }

    /// Numbers in the output (NHWC).
    pub fn output_len(&self) -> usize {
        self.batch * self.out_h * self.out_w * self.c_out
    }

    /// Numbers in the weights (`[c_out, c_in / groups, kernel_h, kernel_w]`).
    pub fn weight_len(&self) -> usize {
        self.c_out * (self.c_in / self.groups) * self.kernel[0] * self.kernel[1]
    }

    /// Whether every channel is a group of its own with one output.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.c_in && self.c_in == self.c_out
    }

    /// Refuses what no convolution can have. Shape rules with messages for users live with the operation; this guards the
    /// kernels' memory safety.
    pub(crate) fn check(&self) {
        assert!(
            self.groups > 0
                && self.c_in.is_multiple_of(self.groups)
                && self.c_out.is_multiple_of(self.groups),
            "convolution geometry: {} groups do not divide {} input and {} output channels",
            self.groups,
            self.c_in,
            self.c_out
        );
        for axis in 0..2 {
            assert!(
                self.stride[axis] > 0 && self.dilation[axis] > 0 && self.kernel[axis] > 0,
                "convolution geometry: stride, dilation and kernel must be at least 1: {self:?}"
            );
        }
    }

    /// Phases of the output rows (axis 0) or columns (axis 1) of the forward convolution.
    pub(crate) fn forward_axis(&self, axis: usize) -> SmallVec<[AxisPhase; 2]> {
        let (source, len) = [(self.in_h, self.out_h), (self.in_w, self.out_w)][axis];
        let taps = (0..self.kernel[axis])
            .map(|k| (k, (k * self.dilation[axis]) as isize - self.padding[axis] as isize))
            .collect::<SmallVec<[_; 4]>>();
        SmallVec::from_iter([AxisPhase::new(0, 1, len, self.stride[axis], source, &taps)])
    }

    /// Phases of the input rows or columns of the data gradient. Tap indices count from the filter's far end, so that they
    /// ascend with the position they read.
    pub(crate) fn gradient_axis(&self, axis: usize) -> SmallVec<[AxisPhase; 2]> {
        let (source, len) = [(self.out_h, self.in_h), (self.out_w, self.in_w)][axis];
        let (kernel, stride) = (self.kernel[axis], self.stride[axis] as isize);
        (0..self.stride[axis].min(len))
            .map(|residue| {
                let taps = (0..kernel)
                    .rev()
                    .filter_map(|k| {
                        let at = (residue + self.padding[axis]) as isize - (k * self.dilation[axis]) as isize;
                        (at.rem_euclid(stride) == 0).then(|| (kernel - 1 - k, at.div_euclid(stride)))
                    })
                    .collect::<SmallVec<[_; 4]>>();
                let len = (len - residue).div_ceil(self.stride[axis]);
                AxisPhase::new(residue, self.stride[axis], len, 1, source, &taps)
            })
            .collect()
    }
}

/// Output positions `start + i · step` for `i` in `0..len`, each the sum over `taps` of input position `i · source_step + offset`.
#[derive(Clone, Debug)]
pub(crate) struct AxisPhase {
    pub start: usize,
    pub step: usize,
    pub len: usize,
    pub source_step: usize,
    pub taps: SmallVec<[AxisTap; 4]>,
}

/// One tap of an [`AxisPhase`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct AxisTap {
    /// Index in the packed filter.
    pub index: usize,
    /// Input position for `i = 0`.
    pub offset: isize,
    /// The `i` whose input position exists: `from..to`.
    pub from: usize,
    pub to: usize,
}

impl AxisTap {
    /// The input position for output position `i` of the phase, one of `from..to`.
    pub(crate) fn line(&self, phase: &AxisPhase, i: usize) -> usize {
        ((i * phase.source_step) as isize + self.offset) as usize
    }
}

impl AxisPhase {
    fn new(
        start: usize,
        step: usize,
        len: usize,
        source_step: usize,
        source: usize,
        taps: &[(usize, isize)],
    ) -> Self {
        let first_at_or_after = |position: isize| {
            // Smallest i ≥ 0 with i · source_step ≥ position, at most len.
            (position.max(0) as usize).div_ceil(source_step).min(len)
        };
        let taps = taps
            .iter()
            .map(|&(index, offset)| {
                let from = first_at_or_after(-offset);
                let to = first_at_or_after(source as isize - offset).max(from);
                AxisTap { index, offset, from, to }
            })
            .collect();
        Self { start, step, len, source_step, taps }
    }

    /// The `i` for which every tap's input exists (possibly empty: `from ≥ to`).
    pub(crate) fn interior(&self) -> (usize, usize) {
        let from = self.taps.iter().map(|t| t.from).max().unwrap_or(0);
        let to = self.taps.iter().map(|t| t.to).min().unwrap_or(self.len);
        (from, to)
    }

    /// Whether the taps read neighbouring positions with neighbouring weights, so that they can be read as one long tap.
    pub(crate) fn is_contiguous(&self) -> bool {
        self.taps.len() > 1
            && self.taps.windows(2).all(|t| t[1].offset == t[0].offset + 1 && t[1].index == t[0].index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_sizes_follow_the_formula() {
        let g = ConvGeometry::new(1, [360, 640], 3, 13, [3, 3]).with_stride([2, 2]).with_padding([1, 1]);
        assert_eq!((g.out_h, g.out_w), (180, 320));
        let g = ConvGeometry::new(1, [45, 80], 64, 64, [3, 3]).with_padding([17, 17]).with_dilation([17, 17]);
        assert_eq!((g.out_h, g.out_w), (45, 80));
        let g = ConvGeometry::new(1, [2, 2], 1, 1, [3, 3]);
        assert_eq!((g.out_h, g.out_w), (0, 0));
    }

    #[test]
    fn gradient_phases_invert_the_forward_map() {
        for (input, kernel, stride, padding, dilation) in
            [(7, 3, 1, 1, 1), (8, 3, 2, 1, 1), (9, 2, 2, 0, 1), (11, 4, 3, 2, 2), (5, 1, 3, 0, 1)]
        {
            let g = ConvGeometry::new(1, [input, 1], 1, 1, [kernel, 1])
                .with_stride([stride, 1])
                .with_padding([padding, 0])
                .with_dilation([dilation, 1]);
            let mut wanted = Vec::new();
            for out in 0..g.out_h {
                for k in 0..kernel {
                    let at = (out * stride + k * dilation) as isize - padding as isize;
                    if (0..input as isize).contains(&at) {
                        wanted.push((at as usize, k, out));
                    }
                }
            }
            let mut found = Vec::new();
            for phase in g.gradient_axis(0) {
                for tap in &phase.taps {
                    for i in tap.from..tap.to {
                        let out = (i * phase.source_step) as isize + tap.offset;
                        found.push((phase.start + i * phase.step, kernel - 1 - tap.index, out as usize));
                    }
                }
            }
            wanted.sort();
            found.sort();
            assert_eq!(found, wanted);
        }
    }
}

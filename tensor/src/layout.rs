//! How a tensor's elements lie in its buffer: dims, strides, offset. Channels-last is nothing but strides.

use smallvec::SmallVec;

use crate::meta::count;

/// Sizes (or strides, or axes), inline up to six axes.
pub type Dims = SmallVec<[usize; 6]>;

/// The two dense orders in which operations write their results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Row-major: the last axis is adjacent in memory (N, C, H, W).
    Contiguous,
    /// Rank 4 with the channel axis adjacent in memory (N, H, W, C); other ranks as `Contiguous`.
    ChannelsLast,
}

/// Dims, strides and offset, all in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    dims: Dims,
    strides: Dims,
    offset: usize,
}

impl Layout {
    /// A dense layout of `dims` in the given format.
    pub fn dense(dims: &[usize], format: Format) -> Self {
        let mut strides: Dims = SmallVec::from_elem(0, dims.len());
        let mut stride = 1;
        for axis in order(dims.len(), format).into_iter().rev() {
            strides[axis] = stride;
            stride = usize::saturating_mul(stride, dims[axis].max(1));
        }
        Self { dims: dims.into(), strides, offset: 0 }
    }

    /// A row-major layout.
    pub fn contiguous(dims: &[usize]) -> Self {
        Self::dense(dims, Format::Contiguous)
    }

    /// Size along each axis.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Step in the buffer for one step along each axis, in elements.
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// Position of the first element in the buffer, in elements.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        count(&self.dims)
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// One past the last buffer position that the layout reaches; `usize::MAX` where it is larger.
    pub fn end(&self) -> usize {
        if self.is_empty() {
            return self.offset;
        }
        let reach = self.dims.iter().zip(&self.strides).map(|(d, s)| (d - 1).saturating_mul(*s));
        reach.fold(self.offset.saturating_add(1), usize::saturating_add)
    }

    /// Whether the elements lie densely in the order of `format` (axes of size 1 do not matter; nothing is
    /// dense in every order).
    pub fn is_dense(&self, format: Format) -> bool {
        if self.is_empty() {
            return true;
        }
        let mut stride = 1;
        for axis in order(self.rank(), format).into_iter().rev() {
            if self.dims[axis] != 1 {
                if self.strides[axis] != stride {
                    return false;
                }
                stride *= self.dims[axis];
            }
        }
        true
    }

    /// The dense format in which results computed from this operand are best written: channels-last where
    /// it (or what it is a slice of) is channels-last and not row-major as well.
    pub fn preferred_format(&self) -> Format {
        if self.rank() != 4 || self.is_dense(Format::Contiguous) {
            return Format::Contiguous;
        }
        // Strides from the outermost axis in; axes of size 1 say nothing.
        let mut outer = usize::MAX;
        for axis in order(4, Format::ChannelsLast).into_iter().filter(|&axis| self.dims[axis] != 1) {
            if self.strides[axis] >= outer || self.strides[axis] == 0 {
                return Format::Contiguous;
            }
            outer = self.strides[axis];
        }
        // Channels-last and row-major orders are told apart by the place of the channels.
        if self.dims[1] != 1 && self.dims[2] * self.dims[3] != 1 {
            Format::ChannelsLast
        } else {
            Format::Contiguous
        }
    }

    /// The axes reordered: axis `i` of the result is axis `axes[i]` of `self`. `axes` must be a permutation.
    pub fn permute(&self, axes: &[usize]) -> Self {
        Self {
            dims: axes.iter().map(|&a| self.dims[a]).collect(),
            strides: axes.iter().map(|&a| self.strides[a]).collect(),
            offset: self.offset,
        }
    }

    /// The layout repeated along axes of size 1, and along new leading axes, without copying (stride 0).
    /// `dims` must be a shape that `self` broadcasts to.
    pub fn broadcast_to(&self, dims: &[usize]) -> Self {
        let lead = dims.len() - self.rank();
        let strides = (0..dims.len())
            .map(|i| if i < lead || self.dims[i - lead] != dims[i] { 0 } else { self.strides[i - lead] })
            .collect();
        Self { dims: dims.into(), strides, offset: self.offset }
    }

    /// `len` elements along `axis` from `start`, every `step`-th. Must lie within the axis.
    pub fn slice(&self, axis: usize, start: usize, len: usize, step: usize) -> Self {
        let mut out = self.clone();
        out.dims[axis] = len;
        out.strides[axis] *= step;
        // Where nothing is left, the place of the first element may lie outside the buffer.
        out.offset = if out.is_empty() { 0 } else { self.offset + start * self.strides[axis] };
        out
    }

    /// The same elements in row-major order seen with other dims, where strides can express that.
    pub fn reshape(&self, dims: &[usize]) -> Option<Self> {
        if self.len() != count(dims) {
            return None;
        }
        if self.is_empty() {
            return Some(Self { offset: self.offset, ..Self::contiguous(dims) });
        }
        // Runs of old axes that are adjacent in memory, as (size, stride of the innermost).
        let mut runs: SmallVec<[(usize, usize); 6]> = SmallVec::new();
        for (&d, &s) in self.dims.iter().zip(&self.strides) {
            if d == 1 {
                continue;
            }
            match runs.last_mut() {
                Some((size, stride)) if *stride == s * d => (*size, *stride) = (*size * d, s),
                _ => runs.push((d, s)),
            }
        }
        // Cut each run into the new axes, from the innermost.
        let mut strides: Dims = SmallVec::from_elem(1, dims.len());
        let mut run = runs.pop().unwrap_or((1, 1));
        for (axis, &d) in dims.iter().enumerate().rev() {
            if d == 1 {
                strides[axis] = run.1;
                continue;
            }
            if run.0 == 1 {
                run = runs.pop()?;
            }
            if !run.0.is_multiple_of(d) {
                return None;
            }
            strides[axis] = run.1;
            run = (run.0 / d, run.1 * d);
        }
        Some(Self { dims: dims.into(), strides, offset: self.offset })
    }
}

/// The place of the element that is number `at` in row-major order.
pub(crate) fn place(mut at: usize, dims: &[usize]) -> Dims {
    let mut place = Dims::from_elem(0, dims.len());
    for (i, &d) in place.iter_mut().zip(dims).rev() {
        (*i, at) = (at % d, at / d);
    }
    place
}

/// The axes from the outermost to the innermost in memory.
pub(crate) fn order(rank: usize, format: Format) -> SmallVec<[usize; 6]> {
    match (format, rank) {
        (Format::ChannelsLast, 4) => SmallVec::from_slice(&[0, 2, 3, 1]),
        _ => (0..rank).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_strides() {
        let l = Layout::dense(&[2, 3, 4, 5], Format::ChannelsLast);
        assert_eq!(l.strides(), [60, 1, 15, 3]);
        assert!(l.is_dense(Format::ChannelsLast) && !l.is_dense(Format::Contiguous));
        assert_eq!(l.preferred_format(), Format::ChannelsLast);
        assert_eq!(l.slice(1, 1, 2, 1).preferred_format(), Format::ChannelsLast);
        assert_eq!(l.slice(2, 1, 2, 2).preferred_format(), Format::ChannelsLast);
        assert_eq!(
            Layout::contiguous(&[2, 3, 4, 5]).slice(3, 0, 2, 1).preferred_format(),
            Format::Contiguous
        );
        assert_eq!(Layout::contiguous(&[2, 3, 4]).strides(), [12, 4, 1]);
        assert_eq!(l.end(), 120);
    }

    #[test]
    fn reshape_follows_memory() {
        let l = Layout::contiguous(&[2, 6, 4]);
        assert_eq!(l.reshape(&[12, 4]).unwrap().strides(), [4, 1]);
        assert_eq!(l.reshape(&[2, 2, 3, 4]).unwrap().strides(), [24, 12, 4, 1]);
        let t = l.permute(&[0, 2, 1]);
        assert!(t.reshape(&[2, 24]).is_none());
        assert_eq!(t.reshape(&[2, 4, 3, 2]).unwrap().strides(), [24, 1, 8, 4]);
        let nhwc = Layout::dense(&[1, 3, 4, 5], Format::ChannelsLast);
        assert_eq!(nhwc.reshape(&[1, 3, 20]).unwrap().strides()[1..], [1, 3]);
    }

    #[test]
    fn slices_and_broadcasts() {
        let l = Layout::contiguous(&[4, 5]).slice(1, 1, 2, 2);
        assert_eq!((l.offset(), l.dims(), l.strides()), (1, &[4, 2][..], &[5, 2][..]));
        let b = Layout::contiguous(&[3, 1]).broadcast_to(&[2, 3, 4]);
        assert_eq!(b.strides(), [0, 1, 0]);
    }
}

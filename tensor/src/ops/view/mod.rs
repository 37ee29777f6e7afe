//! Views: operations that only change a layout. They run without a kernel, on every device
//! ([`crate::execute`] does them), except a reshape that strides can not express, which copies first.

use smallvec::SmallVec;

use crate::{
    Cost, Dims, Error, Layout, Meta, OpDef, Result,
    meta::count,
    op::{one, operands},
};

/// The same elements, in row-major order, with other dims.
#[derive(Debug, Clone, PartialEq)]
pub struct Reshape {
    /// New dims; the product must stay the same.
    pub dims: Dims,
}

/// Axes reordered: axis `i` of the result is axis `axes[i]` of the operand.
#[derive(Debug, Clone, PartialEq)]
pub struct Permute {
    /// A permutation of the operand's axes.
    pub axes: Dims,
}

/// Axes of size 1, and new leading axes, repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct BroadcastTo {
    /// Dims of the result.
    pub dims: Dims,
}

/// `len` elements from `start`, every `step`-th.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First element.
    pub start: usize,
    /// Number of elements.
    pub len: usize,
    /// Distance between elements, at least 1.
    pub step: usize,
}

impl Span {
    /// A whole axis of `len` elements.
    pub fn all(len: usize) -> Self {
        Self { start: 0, len, step: 1 }
    }

    /// Whether it lies within an axis of `size` elements.
    pub fn fits(&self, size: usize) -> bool {
        let last = || self.len.saturating_sub(1).checked_mul(self.step)?.checked_add(self.start);
        self.step > 0 && (self.len == 0 || last().is_some_and(|last| last < size))
    }
}

/// A strided window: one [`Span`] for each axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// One for each axis.
    pub spans: SmallVec<[Span; 4]>,
}

impl OpDef for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands("reshape", ins)?;
        if x.len() != count(&self.dims) {
            let rule = format!("{:?} has another number of elements", &self.dims[..]);
            return Err(Error::shape("reshape", ins, rule));
        }
        one(Meta::new(self.dims.clone(), x.dtype))
    }

    fn cost(&self, _: &[Meta], _: &[Meta]) -> Cost {
        Cost::default()
    }
}

impl OpDef for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands("permute", ins)?;
        let mut sorted = self.axes.clone();
        sorted.sort_unstable();
        if sorted.len() != x.rank() || sorted.iter().enumerate().any(|(i, &a)| i != a) {
            let rule = format!("{:?} is no permutation of the operand's {} axes", &self.axes[..], x.rank());
            return Err(Error::shape("permute", ins, rule));
        }
        one(Meta::new(self.axes.iter().map(|&a| x.dims[a]).collect::<Dims>(), x.dtype))
    }

    fn cost(&self, _: &[Meta], _: &[Meta]) -> Cost {
        Cost::default()
    }
}

impl OpDef for BroadcastTo {
    fn name(&self) -> &'static str {
        "broadcast_to"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands("broadcast_to", ins)?;
        let fits = self.dims.len() >= x.rank()
            && x.dims.iter().rev().zip(self.dims.iter().rev()).all(|(&from, &to)| from == to || from == 1);
        if !fits {
            let rule = format!("does not broadcast to {:?}", &self.dims[..]);
            return Err(Error::shape("broadcast_to", ins, rule));
        }
        one(Meta::new(self.dims.clone(), x.dtype))
    }

    fn cost(&self, _: &[Meta], _: &[Meta]) -> Cost {
        Cost::default()
    }
}

impl OpDef for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands("slice", ins)?;
        check_spans("slice", ins, &self.spans, &x.dims)?;
        one(Meta::new(self.spans.iter().map(|s| s.len).collect::<Dims>(), x.dtype))
    }

    fn cost(&self, _: &[Meta], _: &[Meta]) -> Cost {
        Cost::default()
    }
}

/// Fails unless there is one span for each of `dims` and all lie within.
pub(crate) fn check_spans(op: &'static str, ins: &[Meta], spans: &[Span], dims: &[usize]) -> Result<()> {
    if spans.len() != dims.len() {
        let rule = format!("wants one span for each of {} axes, got {}", dims.len(), spans.len());
        return Err(Error::shape(op, ins, rule));
    }
    for (axis, (span, &size)) in spans.iter().zip(dims).enumerate() {
        if !span.fits(size) {
            let Span { start, len, step } = span;
            let rule = format!("{len} elements from {start} by {step} leave axis {axis} of size {size}");
            return Err(Error::shape(op, ins, rule));
        }
    }
    Ok(())
}

impl Slice {
    /// The layout of the window within `layout`.
    pub(crate) fn view(&self, layout: &Layout) -> Layout {
        let spans = self.spans.iter().enumerate();
        spans.fold(layout.clone(), |l, (axis, s)| l.slice(axis, s.start, s.len, s.step))
    }

    /// A window of `len` from `start` along one axis, the other axes whole; none where there is no such axis.
    pub fn along(dims: &[usize], axis: usize, start: usize, len: usize) -> Option<Self> {
        let mut spans: SmallVec<[Span; 4]> = dims.iter().map(|&d| Span::all(d)).collect();
        *spans.get_mut(axis)? = Span { start, len, step: 1 };
        Some(Self { spans })
    }
}

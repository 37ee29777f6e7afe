//! Pooling over windows. Max pooling keeps the place of each maximum as a window-local u8 offset
//! (`row · kw + column`), so that unpooling and the pool's gradient are deterministic gathers:
//! [`PoolGather`] and [`MaxUnpool2d`] are adjoint linear maps for a given index.

mod cpu;

use smallvec::{SmallVec, smallvec};

use crate::{
    Cost, DType, Error, Meta, OpDef, Result,
    op::{one, operands, rank, same_float},
};

/// A pooling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// (rows, columns).
    pub kernel: [usize; 2],
    /// Step, (vertical, horizontal).
    pub stride: [usize; 2],
    /// Padding on each side, (vertical, horizontal); at most half the kernel, so that no window is empty.
    pub padding: [usize; 2],
}

/// Max pooling over `[N, C, H, W]`. Results: the maxima `[N, C, Ho, Wo]`, `Ho = ⌊(H + 2p − k) / s⌋ + 1`, and
/// the window-local place of each as u8. The first maximum in row-major order wins; NaN wins over numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxPool2d {
    /// The window; its area is at most 256.
    pub window: Window,
}

/// Picks from each window of `x` `[N, C, H, W]` the place that a u8 index `[N, C, Ho, Wo]` names.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolGather {
    /// The window.
    pub window: Window,
}

/// Max unpooling, the adjoint of [`PoolGather`]: `y` `[N, C, Ho, Wo]` put back, at the places that the u8 index
/// names, into zeros of `size`. Where overlapping windows name one place their values add up (PyTorch leaves
/// the result open there).
#[derive(Debug, Clone, PartialEq)]
pub struct MaxUnpool2d {
    /// The window of the pooling.
    pub window: Window,
    /// (H, W) of the result: the size that was pooled.
    pub size: [usize; 2],
}

/// Average pooling over `[N, C, H, W]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AvgPool2d {
    /// The window.
    pub window: Window,
    /// Whether padding counts in the divisor.
    pub count_padding: bool,
}

/// The adjoint of [`AvgPool2d`]: each value spread evenly over its window, into zeros of `size`.
#[derive(Debug, Clone, PartialEq)]
pub struct AvgPool2dInput {
    /// The pooling.
    pub pool: AvgPool2d,
    /// (H, W) of the result: the size that was pooled.
    pub size: [usize; 2],
}

impl Window {
    /// A square window that moves by its own size.
    pub fn square(size: usize) -> Self {
        Self { kernel: [size; 2], stride: [size; 2], padding: [0; 2] }
    }

    /// Size of the pooled map for an input of `size`, or `None` where no window fits.
    pub fn output_size(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let mut out = [0; 2];
        for a in 0..2 {
            out[a] = (size[a] + 2 * self.padding[a]).checked_sub(self.kernel[a])? / self.stride[a] + 1;
        }
        Some(out)
    }

    fn check(&self, op: &'static str, ins: &[Meta]) -> Result<()> {
        if self.kernel.contains(&0) || self.stride.contains(&0) {
            return Err(Error::shape(op, ins, "kernel and stride must be at least 1"));
        }
        if (0..2).any(|a| 2 * self.padding[a] > self.kernel[a]) {
            return Err(Error::shape(op, ins, "padding must be at most half the kernel"));
        }
        Ok(())
    }

    /// The pooled meta of `ins[0]`.
    fn pooled(&self, op: &'static str, ins: &[Meta]) -> Result<Meta> {
        self.check(op, ins)?;
        same_float(op, &ins[..1])?;
        rank(op, ins, 0, 4, "[N, C, H, W]")?;
        let x = &ins[0];
        if x.dims[2] == 0 || x.dims[3] == 0 {
            return Err(Error::shape(op, ins, "can not pool an empty map"));
        }
        let Some([h, w]) = self.output_size([x.dims[2], x.dims[3]]) else {
            return Err(Error::shape(op, ins, format!("a window of {:?} does not fit", self.kernel)));
        };
        Ok(Meta::new(&[x.dims[0], x.dims[1], h, w][..], x.dtype))
    }

    /// The meta of an input of `size` that pools to `ins[0]`.
    fn unpooled(&self, op: &'static str, ins: &[Meta], size: [usize; 2]) -> Result<Meta> {
        self.check(op, ins)?;
        same_float(op, &ins[..1])?;
        rank(op, ins, 0, 4, "[N, C, Ho, Wo]")?;
        let y = &ins[0];
        if size.contains(&0) || self.output_size(size) != Some([y.dims[2], y.dims[3]]) {
            let rule = format!("{size:?} does not pool to the operand's size by {:?}", self.kernel);
            return Err(Error::shape(op, ins, rule));
        }
        Ok(Meta::new(&[y.dims[0], y.dims[1], size[0], size[1]][..], y.dtype))
    }
}

/// Fails unless a place in the window fits into a u8.
fn check_area(op: &'static str, ins: &[Meta], window: &Window) -> Result<()> {
    match window.kernel[0].checked_mul(window.kernel[1]) {
        Some(..=256) => Ok(()),
        _ => Err(Error::shape(op, ins, "the window's area is at most 256")),
    }
}

fn check_index(op: &'static str, ins: &[Meta], window: &Window, dims: &[usize]) -> Result<()> {
    check_area(op, ins, window)?;
    if ins[1].dtype != DType::U8 {
        return Err(Error::dtype(op, ins, "wants a u8 index as max_pool2d returns it"));
    }
    if ins[1].dims[..] != *dims {
        return Err(Error::shape(op, ins, format!("wants an index of dims {dims:?}")));
    }
    Ok(())
}

impl OpDef for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        operands::<1>("max_pool2d", ins)?;
        check_area("max_pool2d", ins, &self.window)?;
        let y = self.window.pooled("max_pool2d", ins)?;
        let index = Meta::new(y.dims.clone(), DType::U8);
        Ok(smallvec![y, index])
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        let flops = outs[0].len() * self.window.kernel[0] * self.window.kernel[1];
        Cost { flops: flops as u64, ..Cost::movement(ins, outs) }
    }
}

impl OpDef for PoolGather {
    fn name(&self) -> &'static str {
        "pool_gather"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        operands::<2>("pool_gather", ins)?;
        let y = self.window.pooled("pool_gather", ins)?;
        check_index("pool_gather", ins, &self.window, &y.dims)?;
        one(y)
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}

impl OpDef for MaxUnpool2d {
    fn name(&self) -> &'static str {
        "max_unpool2d"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        operands::<2>("max_unpool2d", ins)?;
        let x = self.window.unpooled("max_unpool2d", ins, self.size)?;
        check_index("max_unpool2d", ins, &self.window, &ins[0].dims)?;
        one(x)
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}

impl OpDef for AvgPool2d {
    fn name(&self) -> &'static str {
        "avg_pool2d"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        operands::<1>("avg_pool2d", ins)?;
        one(self.window.pooled("avg_pool2d", ins)?)
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::pointwise(ins, outs, (self.window.kernel[0] * self.window.kernel[1]) as u64)
    }
}

impl OpDef for AvgPool2dInput {
    fn name(&self) -> &'static str {
        "avg_pool2d_input"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        operands::<1>("avg_pool2d_input", ins)?;
        one(self.pool.window.unpooled("avg_pool2d_input", ins, self.size)?)
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost {
            flops: (ins[0].len() * self.pool.window.kernel.iter().product::<usize>()) as u64,
            ..Cost::movement(ins, outs)
        }
    }
}

//! Two-dimensional convolution, its transpose and its weight gradient. The three are closed under
//! differentiation: each one's derivatives are the other two.

mod cpu;

pub(crate) use cpu::geometry;

use smallvec::SmallVec;

use crate::{
    Cost, Error, Meta, OpDef, Result,
    op::{one, operands, rank, same_float},
};

/// Cross-correlation. Operands: `x` `[N, C, H, W]`, weight `[K, C/groups, kh, kw]` and, optionally, bias
/// `[K]`. Result `[N, K, Ho, Wo]`, `Ho = ⌊(H + 2p − d(kh − 1) − 1) / s⌋ + 1`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv2d {
    /// Step of the window, (vertical, horizontal).
    pub stride: [usize; 2],
    /// Zeros on each side, (vertical, horizontal).
    pub padding: [usize; 2],
    /// Distance between taps, (vertical, horizontal).
    pub dilation: [usize; 2],
    /// Channel groups; divides C and K.
    pub groups: usize,
}

/// The transpose (data gradient) of [`Conv2d`] with the same parameters. Operands: `x` `[N, C, H, W]`, weight
/// `[C, K/groups, kh, kw]` and, optionally, bias `[K]`. Result `[N, K, Ho, Wo]`,
/// `Ho = (H − 1)s − 2p + d(kh − 1) + 1 + output padding`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvTranspose2d {
    /// The convolution of which this is the transpose; its padding removes pixels here.
    pub conv: Conv2d,
    /// Additional rows and columns at the bottom and right; smaller than stride or dilation.
    pub output_padding: [usize; 2],
}

/// The weight gradient of [`Conv2d`]. Operands: `x` `[N, C, H, W]` and the gradient `[N, K, Ho, Wo]` of the
/// result. Result `[K, C/groups, kh, kw]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv2dWeight {
    /// The convolution.
    pub conv: Conv2d,
    /// (kh, kw).
    pub kernel: [usize; 2],
}

impl Default for Conv2d {
    fn default() -> Self {
        Self { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 }
    }
}

impl Conv2d {
    /// Fails where a stride, dilation or group count is 0.
    fn check(&self, op: &'static str, ins: &[Meta]) -> Result<()> {
        if self.stride.contains(&0) || self.dilation.contains(&0) || self.groups == 0 {
            return Err(Error::shape(op, ins, "stride, dilation and groups must be at least 1"));
        }
        Ok(())
    }

    /// Size of the result for an input of `size`, or `None` where the window does not fit.
    pub fn output_size(&self, size: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let mut out = [0; 2];
        for a in 0..2 {
            let reach = self.dilation[a].checked_mul(kernel[a].checked_sub(1)?)?.checked_add(1)?;
            let padded = self.padding[a].checked_mul(2)?.checked_add(size[a])?;
            out[a] = padded.checked_sub(reach)? / self.stride[a] + 1;
        }
        Some(out)
    }
}

impl ConvTranspose2d {
    /// Size of the result for an input of `size`, or `None` where the padding removes everything.
    pub fn output_size(&self, size: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let mut out = [0; 2];
        for a in 0..2 {
            let first = size[a].checked_sub(1)?.checked_mul(self.conv.stride[a])?;
            let reach = self.conv.dilation[a].checked_mul(kernel[a].checked_sub(1)?)?;
            let full = first.checked_add(reach)?.checked_add(self.output_padding[a])?.checked_add(1)?;
            out[a] = full.checked_sub(self.conv.padding[a].checked_mul(2)?).filter(|&o| o > 0)?;
        }
        Some(out)
    }
}

/// Fails where there are no channels to read or to make.
fn some_channels(op: &'static str, ins: &[Meta], channels: &[usize]) -> Result<()> {
    if channels.contains(&0) {
        return Err(Error::shape(op, ins, "wants one input and one output channel at least"));
    }
    Ok(())
}

/// Splits off an optional bias and checks it against `channels(weight)`.
fn with_bias<'a>(
    op: &'static str,
    ins: &'a [Meta],
    channels: impl Fn(&Meta) -> usize,
) -> Result<(&'a Meta, &'a Meta)> {
    let (x, w) = match ins {
        [x, w] => (x, w),
        [x, w, bias] => {
            if bias.dims[..] != [channels(w)] {
                let rule = format!("wants a bias of dims [{}]", channels(w));
                return Err(Error::shape(op, ins, rule));
            }
            (x, w)
        }
        _ => return Err(Error::shape(op, ins, "wants input, weight and an optional bias")),
    };
    same_float(op, ins)?;
    Ok((x, w))
}

impl OpDef for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let op = self.name();
        self.check(op, ins)?;
        if ins.len() >= 2 {
            rank(op, ins, 0, 4, "[N, C, H, W]")?;
            rank(op, ins, 1, 4, "[K, C/groups, kh, kw]")?;
        }
        let (x, w) = with_bias(op, ins, |w| w.dims[0])?;
        some_channels(op, ins, &w.dims[..2])?;
        if Some(x.dims[1]) != w.dims[1].checked_mul(self.groups) {
            let (has, wants, g) = (x.dims[1], w.dims[1].saturating_mul(self.groups), self.groups);
            let rule =
                format!("input has {has} channels, weight {:?} with {g} groups wants {wants}", &w.dims[..]);
            return Err(Error::shape(op, ins, rule));
        }
        if w.dims[0] % self.groups != 0 {
            let rule = format!("{} output channels do not split into {} groups", w.dims[0], self.groups);
            return Err(Error::shape(op, ins, rule));
        }
        let Some([h, wd]) = self.output_size([x.dims[2], x.dims[3]], [w.dims[2], w.dims[3]]) else {
            return Err(Error::shape(op, ins, "the (dilated) kernel does not fit into the padded input"));
        };
        one(Meta::new(&[x.dims[0], w.dims[0], h, wd][..], x.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::macs(ins, outs, (outs[0].len() * ins[1].dims[1..].iter().product::<usize>()) as u64)
    }
}

impl OpDef for ConvTranspose2d {
    fn name(&self) -> &'static str {
        "conv_transpose2d"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let op = self.name();
        self.conv.check(op, ins)?;
        if ins.len() >= 2 {
            rank(op, ins, 0, 4, "[N, C, H, W]")?;
            rank(op, ins, 1, 4, "[C, K/groups, kh, kw]")?;
        }
        let groups = self.conv.groups;
        let (x, w) = with_bias(op, ins, |w| w.dims[1].saturating_mul(groups))?;
        some_channels(op, ins, &w.dims[..2])?;
        if x.dims[1] != w.dims[0] || w.dims[0] % groups != 0 {
            let rule = format!(
                "input has {} channels, weight {:?} with {groups} groups wants {}",
                x.dims[1],
                &w.dims[..],
                w.dims[0]
            );
            return Err(Error::shape(op, ins, rule));
        }
        for a in 0..2 {
            if self.output_padding[a] >= self.conv.stride[a].max(self.conv.dilation[a]) {
                return Err(Error::shape(op, ins, "output padding must be smaller than stride or dilation"));
            }
        }
        let Some([h, wd]) = self.output_size([x.dims[2], x.dims[3]], [w.dims[2], w.dims[3]]) else {
            return Err(Error::shape(op, ins, "the padding removes the whole result"));
        };
        one(Meta::new(&[x.dims[0], w.dims[1].saturating_mul(groups), h, wd][..], x.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::macs(ins, outs, (ins[0].len() * ins[1].dims[1..].iter().product::<usize>()) as u64)
    }
}

impl OpDef for Conv2dWeight {
    fn name(&self) -> &'static str {
        "conv2d_weight"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let op = self.name();
        let [x, g] = operands(op, ins)?;
        self.conv.check(op, ins)?;
        same_float(op, ins)?;
        rank(op, ins, 0, 4, "[N, C, H, W]")?;
        rank(op, ins, 1, 4, "[N, K, Ho, Wo]")?;
        let groups = self.conv.groups;
        some_channels(op, ins, &[x.dims[1], g.dims[1]])?;
        if x.dims[1] % groups != 0 || g.dims[1] % groups != 0 {
            return Err(Error::shape(op, ins, format!("channels do not split into {groups} groups")));
        }
        let size = self.conv.output_size([x.dims[2], x.dims[3]], self.kernel);
        if size != Some([g.dims[2], g.dims[3]]) || x.dims[0] != g.dims[0] {
            return Err(Error::shape(op, ins, "the gradient is not of the convolution's output shape"));
        }
        one(Meta::new(&[g.dims[1], x.dims[1] / groups, self.kernel[0], self.kernel[1]][..], x.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::macs(ins, outs, (ins[1].len() * outs[0].dims[1..].iter().product::<usize>()) as u64)
    }
}

//! Convolutions by our own kernels (`kernels/conv.cu`), for what cuDNN does not take: slower, but every geometry.

use tensor::{Format, Meta, Tensor};

use super::geometry::{int, ints};
use super::{Run, address, suffix};
use crate::dnn::{Direction, Problem};
use crate::error::Result;
use crate::runtime::Scalar;

/// `Conv` of the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Conv {
    /// n, c, h, w, k, oh, ow, kh, kw, then stride, padding and dilation (vertical, horizontal), and groups.
    sizes: [i32; 16],
    /// From one weight to the next along each of its axes.
    steps: [i64; 4],
}

// SAFETY: sixteen ints and four long longs, as the kernels declare them.
unsafe impl Scalar for Conv {}

/// As `conv::result`; no tensor is empty.
pub(super) fn own(run: &Run, problem: &Problem, [a, b]: [&Tensor; 2], out: &Meta) -> Result<Tensor> {
    let Problem {
        x: [n, c, h, w],
        w: [.., kh, kw],
        y: [_, k, oh, ow],
        stride,
        padding,
        dilation,
        groups,
        ..
    } = *problem;
    let [sh, sw, ph, pw, dh, dw] = [stride[0], stride[1], padding[0], padding[1], dilation[0], dilation[1]];
    let sizes = ints(run, [n, c, h, w, k, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw, groups])?;
    let y = run.empty(&out.dims, out.dtype, Format::ChannelsLast)?;
    int(run, y.len())?;
    let steps = |weight: &Tensor| std::array::from_fn(|axis| weight.layout().strides()[axis] as i64);
    let a = run.dense(a, Format::ChannelsLast)?;
    let dtype = suffix(out.dtype);
    let none = 0_u64;
    match problem.direction {
        Direction::Forward | Direction::Data => {
            let name = if problem.direction == Direction::Forward { "conv" } else { "conv_input" };
            run.kernel("conv", &format!("{name}_{dtype}"))?
                .over(y.len())
                .arg(address(&a)?)
                .arg(address(b)?)
                .arg(none)
                .arg(address(&y)?)
                .arg(Conv { sizes, steps: steps(b) })
                .arg(y.len() as i64)
                .run()?;
        }
        Direction::Filter => {
            let b = run.dense(b, Format::ChannelsLast)?;
            run.kernel("conv", &format!("conv_weight_{dtype}"))?
                .grid([y.len().min(1 << 16) as u32, 1, 1])
                .arg(address(&a)?)
                .arg(address(&b)?)
                .arg(address(&y)?)
                .arg(Conv { sizes, steps: steps(&y) })
                .run()?;
        }
    }
    Ok(y)
}

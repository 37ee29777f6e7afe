//! Resizing of channels-last maps and its adjoint: `kernels/resize.cu`.

use tensor::ops::{Interpolation, Resize2d, Resize2dInput};
use tensor::{Format, Meta, Tensor};

use super::geometry::{int, ints};
use super::{Run, address, suffix};
use crate::error::Result;
use crate::runtime::Scalar;

const NHWC: Format = Format::ChannelsLast;

/// `Resize` of the kernels: n, c, h, w, oh, ow; how; and the distance in the map between neighbours of the resized one.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Geometry {
    sizes: [i32; 6],
    bilinear: i32,
    align_corners: i32,
    scale: [f64; 2],
}

// SAFETY: the same fields in the same order as in `kernels/resize.cu`, without padding.
unsafe impl Scalar for Geometry {}

impl Geometry {
    /// From the dims of the map and of the resized one.
    fn new(run: &Run, op: &Resize2d, map: &[usize], resized: &[usize]) -> Result<Self> {
        let sizes = ints(run, [map[0], map[1], map[2], map[3], resized[2], resized[3]])?;
        int(run, map.iter().product::<usize>().max(resized.iter().product()))?;
        let scale = [2, 3].map(|a| match (op.align_corners, resized[a] - 1) {
            (false, _) => map[a] as f64 / resized[a] as f64,
            (true, 0) => 0.0,
            (true, last) => (map[a] - 1) as f64 / last as f64,
        });
        let bilinear = i32::from(op.mode == Interpolation::Bilinear);
        Ok(Self { sizes, bilinear, align_corners: op.align_corners.into(), scale })
    }
}

pub(crate) fn resize(run: &Run, op: &Resize2d, x: &Tensor, out: &Meta) -> Result<Tensor> {
    let x = run.dense(x, NHWC)?;
    let geometry = Geometry::new(run, op, x.dims(), &out.dims)?;
    launch(run, "resize", &x, out, geometry)
}

pub(crate) fn resize_input(run: &Run, op: &Resize2dInput, g: &Tensor, out: &Meta) -> Result<Tensor> {
    let g = run.dense(g, NHWC)?;
    let geometry = Geometry::new(run, &op.resize, &out.dims, g.dims())?;
    launch(run, "resize_input", &g, out, geometry)
}

fn launch(run: &Run, kernel: &str, x: &Tensor, out: &Meta, geometry: Geometry) -> Result<Tensor> {
    let y = run.empty(&out.dims, out.dtype, NHWC)?;
    if y.is_empty() {
        return Ok(y);
    }
    run.kernel("resize", &format!("{kernel}_{}", suffix(x.dtype())))?
        .over(y.len())
        .arg(address(x)?)
        .arg(address(&y)?)
        .arg(geometry)
        .arg(y.len() as i64)
        .run()?;
    Ok(y)
}

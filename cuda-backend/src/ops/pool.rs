//! Pooling over channels-last maps: `kernels/pool.cu`.

use tensor::ops::{AvgPool2d, AvgPool2dInput, MaxPool2d, MaxUnpool2d, PoolGather, Window};
use tensor::{DType, Format, Meta, Tensor};

use super::geometry::{int, ints};
use super::{Run, address, suffix};
use crate::error::Result;
use crate::runtime::Scalar;

const NHWC: Format = Format::ChannelsLast;

/// `Pool` of the kernels: n, c, h, w, oh, ow, then kernel, stride and padding, vertical before horizontal.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Geometry([i32; 12]);

// SAFETY: twelve ints, as in `kernels/pool.cu`.
unsafe impl Scalar for Geometry {}

impl Geometry {
    /// From the dims of the large and of the pooled map.
    fn new(run: &Run, window: &Window, large: &[usize], pooled: &[usize]) -> Result<Self> {
        let Window { kernel: [kh, kw], stride: [sh, sw], padding: [ph, pw] } = *window;
        let sizes = [large[0], large[1], large[2], large[3], pooled[2], pooled[3], kh, kw, sh, sw, ph, pw];
        let all = ints(run, sizes)?;
        int(run, large.iter().product::<usize>().max(pooled.iter().product()))?;
        Ok(Self(all))
    }
}

/// What an index does that names no place.
fn outside(window: &Window) -> String {
    let [kh, kw] = window.kernel;
    format!("lies in the padding or outside of its {kh}×{kw} window")
}

/// The maxima and their places.
pub(crate) fn max_pool(run: &Run, op: &MaxPool2d, x: &Tensor, outs: &[Meta]) -> Result<[Tensor; 2]> {
    let x = run.dense(x, NHWC)?;
    let y = run.empty(&outs[0].dims, x.dtype(), NHWC)?;
    let index = run.empty(&outs[0].dims, DType::U8, NHWC)?;
    if !y.is_empty() {
        run.kernel("pool", &format!("max_pool_{}", suffix(x.dtype())))?
            .over(y.len())
            .arg(address(&x)?)
            .arg(address(&y)?)
            .arg(address(&index)?)
            .arg(Geometry::new(run, &op.window, x.dims(), y.dims())?)
            .arg(y.len() as i64)
            .run()?;
    }
    Ok([y, index])
}

pub(crate) fn pool_gather(
    run: &Run,
    op: &PoolGather,
    x: &Tensor,
    index: &Tensor,
    out: &Meta,
) -> Result<Tensor> {
    let (x, index) = (run.dense(x, NHWC)?, run.dense(index, NHWC)?);
    let y = run.empty(&out.dims, x.dtype(), NHWC)?;
    if y.is_empty() {
        return Ok(y);
    }
    let (fault, ticket) = run.fault("index", outside(&op.window), y.dims(), NHWC);
    run.kernel("pool", &format!("pool_gather_{}", suffix(x.dtype())))?
        .over(y.len())
        .arg(address(&x)?)
        .arg(address(&index)?)
        .arg(address(&y)?)
        .arg(Geometry::new(run, &op.window, x.dims(), y.dims())?)
        .arg(y.len() as i64)
        .arg(fault)
        .arg(ticket)
        .run()?;
    Ok(y)
}

pub(crate) fn max_unpool(
    run: &Run,
    op: &MaxUnpool2d,
    y: &Tensor,
    index: &Tensor,
    out: &Meta,
) -> Result<Tensor> {
    let (y, index) = (run.dense(y, NHWC)?, run.dense(index, NHWC)?);
    let x = run.empty(&out.dims, y.dtype(), NHWC)?;
    if x.is_empty() {
        return Ok(x);
    }
    let geometry = Geometry::new(run, &op.window, x.dims(), y.dims())?;
    let (fault, ticket) = run.fault("index", outside(&op.window), y.dims(), NHWC);
    run.kernel("pool", "check_pool_index")?
        .over(y.len())
        .arg(address(&index)?)
        .arg(geometry)
        .arg(y.len() as i64)
        .arg(fault)
        .arg(ticket)
        .run()?;
    run.kernel("pool", &format!("max_unpool_{}", suffix(y.dtype())))?
        .over(x.len())
        .arg(address(&y)?)
        .arg(address(&index)?)
        .arg(address(&x)?)
        .arg(geometry)
        .arg(x.len() as i64)
        .run()?;
    Ok(x)
}

pub(crate) fn avg_pool(run: &Run, op: &AvgPool2d, x: &Tensor, out: &Meta) -> Result<Tensor> {
    let x = run.dense(x, NHWC)?;
    let y = run.empty(&out.dims, x.dtype(), NHWC)?;
    let geometry = Geometry::new(run, &op.window, x.dims(), y.dims())?;
    average(run, "avg_pool", op, &x, y, geometry)
}

pub(crate) fn avg_pool_input(run: &Run, op: &AvgPool2dInput, g: &Tensor, out: &Meta) -> Result<Tensor> {
    let g = run.dense(g, NHWC)?;
    let x = run.empty(&out.dims, g.dtype(), NHWC)?;
    let geometry = Geometry::new(run, &op.pool.window, x.dims(), g.dims())?;
    average(run, "avg_pool_input", &op.pool, &g, x, geometry)
}

fn average(
    run: &Run,
    kernel: &str,
    op: &AvgPool2d,
    x: &Tensor,
    y: Tensor,
    geometry: Geometry,
) -> Result<Tensor> {
    if y.is_empty() {
        return Ok(y);
    }
    run.kernel("pool", &format!("{kernel}_{}", suffix(x.dtype())))?
        .over(y.len())
        .arg(address(x)?)
        .arg(address(&y)?)
        .arg(geometry)
        .arg(y.len() as i64)
        .arg(i32::from(op.count_padding))
        .run()?;
    Ok(y)
}

//! Batch normalisation in its pieces, over [pixels, channels]: `kernels/batch_norm.cu`.

use smallvec::{SmallVec, smallvec};
use tensor::ops::{BatchNorm, BatchNormApply, BatchNormInput, BatchNormReduce};
use tensor::{DType, Format, Outputs, Tensor};

use super::geometry::{empty_pixels, from_pixels, int, pixels};
use super::{Run, address, suffix};
use crate::error::Result;
use crate::memory::Memory;

/// Channels of a block that takes sums.
const COLUMNS: usize = 32;
/// Blocks that keep a device busy, and pixels below which a piece is not worth its block.
const BLOCKS: usize = 1024;
const PIECE: usize = 256;
/// Numbers for each channel that the kernels prepare.
const COEFFICIENTS: usize = 6;

/// A tensor as [pixels, channels], cut into pieces by its shape alone.
struct Cut {
    dtype: DType,
    pixels: usize,
    channels: usize,
    piece: usize,
}

impl Cut {
    /// For a tensor of dims `[N, C, …]`.
    fn new(run: &Run, x: &Tensor) -> Result<Self> {
        int(run, x.len())?;
        let channels = x.dims()[1];
        let pixels = x.len() / channels.max(1);
        let pieces = (BLOCKS / channels.div_ceil(COLUMNS).max(1)).clamp(1, pixels.div_ceil(PIECE).max(1));
        Ok(Self { dtype: x.dtype(), pixels, channels, piece: pixels.div_ceil(pieces).max(1) })
    }

    fn pieces(&self) -> usize {
        self.pixels.div_ceil(self.piece).max(1)
    }

    /// Grid and block of the kernels that make parts.
    fn launch(&self) -> ([u32; 3], [u32; 3]) {
        ([self.channels.div_ceil(COLUMNS) as u32, self.pieces() as u32, 1], [COLUMNS as u32, 8, 1])
    }

    fn parts(&self, run: &Run) -> Result<Memory> {
        run.scratch(2 * self.pieces() * self.channels * DType::F64.size())
    }

    /// Room for what values are normalised with.
    fn coefficients(&self, run: &Run) -> Result<Memory> {
        run.scratch(COEFFICIENTS * self.channels * self.wide().size())
    }

    /// The type of per-channel operands and results, which is the one computed in.
    fn wide(&self) -> DType {
        self.dtype.wide()
    }

    fn name(&self, kernel: &str) -> String {
        format!("bn_{kernel}_{}", suffix(self.dtype))
    }
}

/// Per-channel operands, dense.
fn vectors<const N: usize>(run: &Run, ins: [&Tensor; N]) -> Result<SmallVec<[Tensor; 6]>> {
    ins.into_iter().map(|t| run.dense(t, Format::Contiguous)).collect()
}

/// Mean and biased variance; with γ, β and eps also the coefficients.
fn statistics(
    run: &Run,
    cut: &Cut,
    x: &Tensor,
    affine: Option<(&Tensor, &Tensor, f64, &Memory)>,
) -> Result<[Tensor; 2]> {
    let new = || run.empty(&[cut.channels], cut.wide(), Format::Contiguous);
    let (mean, var) = (new()?, new()?);
    if cut.channels == 0 {
        return Ok([mean, var]);
    }
    let parts = cut.parts(run)?;
    let (grid, block) = cut.launch();
    run.kernel("batch_norm", &cut.name("stats_parts"))?
        .grid(grid)
        .block(block)
        .arg(address(x)?)
        .arg(parts.address())
        .arg(cut.pixels as i64)
        .arg(cut.channels as i32)
        .arg(cut.piece as i64)
        .run()?;
    let (gamma, beta, eps, coefficients) = match affine {
        Some((gamma, beta, eps, memory)) => (address(gamma)?, address(beta)?, eps, memory.address()),
        None => (0, 0, 0.0, 0),
    };
    run.kernel("batch_norm", &cut.name("stats_finish"))?
        .over(cut.channels)
        .arg(parts.address())
        .arg(address(&mean)?)
        .arg(address(&var)?)
        .arg(gamma)
        .arg(beta)
        .arg(coefficients)
        .arg(cut.pixels as i64)
        .arg(cut.channels as i32)
        .arg(cut.piece as i64)
        .arg(eps)
        .run()?;
    Ok([mean, var])
}

/// The coefficients from mean, variance, γ, β and, for the gradient of x, the two sums over `count` values.
fn coefficients(
    run: &Run,
    cut: &Cut,
    vectors: &[Tensor],
    sums: Option<(&Tensor, &Tensor, usize)>,
    eps: f64,
) -> Result<Memory> {
    let memory = cut.coefficients(run)?;
    let (sum, product, count) = match sums {
        Some((sum, product, count)) => (address(sum)?, address(product)?, count as f64),
        None => (0, 0, 1.0),
    };
    let mut kernel = run.kernel("batch_norm", &cut.name("coefficients"))?.over(cut.channels);
    for vector in &vectors[..4] {
        kernel = kernel.arg(address(vector)?);
    }
    kernel.arg(sum).arg(product).arg(memory.address()).arg(cut.channels as i32).arg(eps).arg(count).run()?;
    Ok(memory)
}

fn apply(run: &Run, cut: &Cut, x: &Tensor, dims: &[usize], k: &Memory, relu: bool) -> Result<Tensor> {
    let y = empty_pixels(run, dims, cut.dtype)?;
    run.kernel("batch_norm", &cut.name("apply"))?
        .over(y.len())
        .arg(address(x)?)
        .arg(0_u64)
        .arg(address(&y)?)
        .arg(k.address())
        .arg(y.len() as i64)
        .arg(cut.channels as i32)
        .arg(i32::from(relu))
        .run()?;
    from_pixels(run, y)
}

pub(crate) fn batch_norm(run: &Run, op: &BatchNorm, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
    let cut = Cut::new(run, ins[0])?;
    let (x, affine) = (pixels(run, ins[0])?, vectors(run, [ins[1], ins[2]])?);
    let k = cut.coefficients(run)?;
    let [mean, var] = statistics(run, &cut, &x, Some((&affine[0], &affine[1], op.eps, &k)))?;
    if x.is_empty() {
        return Ok(smallvec![run.empty(ins[0].dims(), cut.dtype, Format::Contiguous)?, mean, var]);
    }
    Ok(smallvec![apply(run, &cut, &x, ins[0].dims(), &k, op.relu)?, mean, var])
}

pub(crate) fn stats(run: &Run, x: &Tensor) -> Result<Outputs<Tensor>> {
    let cut = Cut::new(run, x)?;
    let [mean, var] = statistics(run, &cut, &pixels(run, x)?, None)?;
    Ok(smallvec![mean, var])
}

pub(crate) fn batch_norm_apply(run: &Run, op: &BatchNormApply, ins: &[&Tensor]) -> Result<Tensor> {
    if ins[0].is_empty() {
        return run.empty(ins[0].dims(), ins[0].dtype(), Format::Contiguous);
    }
    let cut = Cut::new(run, ins[0])?;
    let vectors = vectors(run, [ins[1], ins[2], ins[3], ins[4]])?;
    let k = coefficients(run, &cut, &vectors, None, op.eps)?;
    apply(run, &cut, &pixels(run, ins[0])?, ins[0].dims(), &k, op.relu)
}

pub(crate) fn batch_norm_reduce(run: &Run, op: &BatchNormReduce, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
    let cut = Cut::new(run, ins[0])?;
    let new = || run.empty(&[cut.channels], cut.wide(), Format::Contiguous);
    let (sum, product) = (new()?, new()?);
    if cut.channels == 0 {
        return Ok(smallvec![sum, product]);
    }
    let vectors = vectors(run, [ins[2], ins[3], ins[4], ins[5]])?;
    let k = coefficients(run, &cut, &vectors, None, op.eps)?;
    let (x, g, parts) = (pixels(run, ins[0])?, pixels(run, ins[1])?, cut.parts(run)?);
    let (grid, block) = cut.launch();
    run.kernel("batch_norm", &cut.name("reduce_parts"))?
        .grid(grid)
        .block(block)
        .arg(address(&x)?)
        .arg(address(&g)?)
        .arg(k.address())
        .arg(parts.address())
        .arg(cut.pixels as i64)
        .arg(cut.channels as i32)
        .arg(cut.piece as i64)
        .arg(i32::from(op.relu))
        .run()?;
    run.kernel("batch_norm", &cut.name("reduce_finish"))?
        .over(cut.channels)
        .arg(parts.address())
        .arg(k.address())
        .arg(address(&sum)?)
        .arg(address(&product)?)
        .arg(cut.channels as i32)
        .arg(cut.pieces() as i32)
        .run()?;
    Ok(smallvec![sum, product])
}

pub(crate) fn batch_norm_input(run: &Run, op: &BatchNormInput, ins: &[&Tensor]) -> Result<Tensor> {
    if ins[0].is_empty() {
        return run.empty(ins[0].dims(), ins[0].dtype(), Format::Contiguous);
    }
    let cut = Cut::new(run, ins[0])?;
    let vectors = vectors(run, [ins[2], ins[3], ins[4], ins[5], ins[6], ins[7]])?;
    let k = coefficients(run, &cut, &vectors, Some((&vectors[4], &vectors[5], op.count)), op.eps)?;
    let (x, g) = (pixels(run, ins[0])?, pixels(run, ins[1])?);
    let y = empty_pixels(run, ins[0].dims(), cut.dtype)?;
    run.kernel("batch_norm", &cut.name("input"))?
        .over(y.len())
        .arg(address(&x)?)
        .arg(address(&g)?)
        .arg(address(&y)?)
        .arg(k.address())
        .arg(y.len() as i64)
        .arg(cut.channels as i32)
        .arg(i32::from(op.relu))
        .run()?;
    from_pixels(run, y)
}

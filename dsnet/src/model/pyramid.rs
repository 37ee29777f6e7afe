//! Pyramid pooling (PSPNet, Zhao et al. 2017), for the variant PSP of Table 5.

use autograd::{Ops, Var};
use nn::{Conv2dConfig, Ctx, Initializer, Module, Result, Visitor, visit_child};
use tensor::{Tensor, ops::Interpolation};

use super::conv_bn::ConvBn;

/// Rows and columns of the pooled maps.
const BINS: [usize; 4] = [1, 2, 3, 6];

/// Keeps channels and size: means over 1, 2², 3² and 6² parts of the map, each through a 1×1 convolution to a quarter of the
/// channels and resized to the map, beside which it is put; a 3×3 convolution fuses them.
#[derive(Debug, Clone)]
pub struct Pyramid {
    parts: Vec<ConvBn>,
    fuse: ConvBn,
}

impl Pyramid {
    pub(crate) fn new(channels: usize, init: &Initializer) -> Result<Self> {
        let part = |i: usize| ConvBn::pointwise(channels, channels / BINS.len(), &init.scope(i.to_string()));
        let parts = (0..BINS.len()).map(part).collect::<Result<_>>()?;
        let wide = channels + BINS.len() * (channels / BINS.len());
        let fuse = ConvBn::plain(Conv2dConfig::new(wide, channels, 3).same(), &init.scope("fuse"))?;
        Ok(Self { parts, fuse })
    }
}

impl Module for Pyramid {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let size = [x.dim(2)?, x.dim(3)?];
        let mut all = vec![x.clone()];
        for (i, (part, bins)) in self.parts.iter().zip(BINS).enumerate() {
            let part = ctx.call(&i.to_string(), part, &pooled(x, bins)?)?;
            all.push(part.resize2d(Interpolation::Bilinear, false, size)?);
        }
        ctx.call("fuse", &self.fuse, &Var::cat(&all.iter().collect::<Vec<_>>(), 1)?)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        for (i, part) in self.parts.iter().enumerate() {
            visit_child(visitor, &i.to_string(), part);
        }
        visit_child(visitor, "fuse", &self.fuse);
    }
}

/// Means over `bins` × `bins` parts of `[N, C, H, W]`: a product with a matrix from each side.
fn pooled(x: &Var, bins: usize) -> Result<Var> {
    let side =
        |n: usize| Ok::<_, nn::Error>(averages(n, bins)?.cast(x.tensor().dtype())?.to_device(&x.device())?);
    let (rows, columns) = (side(x.dim(2)?)?, side(x.dim(3)?)?);
    let narrow = x.matmul(&Var::new(columns.transpose(0, 1)?))?;
    Ok(Var::new(rows).matmul(&narrow)?)
}

/// The matrix `[bins, n]` whose row i takes the mean of the values ⌊i·n/bins⌋ up to, not including, ⌈(i+1)·n/bins⌉ (parts
/// overlap where `bins` does not divide `n`).
fn averages(n: usize, bins: usize) -> Result<Tensor> {
    let mut weights = vec![0.0_f32; bins * n];
    for (i, row) in weights.chunks_mut(n.max(1)).enumerate() {
        let (from, to) = (i * n / bins, ((i + 1) * n).div_ceil(bins));
        row[from..to].fill(1.0 / (to - from) as f32);
    }
    Ok(Tensor::from_vec(weights, &[bins, n])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_means() {
        let x = Tensor::from_vec((0..35).map(|v| v as f32).collect(), &[1, 1, 5, 7]).unwrap();
        let mean = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
            let all: Vec<f32> = rows.flat_map(|y| columns.clone().map(move |x| (7 * y + x) as f32)).collect();
            all.iter().sum::<f32>() / all.len() as f32
        };
        for bins in BINS {
            let found = pooled(&Var::new(x.clone()), bins).unwrap().tensor().to_vec::<f32>().unwrap();
            assert_eq!(found.len(), bins * bins);
            let part = |i: usize, n: usize| i * n / bins..((i + 1) * n).div_ceil(bins);
            for (at, value) in found.into_iter().enumerate() {
                let want = mean(part(at / bins, 5), part(at % bins, 7));
                assert!((value - want).abs() < 1e-4, "{bins}, {at}: {value} {want}");
            }
        }
    }
}

//! Batch normalisation of a batch that is spread over ranks: what [`super::BatchNorm2d`] does where there are several.
//!
//! Forward, each rank takes the statistics of its own share, all tell each other, and each merges them in the same
//! order (Chan, Golub and LeVeque 1979): one message, and no difference of large sums. Backward, the two sums per
//! channel that couple the samples of a batch are added over the ranks. The gradients of γ and β stay each rank's own,
//! as those of all other parameters do: their sum over the ranks is taken with the others'.

use std::{rc::Rc, sync::Arc};

use autograd::{Context, CustomOp, Var, apply_custom};
use tensor::{Ops, Tensor, ops};

use crate::{
    Collective, Error, Result,
    collective::{into_autograd, sum_numbers},
};

/// The result for this rank's share, and the statistics of the whole batch.
pub(super) struct Synced {
    pub y: Var,
    /// `[C]`.
    pub mean: Tensor,
    /// Biased, `[C]`.
    pub var: Tensor,
    /// Values in each channel, on all ranks.
    pub count: usize,
}

/// Normalises `x` `[N, C, …]` by the statistics of all ranks' shares; N may be 0 on some of them.
///
/// # Errors
/// Shapes that do not fit; fewer than two values per channel on all ranks together; a rank that is lost or hangs.
pub(super) fn forward(
    [x, weight, bias]: [&Var; 3],
    eps: f64,
    relu: bool,
    ranks: &Arc<dyn Collective>,
) -> Result<Synced> {
    let channels = weight.tensor().len();
    if x.dims().get(1) != Some(&channels) {
        let why = format!("wants [N, {channels}, …], got dims {:?}", x.dims());
        return Err(Error::config("batch_norm", why));
    }
    let Moments { count, mean, var } = Moments::of(x.tensor(), channels)?.merged(&**ranks)?;
    if count < 2.0 {
        let why = format!("statistics want at least 2 values for each channel, got {count} on all ranks");
        return Err(Error::config("batch_norm", why));
    }
    let vector = |values: &[f64]| -> Result<Tensor> {
        let vector = Tensor::from_slice(values, &[channels])?.cast(weight.tensor().dtype())?;
        Ok(vector.to_device(&weight.device())?)
    };
    let (mean, var, count) = (vector(&mean)?, vector(&var)?, count as usize);
    let norm = Norm { eps, relu, mean: mean.clone(), var: var.clone(), count, ranks: ranks.clone() };
    let y = apply_custom(Rc::new(norm), &[x, weight, bias])?.remove(0);
    Ok(Synced { y, mean, var, count })
}

/// Mean and biased variance of each channel, and over how many values.
struct Moments {
    count: f64,
    mean: Vec<f64>,
    var: Vec<f64>,
}

impl Moments {
    fn of(x: &Tensor, channels: usize) -> Result<Self> {
        if x.is_empty() {
            return Ok(Self { count: 0.0, mean: vec![0.0; channels], var: vec![0.0; channels] });
        }
        let stats = Tensor::apply(ops::BatchNormStats.into(), &[x])?;
        let (mean, var) = (stats[0].to_f64_vec()?, stats[1].to_f64_vec()?);
        Ok(Self { count: (x.len() / channels) as f64, mean, var })
    }

    /// Those of all ranks together, merged in f64 in the order of the ranks.
    fn merged(&self, ranks: &dyn Collective) -> Result<Self> {
        let channels = self.mean.len();
        let width = 1 + 2 * channels;
        let mut table = vec![0.0; ranks.world() * width];
        let row = [&[self.count][..], &self.mean, &self.var].concat();
        table[ranks.rank() * width..][..width].copy_from_slice(&row);
        let table = sum_numbers(&table, ranks)?;
        let mut all = Self { count: 0.0, mean: vec![0.0; channels], var: vec![0.0; channels] };
        for row in table.chunks(width).filter(|row| row[0] > 0.0) {
            let (count, total) = (row[0], all.count + row[0]);
            for c in 0..channels {
                let apart = row[1 + c] - all.mean[c];
                let between = apart * apart * (all.count * count / total);
                all.mean[c] += apart * (count / total);
                all.var[c] = (all.var[c] * all.count + row[1 + channels + c] * count + between) / total;
            }
            all.count = total;
        }
        Ok(all)
    }
}

/// `y` of `x`, γ and β, by statistics that depend on the `x` of all ranks.
#[derive(Debug)]
struct Norm {
    eps: f64,
    relu: bool,
    mean: Tensor,
    var: Tensor,
    count: usize,
    ranks: Arc<dyn Collective>,
}

impl CustomOp for Norm {
    fn name(&self) -> &str {
        if self.relu { "sync_batch_norm_relu" } else { "sync_batch_norm" }
    }

    fn forward(&self, ins: &[&Tensor]) -> autograd::Result<Vec<Tensor>> {
        let op = ops::BatchNormApply { eps: self.eps, relu: self.relu };
        Ok(vec![Tensor::apply1(op.into(), &[ins[0], &self.mean, &self.var, ins[1], ins[2]])?])
    }

    fn saves_results(&self) -> bool {
        false
    }

    fn backward(&self, cx: &Context<'_>) -> autograd::Result<Vec<Option<Var>>> {
        let Self { eps, relu, count, .. } = *self;
        let (x, gamma, beta, g) = (cx.input(0)?, cx.input(1)?, cx.input(2)?, cx.grad(0)?);
        if [&x, &gamma, &beta, &g].iter().any(|v| v.tape().is_some()) {
            let why = "batch normalisation across ranks has no second derivatives; take them on one rank";
            return Err(autograd::Error::Message(why.into()));
        }
        let (mean, var) = (Var::new(self.mean.clone()), Var::new(self.var.clone()));
        let op = ops::BatchNormReduce { eps, relu };
        let sums = Var::apply(op.into(), &[&x, &g, &mean, &var, &gamma, &beta])?;
        let (sum, product) = (&sums[0], &sums[1]);
        let dx = if cx.needs(0) {
            let both = Tensor::cat(&[sum.tensor(), product.tensor()], 0)?;
            let both = Var::new(self.ranks.all_reduce(&both).map_err(into_autograd)?);
            let parts = both.split(&[sum.dim(0)?, product.dim(0)?], 0)?;
            let op = ops::BatchNormInput { eps, relu, count };
            let ins = [&x, &g, &mean, &var, &gamma, &beta, &parts[0], &parts[1]];
            Some(Var::apply1(op.into(), &ins)?)
        } else {
            None
        };
        Ok(vec![dx, Some(product.clone()), Some(sum.clone())])
    }
}

#[cfg(test)]
mod tests;

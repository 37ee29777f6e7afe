//! Reductions: the gradient is repeated along the reduced axes.

use tensor::{
    Dims, Ops,
    ops::{Reduce, Reduction},
};

use super::{Gradients, Saves, single};
use crate::Context;

pub(super) fn saves(reduce: &Reduce) -> Saves {
    match reduce.kind {
        Reduction::Sum | Reduction::Mean => Saves::NOTHING,
        Reduction::Max | Reduction::Min => Saves { inputs: 1, outputs: 1 },
    }
}

/// Elements that share an extremum share its gradient evenly.
pub(super) fn reduce(reduce: &Reduce, cx: &Context<'_>) -> Gradients {
    let dims = &cx.input_meta(0).dims;
    let mut kept: Dims = dims.clone();
    reduce.axes.iter().for_each(|&a| kept[a] = 1);
    let g = cx.grad(0)?.reshape(&kept)?;
    single(match reduce.kind {
        Reduction::Sum => g.broadcast_to(dims)?,
        Reduction::Mean => {
            let count: usize = reduce.axes.iter().map(|&a| dims[a]).product();
            g.mul_scalar(1.0 / count as f64)?.broadcast_to(dims)?
        }
        Reduction::Max | Reduction::Min => {
            let (x, y) = (cx.input(0)?, cx.output(0)?.reshape(&kept)?);
            let hit = x.equal(&y)?;
            let ties = hit.cast(g.meta().dtype)?.sum(&reduce.axes, true)?;
            hit.select(&g.div(&ties)?, &g.full_like(0.0, &[])?)?
        }
    })
}

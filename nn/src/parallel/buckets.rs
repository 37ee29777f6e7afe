//! Gradients on their way to the other ranks: gathered in buckets as backward finds them, each bucket summed as soon as
//! it is full, all of them waited for at the end.
//!
//! Buckets are filled from the last parameter of the model to the first, about the order in which backward comes to
//! them. Every rank records the same graph, so that on every rank the same buckets fill up in the same order.

use std::{cell::RefCell, mem, rc::Rc, sync::Arc};

use tensor::{Ops, Tensor};

use crate::{
    Collective, Ctx, Module, Param, Result,
    collective::{Pending, into_autograd},
    optim::Gradient,
    parameters,
};

/// The buckets of one backward pass.
pub(super) struct Buckets {
    /// In the order of the visit.
    params: Vec<(String, Param)>,
    flow: Rc<RefCell<Flow>>,
}

struct Flow {
    ranks: Arc<dyn Collective>,
    buckets: Vec<Bucket>,
}

#[derive(Default)]
struct Bucket {
    /// By their place among the parameters.
    members: Vec<usize>,
    /// Those that have come.
    gradients: Vec<Option<Tensor>>,
    bytes: usize,
    sum: Option<Box<dyn Pending>>,
}

impl Buckets {
    /// Buckets of about `limit` bytes for the parameters that the pass under `ctx` has used; they fill up during
    /// backward.
    pub fn attach(ctx: &Ctx, model: &dyn Module, limit: usize) -> Self {
        let params = parameters(model);
        let mut buckets = vec![Bucket::default()];
        let mut hooks = vec![];
        let mut dtype = None;
        for (i, (_, param)) in params.iter().enumerate().rev() {
            let Some(leaf) = ctx.bound(param) else { continue };
            let meta = leaf.tensor().meta();
            let full = buckets.last().is_none_or(|b| b.bytes > 0 && b.bytes + meta.bytes() > limit);
            if full || dtype.is_some_and(|dtype| dtype != meta.dtype) {
                buckets.push(Bucket::default());
            }
            dtype = Some(meta.dtype);
            let bucket = buckets.len() - 1;
            let last = &mut buckets[bucket];
            last.bytes += meta.bytes();
            hooks.push((leaf, bucket, last.members.len()));
            last.members.push(i);
            last.gradients.push(None);
        }
        let flow = Rc::new(RefCell::new(Flow { ranks: ctx.ranks().clone(), buckets }));
        if let Some(tape) = ctx.tape() {
            for (leaf, bucket, place) in hooks {
                let flow = flow.clone();
                tape.on_gradient(&leaf, move |gradient| {
                    flow.borrow_mut().arrived(bucket, place, gradient).map_err(into_autograd)
                });
            }
        }
        Self { params, flow }
    }

    /// Waits for all sums. A parameter that the loss does not depend on is left out.
    pub fn finish(self) -> Result<Vec<Gradient>> {
        let Flow { ranks, buckets } = &mut *self.flow.borrow_mut();
        // Those that stayed incomplete because a parameter takes no part.
        for bucket in buckets.iter_mut().filter(|b| b.sum.is_none()) {
            bucket.start(&**ranks)?;
        }
        let mut sums: Vec<Option<Tensor>> = vec![None; self.params.len()];
        for bucket in buckets {
            bucket.wait(&mut sums)?;
        }
        let gradients = self.params.into_iter().zip(sums);
        Ok(gradients
            .filter_map(|((name, param), value)| Some(Gradient { name, param, value: value? }))
            .collect())
    }
}

impl Flow {
    fn arrived(&mut self, bucket: usize, place: usize, gradient: &Tensor) -> Result<()> {
        let bucket = &mut self.buckets[bucket];
        bucket.gradients[place] = Some(gradient.clone());
        if bucket.gradients.iter().all(Option::is_some) { bucket.start(&*self.ranks) } else { Ok(()) }
    }
}

impl Bucket {
    /// Begins the sum of what has come, as one flat buffer.
    fn start(&mut self, ranks: &dyn Collective) -> Result<()> {
        let flat = self.gradients.iter().flatten().map(|g| g.reshape(&[g.len()]));
        let flat = flat.collect::<Result<Vec<_>, _>>()?;
        if !flat.is_empty() {
            self.sum = Some(ranks.start_all_reduce(&Tensor::cat(&flat.iter().collect::<Vec<_>>(), 0)?)?);
        }
        Ok(())
    }

    /// Cuts the sum up again.
    fn wait(&mut self, sums: &mut [Option<Tensor>]) -> Result<()> {
        let Some(sum) = self.sum.take() else { return Ok(()) };
        let (sum, mut at) = (sum.wait()?, 0);
        for (&i, gradient) in self.members.iter().zip(mem::take(&mut self.gradients)) {
            let Some(gradient) = gradient else { continue };
            sums[i] = Some(sum.narrow(0, at, gradient.len())?.reshape(gradient.dims())?);
            at += gradient.len();
        }
        Ok(())
    }
}

//! Which batch would fit into a GPU's memory, once one did not: measured, not guessed from a formula.

use std::sync::Arc;

use cuda_backend::CudaBackend;
use nn::{Collective, collective::Solo};
use tensor::{Ops, Tensor, rng::Key};

use super::{Learner, recorded};
use crate::{Error, Result, device, ui::bytes};

/// How many batches are tried at most, beside those by which the size is found.
const TRIES: usize = 4;

/// The error of a step on this batch; where memory ran out, with the batch that would fit. Steps are tried for that, without
/// moving weights; the optimiser's state is of no use afterwards.
pub(super) fn explained(error: Error, learner: &mut Learner, images: &Tensor, labels: &Tensor) -> Error {
    let gpu = device::gpu(&learner.device).ok().flatten();
    let Some(gpu) = gpu.filter(|_| error.out_of_memory()) else { return error };
    // The other ranks wait, and would not take part.
    let captures = learner.capture && learner.hindrance().is_none();
    let capture = std::mem::replace(&mut learner.capture, captures);
    let ranks = std::mem::replace(&mut learner.ranks, Arc::new(Solo));
    let advice = Trial { gpu: &gpu, learner, images, labels, ranks: &*ranks }.advice();
    (learner.ranks, learner.capture) = (ranks, capture);
    match advice {
        Ok(advice) => error.during(format!("the memory of {} is full: {advice}", learner.device.name())),
        // What went wrong while trying is not what went wrong.
        Err(_) => error,
    }
}

struct Trial<'a> {
    gpu: &'a CudaBackend,
    learner: &'a mut Learner,
    images: &'a Tensor,
    labels: &'a Tensor,
    ranks: &'a dyn Collective,
}

impl Trial<'_> {
    fn advice(mut self) -> Result<String> {
        let (here, world) = (self.images.dim(0)?, self.ranks.world());
        let none = "not even one image for each rank would fit; a smaller --crop or --model needs less";
        if here < 2 {
            return Ok(none.into());
        }
        let Some(one) = self.peak(1)? else { return Ok(none.into()) };
        let least = format!("--batch {world} would fit, and no more");
        let Some(two) = self.peak(2)? else { return Ok(least) };
        let each = two.saturating_sub(one).max(1);
        let fixed = one.saturating_sub(each);
        let mut n = (self.room()?.saturating_sub(fixed) / each).min(here - 1);
        let mut fits = 2;
        for _ in 0..TRIES {
            if n > 2 && self.peak(n)?.is_some() {
                fits = n;
                break;
            }
            n -= n.div_ceil(10);
        }
        let (batch, each, fixed) = (fits * world, bytes(each as u64), bytes(fixed as u64));
        Ok(format!(
            "--batch {batch} would fit, in a new run, as was tried: {fixed} do not depend on the batch, each image takes {each}"
        ))
    }

    /// The most bytes that steps on `n` images hold, a recorded one included where steps are recorded; none where they do not
    /// fit.
    fn peak(&mut self, n: usize) -> Result<Option<usize>> {
        self.ranks.alive();
        let say = |e: cuda_backend::Error| Error::message(e.to_string());
        // A recording for another batch gives its memory back.
        self.learner.steps = recorded::Steps::default();
        self.gpu.release_cached_memory().map_err(say)?;
        self.gpu.reset_peak_memory();
        let (images, labels) = (self.images.narrow(0, 0, n)?, self.labels.narrow(0, 0, n)?);
        for _ in 0..if self.learner.capture { recorded::WARM_UP + 1 } else { 1 } {
            match self.learner.step(&images, &labels, Key::default(), 0.0) {
                Ok(_) | Err(Error::NotFinite(_)) => {}
                Err(e) if e.out_of_memory() => return Ok(None),
                Err(e) => return Err(e),
            }
        }
        Ok(Some(self.gpu.memory().peak))
    }

    /// Bytes that tensors of this process could hold.
    fn room(&self) -> Result<usize> {
        let say = |e: cuda_backend::Error| Error::message(e.to_string());
        self.gpu.release_cached_memory().map_err(say)?;
        let (free, _) = self.gpu.context().memory_info().map_err(say)?;
        Ok(self.gpu.memory().reserved + free as usize)
    }
}

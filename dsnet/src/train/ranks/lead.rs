//! Rank 0's side: what the training loop calls so that the other ranks do their part.

use std::sync::Arc;

use datasets::{Dataset, Normalization, Position};
use nn::{
    Collective,
    optim::LossScale,
    parallel::{broadcast_optimizer, broadcast_state, check_replicas},
};

use tensor::Tensor;

use super::order::{Order, share_position};
use crate::{
    Error, Result, device::Precision, eval::evaluate_across, metrics::Confusion, model::DsNet,
    train::Learner, ui::Progress,
};

/// Rank 0 of several ranks, or the only one. Each call has its counterpart in the followers' loop.
#[derive(Debug, Clone)]
pub(in crate::train) struct Lead(Arc<dyn Collective>);

impl Lead {
    /// Rank 0's view of `ranks`.
    pub fn new(ranks: Arc<dyn Collective>) -> Self {
        Self(ranks)
    }

    /// Number of ranks.
    pub fn world(&self) -> usize {
        self.0.world()
    }

    fn alone(&self) -> bool {
        self.world() == 1
    }

    fn tell(&self, order: Order) -> Result<()> {
        if self.alone() { Ok(()) } else { order.tell(&*self.0) }
    }

    /// Gives the other ranks the state to begin with, and makes `learner` one of several.
    pub fn begin(&self, learner: &mut Learner, at: Position) -> Result<()> {
        if self.alone() {
            return Ok(());
        }
        begin(learner, at, &self.0).map(|_| ())
    }

    /// Says that a step on the batch at `at` comes next.
    pub fn step(&self, at: Position, factor: f64) -> Result<()> {
        self.tell(Order::Step { at, factor })
    }

    /// Fails where the ranks' models are no longer the same.
    pub fn check(&self, learner: &Learner) -> Result<()> {
        self.tell(Order::Check)?;
        Ok(check_replicas(&learner.model, &*self.0)?)
    }

    /// The confusion matrix of a net, run in `precision`, which the other ranks are given first; `progress` counts images.
    pub fn score(
        &self,
        net: &DsNet,
        precision: Precision,
        val: &Arc<dyn Dataset>,
        normalization: Normalization,
        progress: &Progress,
    ) -> Result<Confusion> {
        self.tell(Order::Score)?;
        broadcast_state(net, &*self.0)?;
        evaluate_across(net, precision, val, normalization, progress, &*self.0)
    }

    /// `error`, or what it comes from where the ranks can not go on together: a GPU that waited in vain for another rank's
    /// knows no better.
    pub fn explain(&self, error: Error) -> Error {
        match self.0.failure() {
            Some(failure) if error.failure().is_none() && failure.rank() != self.0.rank() => {
                nn::Error::from(failure).into()
            }
            _ => error,
        }
    }

    /// Lets the other ranks go.
    pub fn end(&self) -> Result<()> {
        self.tell(Order::End)
    }
}

/// What every rank does at the start: takes over rank 0's state. Returns rank 0's position.
pub(super) fn begin(learner: &mut Learner, at: Position, ranks: &Arc<dyn Collective>) -> Result<Position> {
    learner.ranks = ranks.clone();
    broadcast_state(&learner.model, &**ranks)?;
    broadcast_optimizer(&mut learner.optimizer, &learner.model, &**ranks)?;
    if let Some(scale) = &mut learner.scale {
        let state = ranks.broadcast(&Tensor::from_slice(&scale.state()?, &[2])?, 0)?.to_vec::<f64>()?;
        *scale = LossScale::of([state[0], state[1]], &Tensor::device(scale.tensor()))?;
    }
    share_position(at, &**ranks)
}

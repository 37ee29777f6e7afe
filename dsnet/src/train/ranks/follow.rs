//! The side of every rank but rank 0: it does as it is told, on its own part of the data.

use std::sync::Arc;

use datasets::{Loader, LoaderOptions, Position, Shard};
use nn::{
    Collective, Initializer,
    parallel::{broadcast_state, check_replicas},
};

use super::{lead::begin, order::Order};
use crate::{
    Error, Result,
    eval::evaluate_across,
    model::{self, DsNet},
    train::{Feed, Learner, TrainConfig, TrainData, fit},
    ui::Progress,
};

/// Follows rank 0 until it says that all is done.
pub(super) fn follow(config: &TrainConfig, data: &TrainData, ranks: Arc<dyn Collective>) -> Result<()> {
    let (device, ranks) = super::join(config, ranks)?;
    let shape = model::config(&config.model, data.train.classes().len())?;
    let mut learner = Learner::new(config, &shape, &data.frequencies)?;
    // Rank 0 keeps it.
    learner.average = None;
    learner.move_to(&device)?;
    let shard = Shard { rank: ranks.rank(), world: ranks.world() };
    let loader = Loader::new(data.train.clone(), LoaderOptions { shard, ..config.loader_options() })?;
    let at = begin(&mut learner, Position::default(), &ranks)?;
    let mut batches = Feed::new(loader.range(at, Position { epoch: config.epochs, batch: 0 })?, &device)?;
    loop {
        match Order::hear(&*ranks)? {
            Order::Step { at, factor } => {
                let batch =
                    batches.next().ok_or_else(|| Error::message("there are no more batches here"))??;
                if batch.position != at {
                    let what = format!("rank 0 is at {at:?}, this rank at {:?}", batch.position);
                    return Err(Error::message(what));
                }
                let step = at.epoch * loader.batches_per_epoch() + at.batch;
                let (images, labels) = (&batch.images, &batch.labels);
                let result = learner.step(images, labels, config.key(step), factor);
                let result = result.map_err(|e| fit::explained(e, &mut learner, images, labels));
                result.map_err(|e| e.during(format!("step {} on {}", step + 1, batch.names.join(", "))))?;
            }
            Order::Check => check_replicas(&learner.model, &*ranks)?,
            Order::Score => {
                let net = DsNet::new(&shape, &Initializer::new(0))?;
                nn::to_device(&net, &device)?;
                broadcast_state(&net, &*ranks)?;
                evaluate_across(
                    &net,
                    config.precision,
                    &data.val,
                    data.train.normalization(),
                    &Progress::silent(),
                    &*ranks,
                )?;
            }
            Order::End => return Ok(()),
        }
    }
}

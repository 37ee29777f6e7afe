//! A training by several ranks on one machine's cores. Rank 0 leads: it alone decides, logs and saves, in the same loop as
//! a training by one rank, and tells the others what comes next. The others follow. See `docs/parallel.md`.

mod follow;
mod gpus;
mod lead;
mod order;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use nn::{
    Checkpoint, Collective,
    checkpoint::Meta,
    collective::{Failure, Stopped, Threads},
};

use super::{RunFolder, TrainConfig, TrainData};
use crate::{Error, Result};

pub(super) use gpus::join;
pub(super) use lead::Lead;

/// Runs `lead` on rank 0 and followers on the others, each with an equal part of the threads, one at least.
///
/// # Errors
/// What the rank reports with which it began to fail, and which rank that is.
pub(super) fn run(
    config: &TrainConfig,
    folder: &RunFolder,
    data: &TrainData,
    lead: impl Fn(&TrainConfig, &RunFolder, &TrainData, Arc<dyn Collective>) -> Result<()> + Send + Sync + 'static,
) -> Result<()> {
    let world = config.ranks;
    let timeout = Duration::try_from_secs_f64(config.rank_timeout).unwrap_or(Duration::MAX);
    let threads = rayon::current_num_threads();
    let all = (config.clone(), folder.clone(), data.clone());
    let result = Threads::run(world, timeout, move |ranks| {
        let (config, folder, data) = &all;
        let rank = ranks.rank();
        // A pool of its own: ranks share cores, but no queue of work.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads((threads / world).max(1))
            .thread_name(move |thread| format!("rank-{rank}-{thread}"))
            .build()
            .map_err(|e| Error::message(format!("the threads can not be started: {e}")))?;
        pool.install(|| {
            if rank == 0 { lead(config, folder, data, ranks) } else { follow::follow(config, data, ranks) }
        })
    });
    result.map(|_| ()).map_err(|stopped| told(stopped, folder))
}

/// What a user is told when ranks stopped. The leader has saved its state by then, unless it is the one that is lost.
fn told(stopped: Stopped<Error>, folder: &RunFolder) -> Error {
    let Stopped { failure, cause } = stopped;
    let last = folder.last();
    let kept = match Checkpoint::load(&last).map(|checkpoint| checkpoint.meta) {
        Ok(Meta { step, total_steps, .. }) => {
            format!("the state after step {step} of {total_steps} is in {}", last.display())
        }
        Err(_) => "no checkpoint was written yet".into(),
    };
    let more = format!("{kept}\n  once that is put right, go on by: {}", folder.resume_command(None));
    match cause {
        // The leader speaks for all.
        Some(e) if failure.rank() == 0 => *e,
        Some(e) => e.during(format!("rank {} failed, and the others stopped; {more}", failure.rank())),
        None if matches!(failure, Failure::Hung { .. }) => {
            Error::message(format!("{failure}\n  if it is only slow, raise --rank-timeout; {more}"))
        }
        None => Error::message(format!("{failure}\n  {more}")),
    }
}

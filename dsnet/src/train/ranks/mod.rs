//! A training by several ranks, of this process or of several. Rank 0 leads: it alone decides, logs and saves, in the same loop as
//! a training by one rank, and tells the others what comes next. The others follow. See `docs/parallel.md`.

mod follow;
mod gpus;
mod lead;
mod order;
mod same;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use nn::{
    Checkpoint, Collective,
    checkpoint::Meta,
    collective::{Failure, Stopped, Tcp, Threads},
};

use super::{RunFolder, TrainConfig, TrainData};
use crate::{Error, Result, stop};

pub(super) use gpus::join;
pub(super) use lead::Lead;

/// What leads rank 0.
pub(super) trait Leads:
    Fn(&TrainConfig, &RunFolder, &TrainData, Arc<dyn Collective>) -> Result<()> + Send + Sync + 'static
{
}

impl<F> Leads for F where
    F: Fn(&TrainConfig, &RunFolder, &TrainData, Arc<dyn Collective>) -> Result<()> + Send + Sync + 'static
{
}

/// Runs `lead` on rank 0 and followers on the others, all of them threads of this process.
///
/// # Errors
/// What the rank reports with which it began to fail, and which rank that is.
pub(super) fn threads(
    config: &TrainConfig,
    folder: &RunFolder,
    data: &TrainData,
    lead: impl Leads,
) -> Result<()> {
    let work = work(config, Some(folder), data, lead);
    let result = Threads::run(config.place.world, config.rank_timeout, work);
    result.map(|_| ()).map_err(|stopped| told(stopped, folder))
}

/// The same for the ranks of this process among those of others. The process of rank 0 has the run folder.
///
/// # Errors
/// As [`threads`].
pub(super) fn among(
    ranks: Tcp,
    config: &TrainConfig,
    folder: Option<&RunFolder>,
    data: &TrainData,
    lead: impl Leads,
) -> Result<()> {
    let result = ranks.run(work(config, folder, data, lead));
    result.map(|_| ()).map_err(|stopped| match folder {
        Some(folder) => told(stopped, folder),
        None => told_elsewhere(stopped, config.place.first),
    })
}

/// What each rank of this process does, with an equal part of the threads, one at least.
fn work(
    config: &TrainConfig,
    folder: Option<&RunFolder>,
    data: &TrainData,
    lead: impl Leads,
) -> impl Fn(Arc<dyn Collective>) -> Result<()> + Send + Sync + 'static {
    let threads = (rayon::current_num_threads() / config.place.count).max(1);
    let all = (config.clone(), folder.cloned(), data.clone());
    move |ranks| {
        let (config, folder, data) = &all;
        let rank = ranks.rank();
        // A pool of its own: ranks share cores, but no queue of work.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(move |thread| format!("rank-{rank}-{thread}"))
            .build()
            .map_err(|e| Error::message(format!("the threads can not be started: {e}")))?;
        pool.install(|| {
            same::check(data, &*ranks)?;
            match folder {
                Some(folder) if rank == 0 => lead(config, folder, data, ranks),
                _ => follow::follow(config, data, ranks),
            }
        })
    }
}

/// What a user is told when ranks stopped. The leader has saved its state by then, unless it is the one that is lost.
fn told(stopped: Stopped<Error>, folder: &RunFolder) -> Error {
    let Stopped { failure, cause } = stopped;
    if !folder.begun() {
        let what = "the training has not begun";
        return match cause {
            Some(e) if failure.rank() == 0 => *e,
            Some(e) => e.during(format!("rank {} failed, and the others stopped; {what}", failure.rank())),
            None => Error::message(format!("{failure}; {what}")),
        };
    }
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
        // Going on would meet the same options.
        Some(e) if e.is_usage() => {
            e.during(format!("rank {} failed, and the others stopped", failure.rank()))
        }
        Some(e) => e.during(format!("rank {} failed, and the others stopped; {more}", failure.rank())),
        None if matches!(failure, Failure::Hung { .. } | Failure::Silent { .. }) => {
            Error::message(format!("{failure}\n  if it is only slow, raise --rank-timeout; {more}"))
        }
        None => Error::message(format!("{failure}\n  {more}")),
    }
}

/// The same in a process that has no run folder, with the first of its ranks.
fn told_elsewhere(stopped: Stopped<Error>, first: usize) -> Error {
    let Stopped { failure, cause } = stopped;
    match (stop::check(), cause) {
        // As the launcher wanted.
        (Err(asked), None) => asked,
        (_, Some(e)) => e.during(format!("rank {} failed, and all others stopped", failure.rank())),
        (_, None) => Error::message(format!("rank {first} stopped: {failure}")),
    }
}

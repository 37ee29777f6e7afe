//! A training by ranks of several processes, which a launcher has started: the process of rank 0 has the run folder, the log
//! and the last word on options; the others are told what to do and share nothing with it but the network.

use std::time::Duration;

use nn::collective::{Absent, Meeting, Tcp};

use super::{RunFolder, TrainConfig, TrainData, TrainOptions, ranks, run::run};
use crate::{
    Error, Result,
    launch::Launch,
    stop,
    ui::{self, errln},
};

/// Ranks have this many times the timeout to come.
const PATIENCE: u32 = 10;

impl From<Absent> for Error {
    fn from(e: Absent) -> Self {
        Error::message(format!("the processes of this training did not come together: {e}"))
    }
}

fn meeting(config: &TrainConfig, address: &str) -> Meeting {
    let timeout = config.rank_timeout;
    let (world, first, count) = (config.place.world, config.place.first, config.place.count);
    Meeting { address: address.into(), world, first, count, patience: patience(timeout), timeout }
}

fn patience(timeout: Duration) -> Duration {
    timeout.checked_mul(PATIENCE).unwrap_or(Duration::MAX)
}

/// Options with what is the same for all processes: name and value.
fn facts(options: &TrainOptions, launch: &Launch) -> Result<Vec<(String, String)>> {
    let processes = ("number of processes".to_owned(), launch.processes.to_string());
    Ok(std::iter::once(processes).chain(options.binding()?).collect())
}

/// Leads, as the process of rank 0. `folder` is asked for once all have come.
///
/// # Errors
/// As [`super::train`]; processes that do not come or were started otherwise.
pub fn lead(
    options: &TrainOptions,
    launch: &Launch,
    folder: impl FnOnce() -> Result<RunFolder>,
) -> Result<()> {
    let config = options.resolve_at(Some(launch))?;
    let address = launch.address.as_deref().unwrap_or_default();
    errln!("waiting at {address} for all {} processes", launch.processes);
    let ranks = Tcp::host(&meeting(&config, address), &facts(options, launch)?, &options.to_toml()?)?;
    // Kept apart: whatever fails before the training begins, the folder is taken back.
    let mut made = None;
    let prepared = ranks.prepare(|alive| {
        let folder = made.insert(folder()?.locked()?).clone();
        Ok::<_, Error>((folder, TrainData::open_while(&config, alive)?))
    });
    let done = prepared.and_then(|(folder, data)| ranks::among(ranks, &config, Some(&folder), &data, run));
    done.inspect_err(|_| made.iter().for_each(RunFolder::take_back))
}

/// Follows, as any other process. `given` are the options that it was started with, `resume` whether those of the run are
/// known to rank 0 alone.
///
/// # Errors
/// Where rank 0 is not found or was started otherwise; this process's data; a rank that is lost, by its number.
pub fn follow(given: TrainOptions, resume: bool, launch: &Launch) -> Result<()> {
    let own = |e: Error| e.during(format!("process {} of {}", launch.process, launch.processes));
    ui::hide_progress();
    let known = if resume { given.clone() } else { given.clone().with_defaults()? };
    let address = launch.address.as_deref().unwrap_or_default();
    let patience = patience(known.timeout());
    let told = Tcp::ask(address, patience, launch.process, &facts(&known, launch)?)?;
    let told = TrainOptions::parse(&told)
        .map_err(|why| Error::message(format!("rank 0's options can not be read: {why}")))?;
    let config = given.or(told).resolve_at(Some(launch)).map_err(own)?;
    let ranks = Tcp::join(&meeting(&config, address))?;
    let data = ranks.prepare(|alive| TrainData::open_while(&config, alive)).map_err(own)?;
    // The launcher sends a signal to all: rank 0 decides what becomes of it.
    let _listening = stop::listen()?;
    ranks::among(ranks, &config, None, &data, run)
}

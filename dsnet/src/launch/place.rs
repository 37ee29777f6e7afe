//! Which of a training's ranks are of this process, and which GPUs are theirs.

use super::Launch;
use crate::{Error, Result};

/// The ranks of one process among all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The first rank of this process.
    pub first: usize,
    /// How many it has.
    pub count: usize,
    /// How many there are.
    pub world: usize,
    /// The GPU of each rank of this process; none where they share the CPU.
    pub gpus: Vec<usize>,
}

impl Place {
    /// The place of a process: `ranks` is the number of all ranks as it was asked for, `gpus` the list of devices. A
    /// process that is the only one on its machine drives them all, a rank for each; several take one each.
    ///
    /// # Errors
    /// Ranks that can not be shared out so.
    pub fn new(
        launch: Option<&Launch>,
        ranks: Option<usize>,
        gpus: Vec<usize>,
        device: &str,
    ) -> Result<Self> {
        let processes = launch.map_or(1, |launch| launch.processes);
        let gpus = match launch {
            Some(launch) if !gpus.is_empty() => launch.gpus(gpus, device)?,
            _ => gpus,
        };
        let count = match (gpus.len(), ranks) {
            (0, None) => 1,
            (0, Some(ranks)) if ranks.is_multiple_of(processes) => ranks / processes,
            (0, Some(ranks)) => {
                return Err(Error::usage(format!(
                    "--ranks {ranks} can not be shared out among {processes} processes"
                )));
            }
            (count, _) => count,
        };
        let world = count * processes;
        if let Some(ranks) = ranks.filter(|ranks| *ranks != world) {
            let of =
                if processes > 1 { format!(" for each of {processes} processes") } else { String::new() };
            return Err(Error::usage(format!(
                "--device {device} names {count} GPUs{of} for {ranks} ranks: each rank wants a GPU of its own, as cuda:0,1 \
                 for two"
            )));
        }
        let first = launch.map_or(0, |launch| launch.process * count);
        Ok(Self { first, count, world, gpus })
    }

    /// The GPU of a rank of this process.
    pub fn gpu(&self, rank: usize) -> Option<usize> {
        self.gpus.get(rank.checked_sub(self.first)?).copied()
    }
}

impl Launch {
    /// The GPUs of this process, of those that `device` lists for its machine.
    fn gpus(&self, gpus: Vec<usize>, device: &str) -> Result<Vec<usize>> {
        match self.local {
            (None, _) | (_, Some(1)) => Ok(gpus),
            _ if self.own_gpu && gpus.len() == 1 => Ok(gpus),
            (Some(local), of) => match gpus.get(local) {
                Some(gpu) if of.is_none_or(|of| of <= gpus.len()) => Ok(vec![*gpu]),
                _ => Err(Error::usage(format!(
                    "--device {device} names {} for the processes of this machine, of which this is number {local}: name one \
                     for each, as cuda:0,1 for two",
                    if gpus.len() == 1 { "one GPU".into() } else { format!("{} GPUs", gpus.len()) }
                ))),
            },
        }
    }
}

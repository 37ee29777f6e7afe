//! Who started this process: torchrun, mpirun and srun say in environment variables which process of how many it is.
//!
//! | launcher | variables |
//! | --- | --- |
//! | torchrun, or by hand | `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `LOCAL_WORLD_SIZE` |
//! | mpirun of Open MPI | `OMPI_COMM_WORLD_RANK`, `…_SIZE`, `…_LOCAL_RANK`, `…_LOCAL_SIZE` |
//! | mpiexec of MPICH, Intel MPI | `PMI_RANK`, `PMI_SIZE`, `MPI_LOCALRANKID`, `MPI_LOCALNRANKS` |
//! | a PMIx server | `PMIX_RANK`, `PMIX_SIZE` |
//! | srun | `SLURM_PROCID`, `SLURM_NTASKS`, `SLURM_LOCALID`, `SLURM_TASKS_PER_NODE` |
//!
//! The first that is there counts. Rank 0 is found at `MASTER_ADDR` and `MASTER_PORT`; without them at the first host of
//! `SLURM_JOB_NODELIST`, or on this machine where all processes are.

mod hosts;
mod place;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use hosts::first_host;
pub use place::Place;

use crate::{Error, Result};

/// Environment variables by name.
pub type Variables = BTreeMap<String, String>;

/// Where rank 0 listens when nothing else is said: what PyTorch takes.
const PORT: u16 = 29500;

/// What a launcher has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Which process this is, from 0.
    pub process: usize,
    /// Number of processes.
    pub processes: usize,
    /// Which of the processes on this machine this is, and of how many, as far as that was said.
    pub local: (Option<usize>, Option<usize>),
    /// Where the first process listens, as `host:port`; none for a process alone.
    pub address: Option<String>,
    /// Whether the process is shown a single GPU, its own (`CUDA_VISIBLE_DEVICES`).
    pub own_gpu: bool,
}

/// Names of the variables of a launcher.
struct Family {
    rank: &'static str,
    world: &'static str,
    local_rank: &'static str,
    local_world: &'static str,
}

const TORCHRUN: Family =
    Family { rank: "RANK", world: "WORLD_SIZE", local_rank: "LOCAL_RANK", local_world: "LOCAL_WORLD_SIZE" };

/// Those that set their variables for the processes of a launch alone: one without the other is a mistake.
const STRICT: [Family; 3] = [
    TORCHRUN,
    Family {
        rank: "OMPI_COMM_WORLD_RANK",
        world: "OMPI_COMM_WORLD_SIZE",
        local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
        local_world: "OMPI_COMM_WORLD_LOCAL_SIZE",
    },
    Family {
        rank: "PMI_RANK",
        world: "PMI_SIZE",
        local_rank: "MPI_LOCALRANKID",
        local_world: "MPI_LOCALNRANKS",
    },
];

/// Those whose variables are also there, one by one, where nothing was launched (a shell in an allocation).
const LOOSE: [Family; 2] = [
    Family { rank: "PMIX_RANK", world: "PMIX_SIZE", local_rank: "", local_world: "" },
    Family {
        rank: "SLURM_PROCID",
        world: "SLURM_NTASKS",
        local_rank: "SLURM_LOCALID",
        local_world: "SLURM_TASKS_PER_NODE",
    },
];

fn wrong<T>(what: String) -> Result<T> {
    Err(Error::usage(format!("{what}; set all variables of the launcher, or unset them")))
}

/// A variable that says something.
fn text<'a>(variables: &'a Variables, name: &str) -> Option<&'a str> {
    variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

fn number(variables: &Variables, name: &str) -> Result<Option<usize>> {
    let Some(value) = text(variables, name) else { return Ok(None) };
    // Slurm says `2(x3)` for three machines with two tasks each.
    let value = if name.ends_with("TASKS_PER_NODE") { uniform(value) } else { Some(value) };
    let Some(value) = value else { return Ok(None) };
    match value.parse() {
        Ok(value) => Ok(Some(value)),
        Err(_) => wrong(format!("{name} is \"{value}\", which is no number")),
    }
}

/// The tasks of each machine, where all have as many.
fn uniform(list: &str) -> Option<&str> {
    let (first, _) = list.split_once('(').unwrap_or((list, ""));
    (!list.contains(',')).then_some(first)
}

impl Launch {
    /// What this process's environment says; none where it was started alone.
    ///
    /// # Errors
    /// As [`Launch::from_variables`].
    pub fn current() -> Result<Option<Self>> {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        Self::from_variables(&std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect())
    }

    /// What `variables` say; none where no launcher has set any.
    ///
    /// # Errors
    /// Variables that are half set, are no numbers, contradict each other, or do not say where rank 0 is.
    pub fn from_variables(variables: &Variables) -> Result<Option<Self>> {
        let both = |f: &&Family| text(variables, f.rank).is_some() && text(variables, f.world).is_some();
        let any = |f: &&Family| text(variables, f.rank).is_some() || text(variables, f.world).is_some();
        let family = STRICT.iter().find(any).or_else(|| LOOSE.iter().find(both));
        let Some(family) = family else {
            return match text(variables, "LOCAL_RANK") {
                Some(_) => wrong("LOCAL_RANK is set, but RANK and WORLD_SIZE are not".into()),
                None => Ok(None),
            };
        };
        let get = |name: &str| number(variables, name);
        let (process, processes) = match (get(family.rank)?, get(family.world)?) {
            (Some(process), Some(processes)) => (process, processes),
            (Some(_), None) => return wrong(format!("{} is set, but {} is not", family.rank, family.world)),
            (None, _) => return wrong(format!("{} is set, but {} is not", family.world, family.rank)),
        };
        let below = |name: &str, rank: usize, of: &str, world: usize| {
            let last = world.checked_sub(1);
            match last {
                Some(last) if rank <= last => Ok(()),
                _ => wrong(format!("{name} is {rank}, but {of} is {world}: ranks are counted from 0")),
            }
        };
        below(family.rank, process, family.world, processes)?;
        let (local_rank, local_world) = (get(family.local_rank)?, get(family.local_world)?);
        if let (Some(rank), Some(world)) = (local_rank, local_world) {
            below(family.local_rank, rank, family.local_world, world)?;
        }
        if let Some(local) = local_world.filter(|local| *local > processes) {
            let (here, all) = (family.local_world, family.world);
            return wrong(format!("{here} is {local}, but {all} is {processes}"));
        }
        let alone = processes == 1;
        let strict = family.rank == TORCHRUN.rank;
        let address =
            (!alone).then(|| address(variables, strict, local_world == Some(processes))).transpose()?;
        let own_gpu = text(variables, "CUDA_VISIBLE_DEVICES").is_some_and(|list| !list.contains(','));
        Ok(Some(Self { process, processes, local: (local_rank, local_world), address, own_gpu }))
    }
}

impl Launch {
    /// This process's part of the machine's cores, where several processes share them.
    pub fn threads(&self) -> Option<usize> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.local.1.map(|processes| (cores / processes.max(1)).max(1))
    }
}

/// Where rank 0 is.
fn address(variables: &Variables, strict: bool, one_machine: bool) -> Result<String> {
    let get = |name: &str| text(variables, name);
    let host = match (get("MASTER_ADDR"), get("SLURM_JOB_NODELIST")) {
        (Some(host), _) => host.to_owned(),
        (None, _) if strict => return wrong("RANK and WORLD_SIZE are set, but MASTER_ADDR is not".into()),
        (None, _) if one_machine => "127.0.0.1".into(),
        (None, Some(list)) => match first_host(list) {
            Some(host) => host,
            None => return wrong(format!("SLURM_JOB_NODELIST is \"{list}\", which names no host")),
        },
        (None, None) => {
            let what = "nothing says where rank 0 is: set MASTER_ADDR to the name of its machine, as by mpirun -x MASTER_ADDR=…";
            return Err(Error::usage(what));
        }
    };
    let port = match get("MASTER_PORT") {
        Some(port) => match port.parse::<u16>() {
            // torchrun's own store listens there.
            Ok(port) if get("TORCHELASTIC_USE_AGENT_STORE") == Some("True") => port.wrapping_add(1).max(1024),
            Ok(port) if port > 0 => port,
            _ => return wrong(format!("MASTER_PORT is \"{port}\", which is no port")),
        },
        None if strict => return wrong("RANK and WORLD_SIZE are set, but MASTER_PORT is not".into()),
        // Two jobs on one machine should not meet.
        None => PORT + (number(variables, "SLURM_JOB_ID")?.unwrap_or(0) % 1000) as u16,
    };
    // An IPv6 address has colons of its own.
    Ok(if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    })
}

//! Ranks of several processes, on one machine or on many, over TCP.
//!
//! All meet in the process of rank 0 (`hub`), in the same rounds as the ranks of one process ([`super::Threads`]): sums are
//! taken there, in the same order, to the same bits. Each rank of another process (`guest`) has a connection of its own. That
//! is simple, and enough for counting, orders and small models; it is not fast, since everything passes through one machine.
//!
//! A process that ends is noticed by its connection, one that is stopped or cut off by its silence: processes tell each other
//! that they live. Whoever is connected is trusted: the network must be one's own.

mod frame;
mod greeting;
mod guest;
mod hub;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

pub use greeting::{Absent, Facts, Meeting};

use super::{
    Collective, Failure, Stopped,
    round::Group,
    seats::{self, Seat},
    threads::Threads,
};
use guest::Guest;

/// The ranks of this process, among those of others.
#[derive(Debug)]
pub struct Tcp {
    seats: Vec<Arc<dyn Seat>>,
    timeout: Duration,
    /// Where rank 0 is of this process: the table at which all sit.
    group: Option<Arc<Group>>,
}

impl Tcp {
    /// Waits for the ranks of all other processes, as the process of rank 0. Each process that [`Tcp::ask`]s gets `message`,
    /// if it was started with what `facts` say.
    ///
    /// # Errors
    /// Ranks that do not come, or were started otherwise; a port that is taken.
    pub fn host(meeting: &Meeting, facts: &Facts, message: &str) -> Result<Self, Absent> {
        let guests = greeting::host(meeting, facts, message)?;
        let group = Arc::new(Group::new(meeting.world, meeting.timeout));
        for (rank, stream) in (meeting.count..).zip(guests) {
            if let Err(e) = hub::seat(&group, rank, stream) {
                group.end(rank, Some(hub::gone(&e)));
            }
        }
        let seats = Threads::seats(&group, meeting.count);
        Ok(Self { seats, timeout: meeting.timeout, group: Some(group) })
    }

    /// What rank 0 tells the others, as any other process learns it before it joins. `facts` are what this one was started
    /// with, as far as it knows.
    ///
    /// # Errors
    /// Where rank 0 at `address` is not found for as long as `patience`, or was started otherwise: then nobody begins.
    pub fn ask(address: &str, patience: Duration, process: usize, facts: &Facts) -> Result<String, Absent> {
        greeting::ask(address, patience, process, facts)
    }

    /// Comes to rank 0, as any other process.
    ///
    /// # Errors
    /// Where rank 0 is not found, or other ranks do not come.
    pub fn join(meeting: &Meeting) -> Result<Self, Absent> {
        let (streams, timeout) = greeting::join(meeting)?;
        let mut seats: Vec<Arc<dyn Seat>> = vec![];
        for (rank, stream) in (meeting.first..).zip(streams) {
            let guest = Guest::new(stream, rank, meeting.world, timeout).map_err(|source| {
                let (address, patience) = (meeting.address.clone(), meeting.patience);
                Absent::Unreachable { who: format!("rank {rank}"), address, patience, source }
            })?;
            seats.push(Arc::new(guest));
        }
        Ok(Self { seats, timeout, group: None })
    }

    /// Does something that all ranks of this process need, before they [`Tcp::run`]; `work` is given what it should call
    /// now and then as a sign of life. Where it fails, the other ranks learn why.
    ///
    /// # Errors
    /// What `work` returns.
    pub fn prepare<T, E: fmt::Display>(
        &self,
        work: impl FnOnce(&(dyn Fn() + Sync)) -> Result<T, E>,
    ) -> Result<T, E> {
        work(&|| self.seats.iter().for_each(|seat| seat.alive())).inspect_err(|e| {
            self.seats.iter().for_each(|seat| seat.end(Some(e.to_string())));
            self.see_off();
        })
    }

    /// Runs `work` once for each rank of this process, each on a thread of its own, and returns what they return. Where any
    /// rank of any process fails, panics, hangs or vanishes, the next call of each other fails, and this returns when those
    /// of this process have ended; one that hangs is left behind.
    ///
    /// # Errors
    /// [`Stopped`], with the rank that it began with.
    pub fn run<T, E>(
        self,
        work: impl Fn(Arc<dyn Collective>) -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Vec<T>, Stopped<E>>
    where
        T: Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let result = seats::run(&self.seats, self.timeout, work);
        self.see_off();
        result
    }

    /// Why the ranks can not go on together, where that is known.
    pub fn failure(&self) -> Option<Failure> {
        self.seats.iter().find_map(|seat| seat.failure())
    }

    /// Stays until the other processes have heard what there is to hear.
    fn see_off(&self) {
        if let Some(group) = &self.group {
            group.wait_for_the_end(self.timeout);
        }
    }
}

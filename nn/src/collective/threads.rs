//! Several ranks in one process, a thread each.

use std::{fmt, sync::Arc, time::Duration};

use tensor::Tensor;

use super::{
    Collective, Failure, Pending, check_root,
    round::{Call, Group},
    seats::{self, Seat, Stopped},
};
use crate::Result;

/// One of several ranks that are threads of this process.
#[derive(Debug)]
pub struct Threads {
    group: Arc<Group>,
    rank: usize,
}

impl Threads {
    /// Runs `work` once for each of `world` ranks, each on a thread of its own, and returns what they return, in the
    /// order of the ranks. Where one fails, panics or hangs for longer than `timeout`, the next call of each other
    /// rank fails, and this returns when they have ended. A rank that hangs is left behind: a thread can not be ended
    /// from outside.
    ///
    /// # Errors
    /// [`Stopped`], with the rank that it began with.
    pub fn run<T, E>(
        world: usize,
        timeout: Duration,
        work: impl Fn(Arc<dyn Collective>) -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Vec<T>, Stopped<E>>
    where
        T: Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let group = Arc::new(Group::new(world, timeout));
        seats::run(&Self::seats(&group, world), timeout, work)
    }

    /// The first `count` ranks of a group.
    pub(super) fn seats(group: &Arc<Group>, count: usize) -> Vec<Arc<dyn Seat>> {
        let seat = |rank| Arc::new(Self { group: group.clone(), rank }) as Arc<dyn Seat>;
        (0..count).map(seat).collect()
    }

    fn call(&self, call: Call, value: &Tensor) -> Result<Tensor> {
        let round = self.group.put(self.rank, call, value.clone())?;
        self.group.take(self.rank, round)
    }
}

/// A sum that this rank has put its part into.
struct Begun {
    group: Arc<Group>,
    rank: usize,
    round: u64,
}

impl Pending for Begun {
    fn wait(self: Box<Self>) -> Result<Tensor> {
        self.group.take(self.rank, self.round)
    }
}

impl Collective for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world(&self) -> usize {
        self.group.world()
    }

    fn start_all_reduce(&self, value: &Tensor) -> Result<Box<dyn Pending>> {
        let round = self.group.put(self.rank, Call::Sum(value.meta()), value.clone())?;
        Ok(Box::new(Begun { group: self.group.clone(), rank: self.rank, round }))
    }

    fn broadcast(&self, value: &Tensor, root: usize) -> Result<Tensor> {
        check_root(root, self.world())?;
        self.call(Call::Broadcast { meta: value.meta(), root }, value)
    }

    fn barrier(&self) -> Result<()> {
        self.call(Call::Barrier, &Tensor::scalar(0_u8)).map(|_| ())
    }

    fn alive(&self) {
        self.group.alive(self.rank);
    }

    fn failure(&self) -> Option<Failure> {
        self.group.failure()
    }
}

impl Seat for Threads {
    fn end(&self, why: Option<String>) {
        self.group.end(self.rank, why);
    }
}

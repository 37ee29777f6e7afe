//! Several ranks in one process, a thread each.

use std::{
    any::Any,
    collections::BTreeSet,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use tensor::Tensor;

use super::{
    Collective, Failure, Pending, check_root,
    round::{Call, Group},
};
use crate::Result;

/// One of several ranks that are threads of this process.
#[derive(Debug)]
pub struct Threads {
    group: Arc<Group>,
    rank: usize,
}

/// Why [`Threads::run`] ended before its time.
#[derive(Debug)]
pub struct Stopped<E> {
    /// What happened first; the other ranks ended because of it.
    pub failure: Failure,
    /// The error of the rank that it names, where that is what ended it.
    pub cause: Option<Box<E>>,
}

impl<E> fmt::Display for Stopped<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl<E: fmt::Debug> std::error::Error for Stopped<E> {}

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
        let work = Arc::new(work);
        let (send, receive) = channel();
        for rank in 0..world {
            let body = {
                let (group, work, send) = (group.clone(), work.clone(), send.clone());
                move || {
                    let ranks = Arc::new(Threads { group: group.clone(), rank });
                    let result = catch_unwind(AssertUnwindSafe(|| work(ranks)));
                    let result = result.map_err(|panic| format!("it panicked: {}", words(&*panic)));
                    let why = match &result {
                        Ok(Ok(_)) => None,
                        Ok(Err(e)) => Some(e.to_string()),
                        Err(panic) => Some(panic.clone()),
                    };
                    group.end(rank, why);
                    // Nobody listens any more where this rank was given up.
                    let _ = send.send((rank, result.ok()));
                }
            };
            if let Err(e) = thread::Builder::new().name(format!("rank-{rank}")).spawn(body) {
                group.end(rank, Some(format!("its thread could not be started: {e}")));
            }
        }
        drop(send);
        collect(&group, timeout, &receive)
    }

    fn call(&self, call: Call, value: &Tensor) -> Result<Tensor> {
        let round = self.group.put(self.rank, call, value.clone())?;
        self.group.take(self.rank, round)
    }
}

/// Waits until every rank has ended, but for one that hangs.
fn collect<T, E>(
    group: &Group,
    timeout: Duration,
    receive: &Receiver<(usize, Option<Result<T, E>>)>,
) -> Result<Vec<T>, Stopped<E>> {
    let mut results: Vec<Option<Result<T, E>>> = (0..group.world()).map(|_| None).collect();
    let mut missing: BTreeSet<usize> = (0..group.world()).collect();
    let mut until = None;
    while !missing.is_empty() {
        let message = match until {
            None => receive.recv().ok(),
            Some(until) => {
                receive.recv_timeout(Instant::saturating_duration_since(&until, Instant::now())).ok()
            }
        };
        // No message: those that are missing could not be started, or do not listen.
        let Some((rank, result)) = message else { break };
        missing.remove(&rank);
        results[rank] = result;
        if let Some(failure) = group.failure() {
            until = until.or_else(|| Instant::now().checked_add(timeout));
            if let Failure::Hung { rank, .. } = failure {
                missing.remove(&rank);
            }
        }
    }
    if let Some(failure) = group.failure() {
        let cause = match failure {
            Failure::Lost { rank, .. } => results[rank].take().and_then(Result::err).map(Box::new),
            _ => None,
        };
        return Err(Stopped { failure, cause });
    }
    let all: Option<Vec<T>> = results.into_iter().map(|result| result?.ok()).collect();
    // Without a failure every rank has returned.
    all.ok_or_else(|| Stopped {
        failure: Failure::Lost { rank: 0, why: "it returned nothing".into() },
        cause: None,
    })
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_else(|| "no message".into())
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
}

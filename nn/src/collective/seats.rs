//! Ranks of this process at work, a thread each.

use std::{
    any::Any,
    collections::BTreeSet,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Collective, Failure};

/// How often the one who waits for the ranks' threads looks whether their group has ended.
const LOOK: Duration = Duration::from_millis(100);

/// A rank of this process, as the thread that works for it sees it.
pub(super) trait Seat: Collective {
    /// Says that the rank ended, and why if not in good order.
    fn end(&self, why: Option<String>);
}

/// Why ranks ended before their time.
#[derive(Debug)]
pub struct Stopped<E> {
    /// What happened first; the other ranks ended because of it.
    pub failure: Failure,
    /// The error of the rank that it names, where that is what ended it and the rank is of this process.
    pub cause: Option<Box<E>>,
}

impl<E> fmt::Display for Stopped<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl<E: fmt::Debug> std::error::Error for Stopped<E> {}

/// Runs `work` once for each seat and returns what they return, in the order of the seats. A rank that hangs is left behind:
/// a thread can not be ended from outside.
pub(super) fn run<T, E>(
    seats: &[Arc<dyn Seat>],
    timeout: Duration,
    work: impl Fn(Arc<dyn Collective>) -> Result<T, E> + Send + Sync + 'static,
) -> Result<Vec<T>, Stopped<E>>
where
    T: Send + 'static,
    E: fmt::Display + Send + 'static,
{
    let work = Arc::new(work);
    let (send, receive) = channel();
    for (place, seat) in seats.iter().enumerate() {
        let body = {
            let (seat, work, send) = (seat.clone(), work.clone(), send.clone());
            move || {
                let result = catch_unwind(AssertUnwindSafe(|| work(seat.clone())));
                let result = result.map_err(|panic| format!("it panicked: {}", words(&*panic)));
                let why = match &result {
                    Ok(Ok(_)) => None,
                    Ok(Err(e)) => Some(e.to_string()),
                    Err(panic) => Some(panic.clone()),
                };
                seat.end(why);
                // Nobody listens any more where this rank was given up.
                let _ = send.send((place, result.ok()));
            }
        };
        if let Err(e) = thread::Builder::new().name(format!("rank-{}", seat.rank())).spawn(body) {
            seat.end(Some(format!("its thread could not be started: {e}")));
        }
    }
    drop(send);
    collect(seats, timeout, &receive)
}

/// Waits until every rank of this process has ended, but for one that hangs.
fn collect<T, E>(
    seats: &[Arc<dyn Seat>],
    timeout: Duration,
    receive: &Receiver<(usize, Option<Result<T, E>>)>,
) -> Result<Vec<T>, Stopped<E>> {
    let failure = || seats.iter().find_map(|seat| seat.failure());
    let mut results: Vec<Option<Result<T, E>>> = seats.iter().map(|_| None).collect();
    let mut missing: BTreeSet<usize> = (0..seats.len()).collect();
    let mut until = None;
    while !missing.is_empty() && until.is_none_or(|until| Instant::now() < until) {
        match receive.recv_timeout(LOOK) {
            Ok((place, result)) => {
                missing.remove(&place);
                results[place] = result;
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Those that are missing could not be started.
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if let Some(failure) = failure() {
            until = until.or_else(|| Instant::now().checked_add(timeout));
            if let Failure::Hung { rank, .. } = failure {
                missing.retain(|place| seats[*place].rank() != rank);
            }
        }
    }
    if let Some(failure) = failure() {
        let place = seats.iter().position(|seat| seat.rank() == failure.rank());
        let cause = match (&failure, place) {
            (Failure::Lost { .. }, Some(place)) => results[place].take().and_then(Result::err).map(Box::new),
            _ => None,
        };
        return Err(Stopped { failure, cause });
    }
    let all: Option<Vec<T>> = results.into_iter().map(|result| result?.ok()).collect();
    // Without a failure every rank has returned.
    all.ok_or_else(|| Stopped {
        failure: Failure::Lost { rank: seats[0].rank(), why: "it returned nothing".into() },
        cause: None,
    })
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_else(|| "no message".into())
}

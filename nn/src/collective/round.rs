//! Where ranks of one process meet: numbered rounds, into which each rank puts its value and from which each takes
//! the result.
//!
//! A rank's n-th call belongs to round n. Whoever comes last computes the result, in the order of the ranks, so that
//! nobody needs a thread of its own for it, and a rank that began a sum early finds it done. Waiting ranks keep watch:
//! one that neither comes nor waits itself nor gives a sign of life within the timeout ends the group for all.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tensor::{Meta, Ops, Tensor};

use super::Failure;
use crate::{Error, Result};

/// What a round does.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    Sum(Meta),
    Broadcast { meta: Meta, root: usize },
    Barrier,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Sum(meta) => write!(f, "a sum of {meta}"),
            Call::Broadcast { meta, root } => write!(f, "a broadcast of {meta} from rank {root}"),
            Call::Barrier => f.write_str("a barrier"),
        }
    }
}

/// One call, as far as it has come.
#[derive(Debug)]
struct Round {
    call: Call,
    /// Who came first.
    by: usize,
    values: Vec<Option<Tensor>>,
    result: Option<Result<Tensor, String>>,
    /// Ranks that took the result.
    taken: usize,
}

/// What became of a round.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is complete.
    Done(Result<Tensor>),
    /// The group has ended before.
    Failed(Failure),
    /// The rank that asks has ended.
    Ended,
}

/// What is known of a rank.
#[derive(Debug)]
struct Member {
    /// Its last sign of life.
    seen: Instant,
    /// Calls that it has begun.
    calls: u64,
    /// The last of them.
    last: Option<Call>,
    /// Whether it waits for others.
    waits: bool,
    /// Whether it has ended in good order.
    ended: bool,
}

#[derive(Debug)]
struct State {
    rounds: BTreeMap<u64, Round>,
    members: Vec<Member>,
    failure: Option<Failure>,
}

/// What the ranks of a group share.
#[derive(Debug)]
pub(super) struct Group {
    world: usize,
    timeout: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

impl Group {
    pub fn new(world: usize, timeout: Duration) -> Self {
        let seen = Instant::now();
        let member = |_| Member { seen, calls: 0, last: None, waits: false, ended: false };
        let state =
            State { rounds: BTreeMap::new(), members: (0..world).map(member).collect(), failure: None };
        Self { world, timeout, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub fn world(&self) -> usize {
        self.world
    }

    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Why the group ended before its time, if it did.
    pub fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sign of life.
    pub fn alive(&self, rank: usize) {
        self.lock().members[rank].seen = Instant::now();
    }

    /// Says that a rank ended, and why if not in good order; others that need it are told.
    pub fn end(&self, rank: usize, why: Option<String>) {
        let mut state = self.lock();
        state.members[rank].ended = true;
        if let Some(why) = why {
            state.fail(Failure::Lost { rank, why });
        }
        self.changed.notify_all();
    }

    /// Puts a rank's value into the round of its next call; returns the round's number.
    pub fn put(&self, rank: usize, call: Call, value: Tensor) -> Result<u64> {
        let mut state = self.lock();
        let round = state.enter(rank, call, value).inspect_err(|_| self.changed.notify_all())?;
        let Some((call, values)) = state.complete(round) else { return Ok(round) };
        // The others need not stand still meanwhile.
        drop(state);
        let result = result(&call, &values).map_err(|e| e.to_string());
        let mut state = self.lock();
        if let Some(round) = state.rounds.get_mut(&round) {
            round.result = Some(result);
        }
        self.changed.notify_all();
        Ok(round)
    }

    /// Waits for the result of a round that this rank has put its value into.
    pub fn take(&self, rank: usize, round: u64) -> Result<Tensor> {
        match self.outcome(rank, round) {
            Outcome::Done(result) => result,
            Outcome::Failed(failure) => Err(failure.into()),
            Outcome::Ended => Err(Error::config("collective", format!("rank {rank} has ended"))),
        }
    }

    /// Waits for the result of a round, also where this rank has yet to put its value into it; keeps watch over the others
    /// once it has.
    pub fn outcome(&self, rank: usize, round: u64) -> Outcome {
        let mut state = self.lock();
        let outcome = loop {
            if let Some(result) = state.taken(round) {
                break Outcome::Done(result);
            }
            if let Some(failure) = state.failure.clone() {
                break Outcome::Failed(failure);
            }
            if state.members[rank].ended {
                break Outcome::Ended;
            }
            let here = state.members[rank].calls > round;
            state.members[rank].waits = here;
            let patience =
                if here { state.watch(round, Instant::now(), self.timeout) } else { Ok(self.timeout) };
            match patience {
                Ok(patience) => {
                    let waited = self.changed.wait_timeout(state, patience);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Err(failure) => {
                    state.fail(failure);
                    self.changed.notify_all();
                }
            }
        };
        let member = &mut state.members[rank];
        member.waits = false;
        if matches!(outcome, Outcome::Done(_)) {
            member.seen = Instant::now();
        }
        outcome
    }

    /// Ends the group for all, for a reason that lies outside of its calls.
    pub fn fail(&self, failure: Failure) {
        self.lock().fail(failure);
        self.changed.notify_all();
    }

    /// Lets those who wait look again, as after a value that somebody else has put for a rank.
    pub fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits until every rank has ended, but not for longer than `patience`.
    pub fn wait_for_the_end(&self, patience: Duration) {
        let state = self.lock();
        let missing = |state: &mut State| state.members.iter().any(|member| !member.ended);
        drop(self.changed.wait_timeout_while(state, patience, missing));
    }
}

impl State {
    /// The first failure is the cause of all others.
    fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    fn enter(&mut self, rank: usize, call: Call, value: Tensor) -> Result<u64> {
        if let Some(failure) = self.failure.clone() {
            return Err(failure.into());
        }
        let world = self.members.len();
        let member = &mut self.members[rank];
        let number = member.calls;
        (member.calls, member.seen, member.last) = (number + 1, Instant::now(), Some(call.clone()));
        let new =
            || Round { call: call.clone(), by: rank, values: vec![None; world], result: None, taken: 0 };
        let round = self.rounds.entry(number).or_insert_with(new);
        if round.call != call {
            let (other, has) = (round.by, round.call.to_string());
            let failure = Failure::Disagree { call: number + 1, rank, wants: call.to_string(), other, has };
            self.fail(failure.clone());
            return Err(failure.into());
        }
        round.values[rank] = Some(value);
        Ok(number)
    }

    /// The values of a round to which every rank has come, taken out.
    fn complete(&mut self, round: u64) -> Option<(Call, Vec<Tensor>)> {
        let round = self.rounds.get_mut(&round)?;
        if round.values.iter().any(Option::is_none) {
            return None;
        }
        Some((round.call.clone(), round.values.iter_mut().filter_map(Option::take).collect()))
    }

    /// A round's result, where there is one; the last rank to take it ends the round.
    fn taken(&mut self, number: u64) -> Option<Result<Tensor>> {
        let round = self.rounds.get_mut(&number)?;
        let result = round.result.clone()?;
        round.taken += 1;
        if round.taken == self.members.len() {
            self.rounds.remove(&number);
        }
        Some(result.map_err(|why| Error::config("collective", why)))
    }

    /// How long the ranks that are missing in a round may still be waited for, or which one has ended or hangs.
    fn watch(&self, number: u64, now: Instant, timeout: Duration) -> Result<Duration, Failure> {
        let mut patience = timeout;
        for (rank, member) in self.members.iter().enumerate() {
            // One that waits for others can not help it; one of those will be found.
            if member.calls > number || member.waits {
                continue;
            }
            let at = || {
                let call = self.rounds.get(&number).map(|round| round.call.to_string());
                format!("{} (call {})", call.unwrap_or_default(), number + 1)
            };
            if member.ended {
                return Err(Failure::Lost {
                    rank,
                    why: format!("it ended while others wait for it at {}", at()),
                });
            }
            let quiet = now.saturating_duration_since(member.seen);
            if quiet >= timeout {
                let last = match &member.last {
                    Some(call) => format!("{call} (call {})", member.calls),
                    None => "none".into(),
                };
                return Err(Failure::Hung { rank, timeout, at: at(), last });
            }
            patience = patience.min(timeout - quiet);
        }
        Ok(patience)
    }
}

/// What a complete round results in.
fn result(call: &Call, values: &[Tensor]) -> Result<Tensor> {
    match call {
        Call::Sum(_) => {
            let (first, rest) =
                values.split_first().ok_or_else(|| Error::config("collective", "no ranks"))?;
            rest.iter().try_fold(first.clone(), |sum, value| Ok(sum.add(value)?))
        }
        Call::Broadcast { root, .. } => Ok(values[*root].clone()),
        Call::Barrier => Ok(values[0].clone()),
    }
}

#[cfg(test)]
mod tests;

//! A rank of another process than rank 0's, at its end of the connection.

use std::{
    collections::VecDeque,
    net::{Shutdown, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tensor::{Meta, Tensor};

use super::{
    super::{Collective, Failure, Pending, check_root, round::Call, seats::Seat},
    frame::{self, Kind, TENSORS, WORDS},
    hub::{gone, locked},
};
use crate::{Error, Result};

/// Longest time between two signs of life of the process.
const PULSE: Duration = Duration::from_secs(5);

/// One rank.
#[derive(Debug)]
pub(super) struct Guest {
    link: Arc<Link>,
    rank: usize,
    world: usize,
}

#[derive(Debug)]
struct Link {
    to: Mutex<TcpStream>,
    state: Mutex<State>,
    changed: Condvar,
    timeout: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// Calls that were begun.
    calls: u64,
    /// Results that came and were not waited for yet, the first of them for call number `first`.
    results: VecDeque<Option<Result<Vec<u8>, String>>>,
    first: u64,
    failure: Option<Failure>,
    ended: bool,
}

impl Guest {
    /// Takes a connection over, on which all have said that they are here.
    ///
    /// # Errors
    /// Where the system gives no thread, or has closed the connection.
    pub fn new(stream: TcpStream, rank: usize, world: usize, timeout: Duration) -> std::io::Result<Self> {
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let from = stream.try_clone()?;
        let (to, state, changed) = (Mutex::new(stream), Mutex::default(), Condvar::new());
        let link = Arc::new(Link { to, state, changed, timeout });
        let (ears, heart) = (link.clone(), link.clone());
        thread::Builder::new().name(format!("rank-{rank}-hears")).spawn(move || ears.hear(from))?;
        thread::Builder::new().name(format!("rank-{rank}-pulse")).spawn(move || heart.beat())?;
        Ok(Self { link, rank, world })
    }

    /// Begins a call; `brings` says whether the value goes with it.
    fn put(&self, call: &Call, value: &Tensor, brings: bool) -> Result<u64> {
        let bytes = if brings { value.to_bytes()? } else { vec![] };
        let number = {
            let mut state = self.link.lock();
            state.check(self.rank)?;
            state.calls += 1;
            state.calls - 1
        };
        let said = locked(&self.link.to, |to| frame::write(to, Kind::Put, &[&frame::encode(call), &bytes]));
        match said {
            Ok(()) => Ok(number),
            // The thread that hears comes to know why.
            Err(_) => self
                .link
                .wait(number, self.rank)
                .and_then(|_| Err(Failure::Lost { rank: 0, why: "it left".into() }.into())),
        }
    }

    fn call(&self, call: &Call, value: &Tensor, brings: bool) -> Result<Tensor> {
        let number = self.put(call, value, brings)?;
        self.link.tensor(number, self.rank, &value.meta())
    }
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the bytes that a call of this rank results in.
    fn wait(&self, number: u64, rank: usize) -> Result<Vec<u8>> {
        let mut state = self.lock();
        loop {
            if let Some(result) = state.take(number) {
                return result.map_err(|why| Error::config("collective", why));
            }
            state.check(rank)?;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn tensor(&self, number: u64, rank: usize, meta: &Meta) -> Result<Tensor> {
        Ok(Tensor::from_bytes(&self.wait(number, rank)?, &meta.dims, meta.dtype)?)
    }

    /// Takes what rank 0's process sends, until there is no more to come.
    fn hear(&self, mut from: TcpStream) {
        loop {
            let failure = match frame::read(&mut from, TENSORS) {
                Ok((Kind::Value, bytes)) => {
                    self.lock().results.push_back(Some(Ok(bytes)));
                    self.changed.notify_all();
                    continue;
                }
                Ok((Kind::Wrong, bytes)) => {
                    let why = frame::heard(&bytes).unwrap_or_else(|e| e.to_string());
                    self.lock().results.push_back(Some(Err(why)));
                    self.changed.notify_all();
                    continue;
                }
                Ok((Kind::Pong, _)) => continue,
                Ok((Kind::Failed, bytes)) if bytes.len() as u64 <= WORDS => {
                    frame::heard(&bytes).unwrap_or_else(|e| Failure::Lost { rank: 0, why: e.to_string() })
                }
                Ok(_) => Failure::Lost { rank: 0, why: frame::strange("order").to_string() },
                Err(e) if frame::silent(&e) => Failure::Silent { rank: 0, timeout: self.timeout },
                Err(e) => Failure::Lost { rank: 0, why: gone(&e) },
            };
            let mut state = self.lock();
            if !state.ended {
                state.failure.get_or_insert(failure);
            }
            drop(state);
            return self.changed.notify_all();
        }
    }

    /// Lets rank 0's process know that this one lives, and learns the same from its answers.
    fn beat(&self) {
        let pulse = PULSE.min(self.timeout / 4);
        let mut state = self.lock();
        while !state.ended && state.failure.is_none() {
            let waited = self.changed.wait_timeout_while(state, pulse, |s| !s.ended && s.failure.is_none());
            drop(waited);
            // Where this fails, the thread that hears finds out.
            let _ = locked(&self.to, |to| frame::write(to, Kind::Ping, &[]));
            state = self.lock();
        }
    }
}

impl State {
    /// Fails where nothing will come any more: the group has failed, or this rank has ended.
    fn check(&self, rank: usize) -> Result<()> {
        match &self.failure {
            Some(failure) => Err(failure.clone().into()),
            None if self.ended => Err(Error::config("collective", format!("rank {rank} has ended"))),
            None => Ok(()),
        }
    }

    /// The result of a call, where it is here.
    fn take(&mut self, number: u64) -> Option<Result<Vec<u8>, String>> {
        let result = self.results.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)?.take();
        while matches!(self.results.front(), Some(None)) {
            self.results.pop_front();
            self.first += 1;
        }
        result
    }
}

/// A sum that this rank has sent its part of.
struct Begun {
    link: Arc<Link>,
    rank: usize,
    number: u64,
    meta: Meta,
}

impl Pending for Begun {
    fn wait(self: Box<Self>) -> Result<Tensor> {
        self.link.tensor(self.number, self.rank, &self.meta)
    }
}

impl Collective for Guest {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world(&self) -> usize {
        self.world
    }

    fn start_all_reduce(&self, value: &Tensor) -> Result<Box<dyn Pending>> {
        let meta = value.meta();
        let number = self.put(&Call::Sum(meta.clone()), value, true)?;
        Ok(Box::new(Begun { link: self.link.clone(), rank: self.rank, number, meta }))
    }

    fn broadcast(&self, value: &Tensor, root: usize) -> Result<Tensor> {
        check_root(root, self.world)?;
        let call = Call::Broadcast { meta: value.meta(), root };
        self.call(&call, value, root == self.rank)
    }

    fn barrier(&self) -> Result<()> {
        self.call(&Call::Barrier, &Tensor::scalar(0_u8), false).map(|_| ())
    }

    fn alive(&self) {
        let _ = locked(&self.link.to, |to| frame::write(to, Kind::Alive, &[]));
    }

    fn failure(&self) -> Option<Failure> {
        self.link.lock().failure.clone()
    }
}

impl Seat for Guest {
    fn end(&self, why: Option<String>) {
        // First, so that what rank 0's process does when it hears of it is no surprise.
        let mut state = self.link.lock();
        state.ended = true;
        if let Some(why) = &why {
            state.failure.get_or_insert(Failure::Lost { rank: self.rank, why: why.clone() });
        }
        drop(state);
        self.link.changed.notify_all();
        let _ = locked(&self.link.to, |to| frame::say(to, Kind::End, &why));
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.link.lock().ended = true;
        self.link.changed.notify_all();
        let stream = self.link.to.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = stream.shutdown(Shutdown::Both);
    }
}

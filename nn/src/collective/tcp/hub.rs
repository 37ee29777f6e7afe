//! The process of rank 0: ranks of other processes sit at the same table as its own. Two threads speak for each of them; one
//! puts what it brings into the group's rounds, one sends back what comes out.

use std::{
    io,
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use super::{
    super::{
        Failure,
        round::{Group, Outcome},
    },
    frame::{self, Kind, TENSORS},
};

/// Seats `rank`, which is at the other end of `stream`, in `group`.
///
/// # Errors
/// Where the system gives no thread, or has closed the connection.
pub(super) fn seat(group: &Arc<Group>, rank: usize, stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(group.timeout()))?;
    stream.set_write_timeout(Some(group.timeout()))?;
    let from = stream.try_clone()?;
    let to = Arc::new(Mutex::new(stream));
    let (reader, writer) = ((group.clone(), to.clone()), group.clone());
    let thread = |what: &str| thread::Builder::new().name(format!("rank-{rank}-{what}"));
    thread("hears").spawn(move || hear(&reader.0, rank, from, &reader.1))?;
    thread("tells").spawn(move || tell(&writer, rank, &to))?;
    Ok(())
}

/// Does what the rank says, until it has ended.
fn hear(group: &Group, rank: usize, mut from: TcpStream, to: &Mutex<TcpStream>) {
    loop {
        let heard = frame::read(&mut from, TENSORS).and_then(|(kind, bytes)| match kind {
            Kind::Put => {
                let (call, value) = frame::decode(&bytes)?;
                // Where this fails the group has ended, and the other thread says so.
                let _ = group.put(rank, call, value);
                group.notify();
                Ok(None)
            }
            Kind::Alive => {
                group.alive(rank);
                Ok(None)
            }
            Kind::Ping => locked(to, |to| frame::write(to, Kind::Pong, &[])).map(|()| None),
            Kind::End => Ok(Some(frame::heard::<Option<String>>(&bytes)?)),
            _ => Err(frame::strange("order")),
        });
        match heard {
            Ok(None) => {}
            Ok(Some(why)) => return group.end(rank, why),
            Err(e) if frame::silent(&e) => {
                group.fail(Failure::Silent { rank, timeout: group.timeout() });
                return group.end(rank, None);
            }
            Err(e) => return group.end(rank, Some(gone(&e))),
        }
    }
}

/// Sends the rank the result of each round, or why there are no more.
fn tell(group: &Group, rank: usize, to: &Mutex<TcpStream>) {
    for round in 0.. {
        let said = match group.outcome(rank, round) {
            Outcome::Done(result) => {
                let bytes = result.and_then(|value| Ok(value.to_bytes()?));
                locked(to, |to| match &bytes {
                    Ok(bytes) => frame::write(to, Kind::Value, &[bytes]),
                    Err(e) => frame::say(to, Kind::Wrong, &e.to_string()),
                })
            }
            Outcome::Failed(failure) => {
                let _ = locked(to, |to| frame::say(to, Kind::Failed, &failure));
                return;
            }
            Outcome::Ended => return,
        };
        if let Err(e) = said {
            group.end(rank, Some(gone(&e)));
            return;
        }
    }
}

/// What a connection that ends without a word is told as.
pub(super) fn gone(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "its process is gone: was it killed?".into()
        }
        _ => format!("its connection broke: {e}"),
    }
}

/// Uses a connection; one on which a frame was not finished is closed, as nothing can follow.
pub(super) fn locked(
    stream: &Mutex<TcpStream>,
    write: impl FnOnce(&mut TcpStream) -> io::Result<()>,
) -> io::Result<()> {
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    write(&mut stream).inspect_err(|_| drop(stream.shutdown(Shutdown::Both)))
}

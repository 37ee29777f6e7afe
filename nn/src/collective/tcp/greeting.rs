//! How ranks of several processes come together: each says who it is and what it was started with, and the hub takes it in
//! only where that fits what rank 0 was started with.

use std::{
    io,
    net::{TcpListener, TcpStream, ToSocketAddrs},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::frame::{self, Kind, WORDS};

/// Changes with the frames.
const PROTOCOL: u32 = 1;

/// How long a stranger may take to say hello, and how often one that waits looks again.
const HELLO: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(50);

/// What ranks of several processes have to know to find each other.
#[derive(Debug, Clone)]
pub struct Meeting {
    /// Where rank 0 listens: `host:port`.
    pub address: String,
    /// Number of ranks of all processes.
    pub world: usize,
    /// The first rank of this process; 0 for the one that listens.
    pub first: usize,
    /// Number of ranks of this process, from the first one on.
    pub count: usize,
    /// How long the ranks wait for each other to come.
    pub patience: Duration,
    /// How long a rank may give no sign of life later; rank 0's holds for all.
    pub timeout: Duration,
}

/// Why ranks of several processes did not come together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Absent {
    /// The address can not be listened at.
    #[error(
        "rank 0 can not listen at port {port}: {source}; is another program, or another training, there?"
    )]
    Port {
        /// The port.
        port: u16,
        /// The system's reason.
        source: io::Error,
    },
    /// What should be `host:port` is not.
    #[error("\"{0}\" is no address of rank 0: it should be host:port")]
    Address(String),
    /// Some ranks did not come.
    #[error("{} did not come within {} s; {here} of {world} are here, at {address}", ranks(missing), patience.as_secs_f64())]
    Missing {
        /// Those that did not.
        missing: Vec<usize>,
        /// Number of those that did.
        here: usize,
        /// Number of all.
        world: usize,
        /// Where rank 0 listens.
        address: String,
        /// How long was waited.
        patience: Duration,
    },
    /// Rank 0 was not found.
    #[error("{who} can not reach rank 0 at {address}: {source} (tried for {} s)", patience.as_secs_f64())]
    Unreachable {
        /// Who looked for it.
        who: String,
        /// Where.
        address: String,
        /// How long.
        patience: Duration,
        /// What the system said the last time.
        source: io::Error,
    },
    /// A rank was started otherwise than rank 0.
    #[error("{0}")]
    Differs(String),
}

fn ranks(list: &[usize]) -> String {
    let all: Vec<String> = list.iter().map(usize::to_string).collect();
    format!("{} {}", if all.len() == 1 { "rank" } else { "ranks" }, all.join(", "))
}

/// Name and value of what must be the same for all processes.
pub type Facts = [(String, String)];

/// Of another version of the program, only the first two fields can be read.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    protocol: u32,
    version: String,
    who: serde_json::Value,
}

#[derive(Debug, Serialize, Deserialize)]
enum Who {
    /// A process that wants to know rank 0's message, and says what it was started with.
    Process { number: usize, facts: Vec<(String, String)> },
    /// A rank that comes to stay.
    Rank { rank: usize, world: usize },
}

/// What rank 0 answers.
#[derive(Debug, Serialize, Deserialize)]
struct Welcome {
    /// What rank 0 tells everybody; or why nobody can begin.
    message: Result<String, String>,
    timeout: Duration,
}

impl Hello {
    fn new(who: &Who) -> Self {
        let who = serde_json::to_value(who).unwrap_or_default();
        Self { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").into(), who }
    }

    /// Who comes, where that can be read.
    fn who(&self) -> Option<Who> {
        serde_json::from_value(self.who.clone()).ok()
    }

    /// What does not fit rank 0's program, options and ranks; both sides named.
    fn differs(&self, meeting: &Meeting, facts: &Facts) -> Option<String> {
        let known = self.who();
        let who = match &known {
            Some(Who::Process { number, .. }) => format!("process {number}"),
            Some(Who::Rank { rank, .. }) => format!("rank {rank}"),
            None => "a process".to_owned(),
        };
        let mut pairs = vec![
            ("program version", self.version.clone(), env!("CARGO_PKG_VERSION").to_owned()),
            ("protocol", self.protocol.to_string(), PROTOCOL.to_string()),
        ];
        match &known {
            None => {}
            Some(Who::Process { facts: theirs, .. }) => {
                for (name, there) in theirs {
                    if let Some((_, here)) = facts.iter().find(|(other, _)| other == name) {
                        pairs.push((name, there.clone(), here.clone()));
                    }
                }
            }
            Some(Who::Rank { world, .. }) => {
                pairs.push(("number of ranks", world.to_string(), meeting.world.to_string()));
            }
        }
        let (name, there, here) = pairs.into_iter().find(|(_, there, here)| there != here)?;
        Some(format!(
            "{who} was started with {name} {there}, process 0 with {here}: all processes want the same program and options"
        ))
    }
}

/// Connections to all ranks of other processes, in the order of the ranks, once all have come.
pub(super) fn host(meeting: &Meeting, facts: &Facts, message: &str) -> Result<Vec<TcpStream>, Absent> {
    let (_, port) = meeting.address.rsplit_once(':').unwrap_or_default();
    let port: u16 = port.parse().map_err(|_| Absent::Address(meeting.address.clone()))?;
    // Any interface: the name that others know this machine by need not be one of its own addresses.
    let listen = TcpListener::bind(("::", port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)));
    let listener = listen.and_then(|l| l.set_nonblocking(true).map(|()| l));
    let listener = listener.map_err(|source| Absent::Port { port, source })?;
    let mut guests: Vec<Option<TcpStream>> = (meeting.count..meeting.world).map(|_| None).collect();
    let start = Instant::now();
    while guests.iter().any(Option::is_none) {
        if start.elapsed() > meeting.patience {
            let missing = (0..guests.len()).filter(|i| guests[*i].is_none()).map(|i| i + meeting.count);
            let missing: Vec<usize> = missing.collect();
            let here = meeting.world - missing.len();
            let (world, address, patience) = (meeting.world, meeting.address.clone(), meeting.patience);
            return Err(Absent::Missing { missing, here, world, address, patience });
        }
        let Ok((mut stream, _)) = listener.accept() else {
            thread::sleep(AGAIN);
            continue;
        };
        // Who says nothing that a rank would say is a stranger, and left.
        let Ok(hello) = greeted(&mut stream) else { continue };
        let place = match hello.who() {
            Some(Who::Rank { rank, .. }) => {
                Some((rank, rank.checked_sub(meeting.count).filter(|i| *i < guests.len())))
            }
            Some(Who::Process { .. }) | None => None,
        };
        let wrong = hello.differs(meeting, facts).or_else(|| match place? {
            (rank, None) => Some(format!("rank {rank} is one of process 0, or none of {}", meeting.world)),
            (rank, Some(i)) => {
                guests[i].is_some().then(|| format!("two processes say that they have rank {rank}"))
            }
        });
        let answer = wrong.clone().map_or_else(|| Ok(message.to_owned()), Err);
        let said =
            frame::say(&mut stream, Kind::Welcome, &Welcome { message: answer, timeout: meeting.timeout });
        match (wrong, place) {
            (Some(why), _) => {
                // Nobody can begin: all that are here learn why.
                let no = Welcome { message: Err(why.clone()), timeout: meeting.timeout };
                guests.iter_mut().flatten().for_each(|guest| drop(frame::say(guest, Kind::Welcome, &no)));
                return Err(Absent::Differs(why));
            }
            (None, Some((_, Some(i)))) if said.is_ok() => guests[i] = Some(stream),
            (None, _) => {}
        }
    }
    let mut guests: Vec<TcpStream> = guests.into_iter().flatten().collect();
    // Who is gone again by now is missed later.
    guests.iter_mut().for_each(|guest| drop(frame::write(guest, Kind::Go, &[])));
    Ok(guests)
}

fn greeted(stream: &mut TcpStream) -> io::Result<Hello> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HELLO))?;
    stream.set_write_timeout(Some(HELLO))?;
    match frame::read(stream, WORDS)? {
        (Kind::Hello, bytes) => frame::heard(&bytes),
        _ => Err(frame::strange("kind")),
    }
}

/// Rank 0's message.
pub(super) fn ask(
    address: &str,
    patience: Duration,
    process: usize,
    facts: &Facts,
) -> Result<String, Absent> {
    let visit = Visit { who: format!("process {process}"), address, patience, start: Instant::now() };
    let hello = Hello::new(&Who::Process { number: process, facts: facts.to_vec() });
    Ok(visit.welcome(&mut visit.knock(&hello)?)?.0)
}

/// A connection to rank 0 for each rank of this process, once all ranks have come, and how long one waits for a sign of life.
pub(super) fn join(meeting: &Meeting) -> Result<(Vec<TcpStream>, Duration), Absent> {
    let start = Instant::now();
    let visit = |rank: usize| {
        let (address, patience) = (meeting.address.as_str(), meeting.patience);
        Visit { who: format!("rank {rank}"), address, patience, start }
    };
    let ranks = meeting.first..meeting.first + meeting.count;
    let hello = |rank| Hello::new(&Who::Rank { rank, world: meeting.world });
    let mut streams =
        ranks.clone().map(|rank| visit(rank).knock(&hello(rank))).collect::<Result<Vec<_>, _>>()?;
    let mut timeout = meeting.timeout;
    for (rank, stream) in ranks.zip(&mut streams) {
        timeout = visit(rank).welcome(stream)?.1;
        visit(rank).go(stream)?;
    }
    Ok((streams, timeout))
}

/// One who comes to rank 0.
struct Visit<'a> {
    who: String,
    address: &'a str,
    patience: Duration,
    start: Instant,
}

impl Visit<'_> {
    fn failed(&self, source: io::Error) -> Absent {
        let (who, address, patience) = (self.who.clone(), self.address.to_owned(), self.patience);
        Absent::Unreachable { who, address, patience, source }
    }

    /// A connection on which hello was said. Rank 0 may not be there yet, nor its name be known.
    fn knock(&self, hello: &Hello) -> Result<TcpStream, Absent> {
        loop {
            match connect(self.address, hello) {
                Ok(stream) => return Ok(stream),
                Err(e) if self.start.elapsed() > self.patience => return Err(self.failed(e)),
                Err(_) => thread::sleep(AGAIN),
            }
        }
    }

    fn hear(&self, stream: &mut TcpStream) -> Result<(Kind, Vec<u8>), Absent> {
        let left = self.patience.saturating_sub(self.start.elapsed()) + HELLO;
        let set = stream.set_read_timeout(Some(left));
        set.and_then(|()| frame::read(stream, WORDS)).map_err(|e| self.failed(e))
    }

    fn welcome(&self, stream: &mut TcpStream) -> Result<(String, Duration), Absent> {
        match self.hear(stream)? {
            (Kind::Welcome, bytes) => {
                let Welcome { message, timeout } = frame::heard(&bytes).map_err(|e| self.failed(e))?;
                Ok((message.map_err(Absent::Differs)?, timeout))
            }
            _ => Err(self.failed(frame::strange("order"))),
        }
    }

    /// Waits until all are here; where one is refused meanwhile, all are.
    fn go(&self, stream: &mut TcpStream) -> Result<(), Absent> {
        match self.hear(stream)? {
            (Kind::Go, _) => Ok(()),
            (Kind::Welcome, bytes) => {
                let Welcome { message, .. } = frame::heard(&bytes).map_err(|e| self.failed(e))?;
                Err(message.map_or_else(Absent::Differs, |_| self.failed(frame::strange("order"))))
            }
            _ => Err(self.failed(frame::strange("order"))),
        }
    }
}

fn connect(address: &str, hello: &Hello) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, HELLO) {
            Ok(mut stream) => {
                stream.set_nodelay(true)?;
                frame::say(&mut stream, Kind::Hello, hello)?;
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

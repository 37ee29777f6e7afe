//! Ranks of several "processes", each with connections of its own, promise what threads promise; and what they add: being
//! told apart where they were started differently, and being missed.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tensor::{Ops, Tensor};

use super::{
    super::{
        Collective, Failure, Stopped,
        tests::{PATIENT, SHORT, mine, promises, sums_under_way},
    },
    Absent, Meeting, Tcp,
    frame::{self, Kind, WORDS},
};
use crate::{Error, Result};

/// An address of this machine at which nobody listens.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn meeting(address: &str, world: usize, first: usize, count: usize) -> Meeting {
    Meeting { address: address.into(), world, first, count, patience: PATIENT, timeout: PATIENT }
}

fn facts(seed: &str) -> Vec<(String, String)> {
    [("model", "tiny"), ("seed", seed)].map(|(name, value)| (name.into(), value.into())).into()
}

fn come(meeting: &Meeting) -> Result<Tcp, Absent> {
    match meeting.first {
        0 => Tcp::host(meeting, &facts("7"), "hello"),
        first => {
            let told = Tcp::ask(&meeting.address, meeting.patience, first / meeting.count, &facts("7")[1..])?;
            assert_eq!(told, "hello");
            Tcp::join(meeting)
        }
    }
}

/// What each of `processes` processes of `count` ranks ends with.
fn each<T: Send + 'static>(
    processes: usize,
    count: usize,
    timeout: Duration,
    work: impl Fn(&dyn Collective) -> Result<T> + Send + Sync + 'static,
) -> Vec<Result<Vec<T>, Stopped<Error>>> {
    let (address, work) = (free_address(), Arc::new(work));
    let process = |n: usize| {
        let work = work.clone();
        let meeting = Meeting { timeout, ..meeting(&address, processes * count, n * count, count) };
        thread::spawn(move || come(&meeting).unwrap().run(move |ranks| work(&*ranks)))
    };
    let all: Vec<_> = (0..processes).rev().map(process).collect();
    all.into_iter().rev().map(|process| process.join().unwrap()).collect()
}

#[test]
fn promises_are_kept_over_processes() {
    for (processes, count) in [(3, 1), (2, 2)] {
        assert!(each(processes, count, PATIENT, promises).iter().all(std::result::Result::is_ok));
    }
    let sums: Vec<_> =
        each(3, 1, PATIENT, sums_under_way).into_iter().flat_map(|sums| sums.unwrap()).collect();
    assert_eq!(sums, vec![[93.0, 63.0, 33.0]; 3]);
}

#[test]
fn values_of_any_size_come_through() {
    let sums = each(2, 1, PATIENT, |ranks| {
        let many = Tensor::full(1.0 + ranks.rank() as f64, &[3, 700_001], tensor::DType::F32)?;
        let none = ranks.all_reduce(&many.narrow(0, 0, 0)?)?;
        assert_eq!(none.dims(), [0, 700_001]);
        Ok(ranks.all_reduce(&many)?.to_vec::<f32>()?.iter().all(|x| *x == 3.0))
    });
    assert!(sums.into_iter().all(|sum| sum.unwrap()[0]));
}

/// Three processes of which rank 1 does `bad` where the others want a sum; how those end that do not end well.
fn broken(
    timeout: Duration,
    bad: impl Fn(&dyn Collective) -> Result<()> + Send + Sync + 'static,
) -> Vec<Stopped<Error>> {
    let ends = each(3, 1, timeout, move |ranks| {
        ranks.barrier()?;
        if ranks.rank() == 1 { bad(ranks) } else { ranks.all_reduce(&mine(0)).map(|_| ()) }
    });
    ends.into_iter().filter_map(Result::err).collect()
}

fn all_say(ends: &[Stopped<Error>], part: &str) {
    let all = ends.len() > 1 && ends.iter().all(|end| end.to_string().contains(part));
    assert!(all, "{part} is not in {ends:?}");
}

#[test]
fn a_rank_that_fails_panics_or_leaves_is_named_everywhere() {
    let ends = broken(PATIENT, |_| Err(Error::config("data", "image 7 can not be read")));
    all_say(&ends, "rank 1 was lost: data: image 7 can not be read");
    let causes: Vec<bool> = ends.iter().map(|end| end.cause.is_some()).collect();
    assert_eq!(causes, [false, true, false], "its own process has the error itself");
    all_say(&broken(PATIENT, |_| panic!("seven is {}", 8)), "rank 1 was lost: it panicked: seven is 8");
    let ends = broken(PATIENT, |_| Ok(()));
    all_say(&ends, "rank 1 was lost: it ended while others wait for it at a sum of f32[7] (call 2)");
    let ends = broken(PATIENT, |ranks| ranks.barrier());
    all_say(&ends, "ranks disagree: at call 2");
}

/// A call that comes too late, from a thread that the rank has left behind.
#[test]
fn a_rank_that_has_ended_makes_no_calls() {
    let (say, heard) = mpsc::channel();
    let address = free_address();
    let start = |first: usize| {
        let (meeting, say) = (Meeting { timeout: PATIENT, ..meeting(&address, 2, first, 1) }, say.clone());
        thread::spawn(move || {
            come(&meeting).unwrap().run(move |ranks| {
                let (say, late) = (say.clone(), ranks.clone());
                if ranks.rank() == 1 {
                    thread::spawn(move || say.send(late.barrier().map_err(|e| e.to_string())));
                }
                Ok::<_, Error>(())
            })
        })
    };
    for process in [start(0), start(1)] {
        // Whether the call came before the end, which then is a failure, is chance.
        let _ = process.join().unwrap();
    }
    let told = heard.recv_timeout(PATIENT).expect("an answer").unwrap_err();
    assert!(told.contains("has ended") || told.contains("it ended while"), "{told}");
}

#[test]
fn a_rank_that_hangs_is_named_everywhere() {
    for hangs in [0, 1] {
        let (release, held) = mpsc::channel::<()>();
        let held = std::sync::Mutex::new(held);
        let ends = each(3, 1, SHORT, move |ranks| {
            ranks.barrier()?;
            if ranks.rank() == hangs {
                // Until the test is over.
                let _ = held.lock().unwrap().recv();
            }
            ranks.all_reduce(&mine(0))
        });
        let ends: Vec<_> = ends.into_iter().map(|end| end.unwrap_err()).collect();
        all_say(&ends, &format!("rank {hangs} hangs: it gave no sign of life for 1 s"));
        drop(release);
    }
}

/// A connection to who will listen there.
fn reach(address: &str) -> TcpStream {
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return stream,
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// A process that says hello as rank 2 and is told to go.
fn half_there(address: &str) -> TcpStream {
    let hello = serde_json::json!({
        "protocol": 1, "version": env!("CARGO_PKG_VERSION"), "who": { "Rank": { "rank": 2, "world": 3 } },
    });
    let mut stream = reach(address);
    frame::say(&mut stream, Kind::Hello, &hello).unwrap();
    for kind in [Kind::Welcome, Kind::Go] {
        assert_eq!(frame::read(&mut stream, WORDS).unwrap().0, kind);
    }
    stream
}

/// Ranks 0 and 1 wait for rank 2, whose process is as `end` leaves it; what they hear.
fn without_rank_2(
    timeout: Duration,
    end: impl FnOnce(TcpStream) -> Option<TcpStream>,
) -> Vec<Stopped<Error>> {
    let address = free_address();
    let start = |first: usize| {
        let meeting = Meeting { timeout, ..meeting(&address, 3, first, 1) };
        thread::spawn(move || come(&meeting).unwrap().run(|ranks| ranks.barrier()).unwrap_err())
    };
    let ends = [start(0), start(1)];
    let kept = end(half_there(&address));
    let ends = ends.map(|end| end.join().unwrap()).into();
    drop(kept);
    ends
}

#[test]
fn a_process_that_is_killed_is_named_everywhere() {
    // What the system does with the connections of a killed process.
    all_say(&without_rank_2(PATIENT, |_| None), "rank 2 was lost: its process is gone: was it killed?");
}

#[test]
fn a_process_that_speaks_nonsense_is_named_everywhere() {
    let ends = without_rank_2(PATIENT, |mut stream| {
        frame::write(&mut stream, Kind::Put, &[b"?"]).unwrap();
        Some(stream)
    });
    all_say(&ends, "rank 2 was lost: its connection broke: a frame of unknown call");
}

#[test]
fn a_process_that_is_stopped_is_named_everywhere() {
    let ends = without_rank_2(SHORT, Some);
    assert!(ends.iter().all(|end| end.failure.rank() == 2), "{ends:?}");
    // Nobody waits, so that only its silence tells.
    let address = free_address();
    let meeting = Meeting { timeout: SHORT, ..meeting(&address, 3, 0, 2) };
    let host = thread::spawn(move || {
        come(&meeting).unwrap().run(|ranks| {
            while ranks.failure().is_none() {
                ranks.alive();
                thread::sleep(Duration::from_millis(10));
            }
            ranks.barrier()
        })
    });
    let kept = half_there(&address);
    let end = host.join().unwrap().unwrap_err();
    assert!(matches!(end.failure, Failure::Silent { rank: 2, .. }), "{end}");
    drop(kept);
}

#[test]
fn rank_0_is_missed_as_any_other() {
    for (stopped, says) in [(true, "rank 0 is silent"), (false, "rank 0 was lost: its process is gone")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let meeting = meeting(&address, 2, 1, 1);
        let guest = thread::spawn(move || Tcp::join(&meeting).unwrap().run(|ranks| ranks.barrier()));
        let (mut host, _) = listener.accept().unwrap();
        frame::read(&mut host, WORDS).unwrap();
        let welcome = serde_json::json!({ "message": { "Ok": "" }, "timeout": SHORT });
        frame::say(&mut host, Kind::Welcome, &welcome).unwrap();
        frame::write(&mut host, Kind::Go, &[]).unwrap();
        let kept = stopped.then_some(host);
        let end = guest.join().unwrap().unwrap_err();
        assert!(end.to_string().contains(says), "{end}");
        drop(kept);
    }
}

#[test]
fn processes_that_were_started_differently_are_told_apart() {
    // Rank 1 is there already; the third process is wrong in some way.
    let differs = |come_as: fn(&str) -> Absent| {
        let address = free_address();
        let [host, guest] = [0, 1].map(|first| {
            let patience = if first == 0 { PATIENT } else { SHORT };
            let meeting = Meeting { patience, ..meeting(&address, 4, first, 1) };
            thread::spawn(move || come(&meeting).unwrap_err().to_string())
        });
        let told = come_as(&address).to_string();
        assert_eq!(host.join().unwrap(), told, "both say the same");
        let heard = guest.join().unwrap();
        assert!(heard == told || heard.contains("can not reach rank 0"), "it may come too late: {heard}");
        told
    };
    let told = differs(|address| Tcp::ask(address, SHORT, 2, &facts("8")).unwrap_err());
    assert!(told.starts_with("process 2 was started with seed 8, process 0 with 7"), "{told}");
    let told = differs(|address| {
        let hello = serde_json::json!({ "protocol": 9, "version": "9.1", "who": "something new" });
        let mut stream = reach(address);
        frame::say(&mut stream, Kind::Hello, &hello).unwrap();
        let (_, bytes) = frame::read(&mut stream, WORDS).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        Absent::Differs(answer["message"]["Err"].as_str().unwrap().into())
    });
    assert!(told.starts_with("a process was started with program version 9.1, process 0 with "), "{told}");
    let told = differs(|address| Tcp::join(&meeting(address, 5, 3, 1)).unwrap_err());
    assert!(told.starts_with("rank 3 was started with number of ranks 5, process 0 with 4"), "{told}");
    let told = differs(|address| Tcp::join(&meeting(address, 4, 4, 1)).unwrap_err());
    assert!(told.starts_with("rank 4 is one of process 0, or none of 4"), "{told}");
    let told = differs(|address| Tcp::join(&meeting(address, 4, 1, 2)).unwrap_err());
    assert_eq!(told, "two processes say that they have rank 1");
}

#[test]
fn who_does_not_come_is_named() {
    let address = free_address();
    let soon =
        |first, count| Meeting { patience: Duration::from_millis(200), ..meeting(&address, 4, first, count) };
    let told = come(&soon(0, 2)).unwrap_err().to_string();
    assert_eq!(told, format!("ranks 2, 3 did not come within 0.2 s; 2 of 4 are here, at {address}"));
    let told = come(&soon(1, 1)).unwrap_err().to_string();
    assert!(told.starts_with(&format!("process 1 can not reach rank 0 at {address}: ")), "{told}");
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let meeting = meeting(&taken.local_addr().unwrap().to_string(), 2, 0, 1);
    let told = come(&meeting).unwrap_err().to_string();
    assert!(told.contains("can not listen at port") && told.contains("another training"), "{told}");
    for wrong in ["nowhere", "host:port"] {
        let told = come(&Meeting { address: wrong.into(), ..meeting.clone() }).unwrap_err().to_string();
        assert!(told.contains("should be host:port"), "{told}");
    }
}

#[test]
fn strangers_at_the_door_do_not_disturb() {
    let address = free_address();
    let host = meeting(&address, 2, 0, 1);
    let host = thread::spawn(move || come(&host).unwrap().run(|ranks| ranks.barrier()).is_ok());
    let mut stranger = reach(&address);
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(stranger.read(&mut [0; 10]).unwrap_or(0), 0, "it is shown out");
    drop(TcpStream::connect(&address).unwrap());
    assert!(come(&meeting(&address, 2, 1, 1)).unwrap().run(|ranks| ranks.barrier()).is_ok());
    assert!(host.join().unwrap());
}

#[test]
fn what_goes_wrong_before_the_work_is_heard_by_all() {
    let address = free_address();
    let host = meeting(&address, 2, 0, 1);
    let host = thread::spawn(move || come(&host).unwrap().run(|ranks| ranks.barrier()).unwrap_err());
    let guest = come(&meeting(&address, 2, 1, 1)).unwrap();
    let prepared = guest.prepare(|alive| {
        alive();
        Err::<(), _>("the folder is not there")
    });
    assert!(prepared.is_err());
    assert_eq!(host.join().unwrap().to_string(), "rank 1 was lost: the folder is not there");
}

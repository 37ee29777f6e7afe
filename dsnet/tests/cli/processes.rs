//! Training by several processes, started as launchers start them: told apart by their environment alone.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Child,
};

use serde_json::Value;

use crate::{
    program::{Said, TINY, camvid, fails, succeeds},
    running::{ended_alike, finish, signal, start_with, steps, wait_until},
};

/// Processes that train together, each in a folder of its own: they share nothing but the network.
pub struct Launched {
    at: PathBuf,
    pub children: Vec<Child>,
}

impl Launched {
    /// Starts a process for each list of arguments, with the variables of torchrun and `more`.
    pub fn start(at: &Path, args: &[&[&str]], more: &[(&str, &str)]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let world = args.len().to_string();
        let start = |(n, args): (usize, &&[&str])| {
            let folder = at.join(n.to_string());
            fs::create_dir_all(&folder).unwrap();
            let rank = n.to_string();
            let torchrun = [
                ("RANK", &*rank),
                ("WORLD_SIZE", &world),
                ("MASTER_ADDR", "127.0.0.1"),
                ("MASTER_PORT", &port),
            ];
            start_with(&folder, args, &[&torchrun[..], more].concat())
        };
        Self { at: at.into(), children: args.iter().enumerate().map(start).collect() }
    }

    /// The same arguments for all.
    fn same(at: &Path, world: usize, args: &[&str]) -> Self {
        Self::start(at, &vec![args; world], &[])
    }

    /// Waits until the run of rank 0 has done `n` steps.
    pub fn until(mut self, n: usize) -> Self {
        wait_until(|| {
            let ended = self.children[0].try_wait().unwrap();
            assert_eq!(ended, None, "{}", fs::read_to_string(self.at.join("0/err.txt")).unwrap());
            steps(&self.at.join("0/run")).len() >= n
        });
        self
    }

    /// How each ends.
    pub fn finish(self) -> Vec<Said> {
        let each = self.children.into_iter().enumerate();
        each.map(|(n, child)| finish(&self.at.join(n.to_string()), child)).collect()
    }

    /// All must end well.
    pub fn succeed(self) {
        for (n, said) in self.finish().into_iter().enumerate() {
            assert_eq!(said.code, Some(0), "process {n}:\n{}", said.err);
            assert!(n == 0 || said.err.is_empty() && said.out.is_empty(), "process {n} says {}", said.err);
        }
    }
}

fn last(run: &Path) -> Vec<u8> {
    fs::read(run.join("last.safetensors")).unwrap()
}

/// Values of each line of a run's log that is a step.
fn losses(run: &Path) -> Vec<f64> {
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["kind"] == "step").map(|line| line["loss"].as_f64().unwrap()).collect()
}

#[test]
fn four_processes_train_as_one_with_four_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    succeeds(at, &[&TINY[..], &["--out=one"]].concat());
    succeeds(at, &[&TINY[..], &["--out=four", "--ranks=4"]].concat());
    Launched::same(&at.join("a"), 4, &TINY).succeed();
    assert!(last(&at.join("four")) == last(&at.join("a/0/run")), "the same bits as four threads");
    // Nobody but rank 0 writes.
    for n in 1..4 {
        assert!(!at.join(format!("a/{n}/run")).exists());
    }
    let (one, four) = (losses(&at.join("one")), losses(&at.join("a/0/run")));
    // Before rounding has been amplified by many updates.
    for (one, four) in one.iter().zip(&four).take(2) {
        assert!(((one - four) / one).abs() < 1e-5, "{one} {four}");
    }
    // Two processes with two ranks each.
    Launched::same(&at.join("b"), 2, &[&TINY[..], &["--ranks=4"]].concat()).succeed();
    assert!(last(&at.join("four")) == last(&at.join("b/0/run")));
    let said = fs::read_to_string(at.join("b/0/err.txt")).unwrap();
    assert!(said.contains("4 ranks with a thread each, in 2 processes"), "{said}");
}

#[test]
fn each_process_may_have_its_own_root() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let args = |root: &'static str| {
        let mut args = vec!["train", "--data=camvid", root, "--model=dsnet-tiny", "--out=run", "--batch=2"];
        args.extend(["--patches=24x32:2x2", "--crop=16x16", "--epochs=1", "--samples=0", "--loss=wce"]);
        args.extend(["--cache=kept"]);
        args
    };
    for root in ["data", "elsewhere/camvid"] {
        camvid(&at.join(root), 3);
    }
    Launched::start(at, &[&args("--root=../data"), &args("--root=../elsewhere/camvid")], &[]).succeed();
    // Another picture under a name of its own is another data set.
    let list = at.join("elsewhere/camvid/train.txt");
    let text = fs::read_to_string(&list).unwrap().replace("train/0.png", "train/first.png");
    fs::write(list, text).unwrap();
    let train = at.join("elsewhere/camvid/train");
    fs::rename(train.join("0.png"), train.join("first.png")).unwrap();
    fs::remove_dir_all(at.join("0/run")).unwrap();
    let ends = Launched::start(at, &[&args("--root=../data"), &args("--root=../elsewhere/camvid")], &[]);
    for end in ends.finish() {
        assert!(end.err.contains("its pictures have other names, or another order"), "{}", end.err);
    }
    assert!(!at.join("0/run").exists(), "nothing began");
}

/// Four processes train until one of them gets a signal, and all end; then the run goes on, and ends as if nothing had been.
/// What each said.
fn disturbed(victim: usize, sent: &str, timeout: &str) -> Vec<Said> {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let begin = [&TINY[..], &["--epochs=9", timeout]].concat();
    let whole = at.join("whole");
    fs::create_dir(&whole).unwrap();
    succeeds(&whole, &[&begin[..], &["--ranks=4"]].concat());
    let mut running = Launched::same(at, 4, &begin).until(7);
    signal(&running.children[victim], sent);
    // The victim may be stopped: nobody waits for it before all others have ended.
    let last = running.children.remove(victim);
    let others = (0..4).filter(|n| *n != victim).zip(running.children);
    let mut ends: Vec<Said> = others.map(|(n, child)| finish(&at.join(n.to_string()), child)).collect();
    if sent == "STOP" {
        signal(&last, "KILL");
    }
    ends.insert(victim, finish(&at.join(victim.to_string()), last));
    assert!(ends.iter().all(|end| end.code != Some(0)), "{}", ends[0].err);
    // Only rank 0 has the run: the others learn all of it from there.
    Launched::same(at, 4, &["train", "--resume", "--out=run", "--threads=1"]).succeed();
    ended_alike(&whole, &at.join("0"));
    ends
}

#[test]
fn a_process_that_is_killed_is_named_and_the_run_goes_on() {
    let ends = disturbed(2, "KILL", "--rank-timeout=100");
    for (n, end) in ends.iter().enumerate().filter(|(n, _)| *n != 2) {
        assert!(end.err.contains("rank 2 was lost: its process is gone"), "process {n}: {}", end.err);
        assert_eq!(end.code, Some(1));
    }
    assert!(ends[0].err.contains("the state after step"), "{}", ends[0].err);
}

#[test]
fn rank_0_that_is_killed_is_named_and_the_run_goes_on() {
    let ends = disturbed(0, "KILL", "--rank-timeout=100");
    assert!(ends[1..].iter().all(|end| end.err.contains("rank 0 was lost: its process is gone")));
}

#[test]
fn a_process_that_is_stopped_is_named_and_the_run_goes_on() {
    let ends = disturbed(1, "STOP", "--rank-timeout=3");
    let names = |end: &Said| end.err.contains("rank 1 hangs") || end.err.contains("rank 1 is silent");
    assert!([0, 2, 3].iter().all(|&n| names(&ends[n])), "{}", ends[0].err);
}

#[test]
fn a_signal_to_any_process_stops_all_in_good_order() {
    let ends = disturbed(3, "TERM", "--rank-timeout=100");
    assert_eq!((ends[0].code, ends[3].code), (Some(143), Some(143)), "{}", ends[0].err);
    assert!(ends[0].err.contains("asked to stop after step"), "{}", ends[0].err);
    assert!(ends[1].err.contains("rank 0 was lost: stopped, as a process"), "{}", ends[1].err);
}

#[test]
fn processes_that_were_started_differently_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let differ = |name: &str, more: &[&str]| {
        let other = [&TINY[..], more].concat();
        let ends = Launched::start(&dir.path().join(name), &[&TINY, &other], &[]).finish();
        assert!(!dir.path().join(name).join("0/run").exists(), "nothing was begun");
        assert!(ends.iter().all(|end| end.code == Some(1)), "{}", ends[0].err);
        let part = |end: &Said| end.err.split("come together: ").nth(1).unwrap_or_default().to_owned();
        assert_eq!(part(&ends[0]), part(&ends[1]), "both say the same");
        part(&ends[0])
    };
    let told = differ("seed", &["--seed=6"]);
    assert!(told.starts_with("process 1 was started with seed 6, process 0 with 5"), "{told}");
    let told = differ("model", &["--model=dsnet-0.5"]);
    assert!(
        told.starts_with("process 1 was started with model \"dsnet-0.5\", process 0 with \"dsnet-tiny\""),
        "{told}"
    );
}

#[test]
fn what_launchers_say_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |args: &[&str], variables: &[(&str, &str)]| {
        let said = finish(dir.path(), start_with(dir.path(), args, variables));
        assert_eq!(said.code, Some(2), "{}", said.err);
        said.err
    };
    let said = refused(&TINY, &[("RANK", "1")]);
    assert!(said.contains("RANK is set, but WORLD_SIZE is not"), "{said}");
    let two = [("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")];
    let said = refused(&[&TINY[..], &["--ranks=3"]].concat(), &two);
    assert!(said.contains("--ranks 3 can not be shared out among 2 processes"), "{said}");
    // Who is alone does not look for others.
    let alone = [("RANK", "0"), ("WORLD_SIZE", "1")];
    let said = finish(dir.path(), start_with(dir.path(), &TINY, &alone));
    assert_eq!(said.code, Some(0), "{}", said.err);
    let missing = [&TINY[..], &["--out=x", "--rank-timeout=0.05"]].concat();
    let said = finish(dir.path(), start_with(dir.path(), &missing, &two[..]));
    assert!(
        said.err.contains("can not listen at port 1")
            || said.err.contains("rank 1 did not come within 0.5 s"),
        "{}",
        said.err
    );
    let mut second = two;
    second[0].1 = "1";
    let said = finish(dir.path(), start_with(dir.path(), &missing, &second));
    assert!(said.err.contains("process 1 can not reach rank 0 at 127.0.0.1:1"), "{}", said.err);
    assert!(fails(dir.path(), 2, &["train", "--ranks=9"]).contains("can not be shared by 9 ranks"));
}

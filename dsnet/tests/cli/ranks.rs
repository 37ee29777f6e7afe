//! Training by several ranks, as a user meets it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    program::{Said, TINY, camvid, fails, succeeds},
    running::{ended_alike, finish, paste, resume_command, signal, start_until, steps},
};

/// The losses of the first step in a run's log.
fn first_losses(run: &Path) -> [f64; 2] {
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let step = lines.find(|line| line["kind"] == "step").unwrap();
    ["pixel", "sel"].map(|name| step[name].as_f64().unwrap())
}

/// The loss of the first step, before updates have made rounding visible, is that of one rank.
#[test]
fn several_ranks_see_the_batches_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let run = |name: &str, options: &[&str]| -> PathBuf {
        let out = format!("--out={name}");
        succeeds(at, &[&TINY[..], &["--epochs=1", &out], options].concat());
        at.join(name)
    };
    let one = first_losses(&run("one", &[]));
    for ranks in ["2", "3"] {
        let several = first_losses(&run(ranks, &[&format!("--ranks={ranks}")]));
        let near = |(a, b): (&f64, &f64)| ((a - b) / a).abs() < 1e-5;
        assert!(one.iter().zip(&several).all(near), "{ranks} ranks: {several:?}, one: {one:?}");
    }
    let weights = |run: &Path| fs::read(run.join("last.safetensors")).unwrap();
    let again = run("again", &["--ranks=3", "--threads=7", "--workers=2"]);
    assert!(weights(&at.join("3")) == weights(&again), "another number of threads gives other weights");
}

#[test]
fn ranks_that_can_not_be() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let error = fails(at, 2, &[&TINY[..], &["--ranks=5"]].concat());
    assert!(error.contains("a batch of 4 can not be shared by 5 ranks"), "{error}");
    succeeds(at, &[&TINY[..], &["--ranks=2", "--epochs=1"]].concat());
    let error = fails(at, 2, &["train", "--resume", "--out=run", "--ranks=1"]);
    assert!(error.contains("was begun with ranks = 2, not 1"), "{error}");
}

#[test]
fn several_ranks_go_on_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, broken] = ["whole", "broken"].map(|name| dir.path().join(name));
    [&whole, &broken].into_iter().for_each(|d| fs::create_dir(d).unwrap());
    let begin = [&TINY[..], &["--ranks=3", "--epochs=9"]].concat();
    succeeds(&whole, &begin);
    let mut child = start_until(&broken, &begin, 7);
    child.kill().unwrap();
    child.wait().unwrap();
    // All ranks stop together when rank 0 is asked to; in other threads, with other loading threads.
    let resume = ["train", "--resume", "--out=run", "--threads=1", "--workers=2"];
    let done = steps(&broken.join("run")).len();
    let child = start_until(&broken, &resume, done + 3);
    signal(&child, "TERM");
    let said = finish(&broken, child);
    assert_eq!(said.code, Some(143), "{}", said.err);
    assert!(said.err.contains("stopped by SIGTERM after step"), "{}", said.err);
    paste(&broken, &resume_command(&said.err));
    ended_alike(&whole, &broken);
}

/// A training by two ranks on files, of which one goes away as `harm` wants it while the ranks are at work: what is told.
/// Once the file is there again, the run goes on and ends as if nothing had happened.
fn harmed(timeout: &str, harm: impl Fn(&Path)) -> Said {
    let dir = tempfile::tempdir().unwrap();
    let [whole, broken] = ["whole", "broken"].map(|name| dir.path().join(name));
    let args = [
        "train",
        "--data=camvid",
        "--root=data",
        "--model=dsnet-tiny",
        "--epochs=150",
        "--batch=2",
        "--crop=32x32",
        "--eval-every=150",
        "--samples=0",
        "--threads=2",
        "--ranks=2",
        timeout,
        "--out=run",
    ];
    [&whole, &broken].into_iter().for_each(|at| camvid(&at.join("data"), 4));
    succeeds(&whole, &args);
    let (file, kept) = (broken.join("data/train/3.png"), broken.join("kept.png"));
    fs::copy(&file, &kept).unwrap();
    let child = start_until(&broken, &args, 5);
    harm(&file);
    let said = finish(&broken, child);
    assert_eq!(said.code, Some(1), "{}", said.err);
    fs::rename(&kept, &file).unwrap();
    paste(&broken, &resume_command(&said.err));
    ended_alike(&whole, &broken);
    said
}

#[test]
fn a_rank_whose_file_vanishes_is_named() {
    let said = harmed("--rank-timeout=100", |file| fs::remove_file(file).unwrap());
    // Rank 0 speaks for all, where it was its file.
    let named =
        ["rank 1 failed, and the others stopped; the state after step", "training stopped after step"];
    assert!(named.iter().any(|name| said.err.contains(name)), "{}", said.err);
    assert!(said.err.contains("3.png"), "{}", said.err);
}

#[test]
fn a_rank_that_hangs_is_named() {
    let said = harmed("--rank-timeout=3", |file| {
        // Whoever opens it waits for a writer that never comes.
        let pipe = file.with_file_name("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        fs::rename(&pipe, file).unwrap();
    });
    for part in ["hangs: it gave no sign of life for 3 s", "raise --rank-timeout"] {
        assert!(said.err.contains(part), "{part} is not in\n{}", said.err);
    }
}

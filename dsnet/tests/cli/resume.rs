//! Nothing is lost: killed runs end like uninterrupted ones, broken checkpoints are refused and left alone.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::program::{TINY, command, dsnet, fails, succeeds};

/// Steps that the log knows of.
fn steps(run: &Path) -> usize {
    fs::read_to_string(run.join("log.jsonl")).map_or(0, |log| log.lines().count())
}

#[test]
fn killed_and_resumed_equals_uninterrupted() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    [&whole, &broken].into_iter().for_each(|d| fs::create_dir(d).unwrap());
    succeeds(&whole, &TINY);

    let mut args = TINY.to_vec();
    let run = broken.join("run");
    // Killed once each time that it got a few lines further, wherever that is: in a step, a checkpoint, a score.
    for round in 0..4 {
        let before = steps(&run);
        let mut child = command(&broken, &args).spawn().unwrap();
        let start = Instant::now();
        while steps(&run) < before + 2 && child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(120), "no progress");
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(Duration::from_millis(7 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        // Other threads, other loading threads: the result may not depend on them.
        args = vec!["train", "--resume", "--out=run", "--threads=1", "--workers=2"];
    }
    succeeds(&broken, &args);
    for file in ["last.safetensors", "best.safetensors"] {
        let read = |d: &Path| fs::read(d.join("run").join(file)).unwrap();
        assert!(read(&whole) == read(&broken), "{file} differs");
    }
    // The log has each step once.
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    let lines = log.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    let numbers: Vec<u64> =
        lines.filter(|l| l["kind"] == "step").map(|l| l["step"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=9).collect::<Vec<_>>());
}

#[test]
fn broken_checkpoints_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    succeeds(at, &TINY);
    let last = at.join("run/last.safetensors");
    let good = fs::read(&last).unwrap();
    let mut flipped = good.clone();
    let middle = good.len() / 2;
    flipped[middle] ^= 1;
    let resume = ["train", "--resume", "--out=run"];
    for bad in [&good[..good.len() / 2], &flipped, b"", b"no checkpoint at all"] {
        fs::write(&last, bad).unwrap();
        let error = fails(at, 1, &resume);
        assert!(error.contains("last.safetensors"), "{error}");
        assert!(fs::read(&last).unwrap() == bad, "the file was touched");
        let error = fails(at, 1, &["eval", "--weights=run/last.safetensors"]);
        assert!(error.contains("last.safetensors"), "{error}");
    }
    // Another model's, in the place of ours.
    fs::write(&last, &good).unwrap();
    let others = fs::read_to_string(at.join("run/config.toml")).unwrap().replace("dsnet-tiny", "dsnet-0.5");
    fs::write(at.join("run/config.toml"), others).unwrap();
    let error = fails(at, 1, &resume);
    assert!(error.contains("dsnet-tiny") && error.contains("dsnet-0.5"), "{error}");
}

#[test]
fn a_run_goes_on_as_it_was_begun() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    succeeds(at, &TINY);
    let error = fails(at, 2, &["train", "--resume", "--out=run", "--epochs=9"]);
    assert!(error.contains("epochs = 3, not 9") && error.contains("--init"), "{error}");
    let error = fails(at, 2, &["train", "--resume", "--out=nowhere"]);
    assert!(error.contains("nowhere"), "{error}");
    // Going on with a finished run shows its result again.
    let said = dsnet(at, &["train", "--resume", "--out=run", "--epochs=3"]);
    assert!(said.code == Some(0) && said.out.contains("mIoU"), "{}{}", said.out, said.err);
}

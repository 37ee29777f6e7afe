//! What happens to a run from outside: signals, a second training, a full disk, data that is taken away. Nothing is lost: the
//! message tells how to go on, and going on ends as if nothing had happened.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Output},
};

use crate::{
    program::{TINY, camvid, command, fails, succeeds},
    running::{
        ended_alike, err, finish, paste, resume_command, signal, start, start_until, steps, tidy, wait_until,
    },
};

/// A run of some seconds: long enough to be disturbed.
fn long() -> Vec<&'static str> {
    [&TINY[..], &["--epochs=60", "--eval-every=30", "--samples=0"]].concat()
}

/// Folders for a run that is left alone, which is done, and for one that is not.
fn folders(dir: &Path, args: &[&str]) -> [std::path::PathBuf; 2] {
    let [whole, broken] = ["whole", "broken"].map(|name| dir.join(name));
    [&whole, &broken].into_iter().for_each(|d| fs::create_dir(d).unwrap());
    succeeds(&whole, args);
    [whole, broken]
}

/// Steps that the last checkpoint holds.
fn saved_steps(at: &Path) -> u64 {
    nn::Checkpoint::load(at.join("run/last.safetensors")).unwrap().meta.step
}

#[test]
fn a_signal_finishes_the_step_and_saves() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, at] = folders(dir.path(), &long());
    let mut args = long();
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let done = steps(&at.join("run")).len();
        let child = start_until(&at, &args, done + 5);
        signal(&child, name);
        let said = finish(&at, child);
        assert_eq!(said.code, Some(code), "{}", said.err);
        let last = *steps(&at.join("run")).last().unwrap();
        let place = format!(
            "stopped by SIG{name} after step {last} of 180; that state is saved in run/last.safetensors"
        );
        assert!(said.err.contains(&place) && said.err.contains("a second signal"), "{}", said.err);
        assert_eq!(saved_steps(&at), last);
        assert!(at.join("run/previous.safetensors").exists());
        tidy(&at.join("run"));
        args = vec!["train", "--resume", "--out=run"];
    }
    paste(&at, &resume_command(&err(&at)));
    ended_alike(&whole, &at);
}

#[test]
fn a_signal_during_an_evaluation_saves_the_step_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let args = [&TINY[..], &["--val-images=400", "--eval-every=3", "--samples=0"]].concat();
    let [whole, at] = folders(dir.path(), &args);
    let child = start_until(&at, &args, 9);
    signal(&child, "TERM");
    let said = finish(&at, child);
    assert_eq!(said.code, Some(143), "{}", said.err);
    let meta = nn::Checkpoint::load(at.join("run/last.safetensors")).unwrap().meta;
    assert_eq!((meta.epoch, meta.batch, meta.step), (2, 3, 9), "the last epoch is not scored yet");
    paste(&at, &resume_command(&said.err));
    ended_alike(&whole, &at);
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    // A step of a second.
    let slow = ["--model=dsnet-1.0", "--crop=512x512", "--batch=2", "--threads=1"];
    let mut child = start(at, &[&TINY[..], &slow].concat());
    wait_until(|| err(at).contains("it can be stopped"));
    // Until signals are listened to, the first one ends the program: the loader's threads start after that.
    let loads = || {
        fs::read_dir(format!("/proc/{}/task", child.id())).is_ok_and(|t| {
            t.flatten().any(|t| {
                fs::read_to_string(t.path().join("comm")).is_ok_and(|name| name.starts_with("loader"))
            })
        })
    };
    if cfg!(target_os = "linux") {
        wait_until(loads);
    } else {
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    signal(&child, "INT");
    wait_until(|| err(at).contains("finishing this step"));
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().signal(), Some(2), "{}", err(at));
    assert_eq!(steps(&at.join("run")).len(), 0);
}

#[test]
fn a_second_training_in_a_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let mut first = start_until(at, &long(), 1);
    for args in [&long()[..], &["train", "--resume", "--out=run"]] {
        let error = fails(at, 1, args);
        for part in ["run is in use", &format!("process {} (", first.id()), "--epochs=60"] {
            assert!(error.contains(part), "{part} is not in\n{error}");
        }
    }
    // The system takes the lock back, however its holder ends.
    first.kill().unwrap();
    first.wait().unwrap();
    succeeds(at, &["train", "--resume", "--out=run"]);
}

/// Runs a shell script around the program: `"$@"` is `dsnet train --resume --out=run`.
fn around(at: &Path, shell: &[&str], script: &str) -> Output {
    let dsnet = command(at, &["train", "--resume", "--out=run"]);
    let mut wrapped = Command::new(shell[0]);
    wrapped.args(&shell[1..]).args(["-c", script, "sh"]).arg(dsnet.get_program()).args(dsnet.get_args());
    wrapped.current_dir(at).env("DSNET_CACHE", at.join("cache")).output().unwrap()
}

#[test]
fn a_full_disk_leaves_the_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, at] = folders(dir.path(), &long());
    let child = start_until(&at, &long(), 5);
    signal(&child, "TERM");
    assert_eq!(finish(&at, child).code, Some(143));
    let checkpoint = |run: &str| fs::read(at.join(run).join("last.safetensors")).unwrap();
    let good = checkpoint("run");
    let check = |done: Output, run: &str, reason: &str| {
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{said}");
        for part in ["run/last.safetensors: ", reason, "the last checkpoint is untouched"] {
            assert!(said.contains(part), "{part} is not in\n{said}");
        }
        assert!(checkpoint(run) == good, "the last checkpoint was touched");
        tidy(&at.join(run));
        resume_command(&said)
    };
    // Files may not become as large as a checkpoint (the unit of the limit is 512 or 1024 bytes).
    let limit = good.len() / 2048;
    let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\"");
    let command = check(around(&at, &["sh"], &script), "run", "too large");
    // A disk of its own with room for one checkpoint and a half, where this user may mount one.
    let mounts = ["unshare", "-rm", "sh"];
    if Command::new(mounts[0])
        .args([&mounts[1..], &["-c", "mount -t tmpfs none /mnt"]].concat())
        .output()
        .is_ok_and(|o| o.status.success())
    {
        let size = good.len() * 3 / 2;
        fs::create_dir(at.join("after")).unwrap();
        fs::remove_file(at.join("run/previous.safetensors")).unwrap();
        let script = format!(
            "cp -a run good && mount -t tmpfs -o size={size} none run && cp -a good/. run && \"$@\"; code=$?; \
             cp -a run/. after && exit $code"
        );
        check(around(&at, &mounts, &script), "after", "No space left");
    } else {
        eprintln!("no disk of its own can be mounted here: only the limit on files was tried");
    }
    paste(&at, &command);
    ended_alike(&whole, &at);
}

#[test]
fn data_that_vanishes_is_named_and_the_state_saved() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, at] = ["whole", "broken"].map(|name| dir.path().join(name));
    camvid(&whole.join("data"), 4);
    camvid(&at.join("data"), 4);
    let mut args =
        vec!["train", "--data=camvid", "--root=data", "--model=dsnet-tiny", "--out=run", "--batch=2"];
    args.extend(["--crop=none", "--scales=1", "--epochs=80", "--eval-every=5", "--samples=0", "--loss=wce"]);
    succeeds(&whole, &args);
    for file in ["train/2.png", "trainannot/0.png", "val/1.png"] {
        let done = steps(&at.join("run")).len();
        let child = start_until(&at, &args, done + 2);
        let (here, away) = (at.join("data").join(file), at.join("away"));
        fs::rename(&here, &away).unwrap();
        let said = finish(&at, child);
        assert_eq!(said.code, Some(1), "{}", said.err);
        let last = *steps(&at.join("run")).last().unwrap();
        assert_eq!(saved_steps(&at), last, "{}", said.err);
        let place =
            format!("training stopped after step {last} of 160; that state is saved in run/last.safetensors");
        for part in [&place, file, "No such file"] {
            assert!(said.err.contains(part), "{part} is not in\n{}", said.err);
        }
        // Without the file it does not go on, and says why.
        args = vec!["train", "--resume", "--out=run"];
        assert!(fails(&at, 1, &args).contains(file));
        fs::rename(&away, &here).unwrap();
    }
    paste(&at, &resume_command(&err(&at)));
    ended_alike(&whole, &at);
}

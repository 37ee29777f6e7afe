//! A training that is under way: watched, disturbed, and compared at its end with one that was left alone.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::program::{Said, command};

/// Waits until something is so; a training that hangs fails the test.
pub fn wait_until(mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(120), "nothing happens");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Numbers of the steps in the log of a run; its last line may be half written.
pub fn steps(run: &Path) -> Vec<u64> {
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap_or_default();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|l| l["kind"] == "step").map(|l| l["step"].as_u64().unwrap()).collect()
}

/// Starts the program; what it says goes to files in the folder `at`.
pub fn start(at: &Path, args: &[&str]) -> Child {
    start_with(at, args, &[])
}

/// The same with more environment variables.
pub fn start_with(at: &Path, args: &[&str], variables: &[(&str, &str)]) -> Child {
    let file = |name: &str| Stdio::from(fs::File::create(at.join(name)).unwrap());
    let mut command = command(at, args);
    command.envs(variables.iter().copied());
    command.stdout(file("out.txt")).stderr(file("err.txt")).spawn().unwrap()
}

/// Starts a training in `at/run` and waits until it has done `n` steps.
pub fn start_until(at: &Path, args: &[&str], n: usize) -> Child {
    let mut child = start(at, args);
    wait_until(|| {
        assert_eq!(child.try_wait().unwrap(), None, "it ended early:\n{}", err(at));
        steps(&at.join("run")).len() >= n
    });
    child
}

/// What the program started in `at` has said on standard error so far.
pub fn err(at: &Path) -> String {
    fs::read_to_string(at.join("err.txt")).unwrap()
}

/// Sends a signal: INT, TERM.
pub fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// Waits for the end.
pub fn finish(at: &Path, mut child: Child) -> Said {
    let code = child.wait().unwrap().code();
    let said = Said { code, out: fs::read_to_string(at.join("out.txt")).unwrap(), err: err(at) };
    assert!(!said.err.contains("panicked"), "{}", said.err);
    said
}

/// The command by which a message says that a run goes on.
pub fn resume_command(message: &str) -> String {
    let command =
        message.lines().rfind(|line| line.contains("train --resume")).unwrap_or_else(|| panic!("{message}"));
    command[command.find(env!("CARGO_BIN_EXE_dsnet")).unwrap()..].to_owned()
}

/// Runs a command as a user pastes it into a shell; it must succeed.
pub fn paste(at: &Path, line: &str) {
    let mut shell = std::process::Command::new("sh");
    let done =
        shell.args(["-c", line]).current_dir(at).env("DSNET_CACHE", at.join("cache")).output().unwrap();
    assert!(done.status.success(), "{line}\n{}", String::from_utf8_lossy(&done.stderr));
}

/// The runs in `whole/run` and `broken/run` ended alike, bit for bit, with every step and epoch once in the log.
pub fn ended_alike(whole: &Path, broken: &Path) {
    for file in ["last.safetensors", "best.safetensors"] {
        let read = |at: &Path| fs::read(at.join("run").join(file)).unwrap();
        assert!(read(whole) == read(broken), "{file} differs");
    }
    // Times and memory differ, and the broken run was started more often.
    let log = |at: &Path| -> Vec<Value> {
        let log = fs::read_to_string(at.join("run/log.jsonl")).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let untimed = |mut line: Value| {
            let object = line.as_object_mut().unwrap();
            for key in ["seconds", "phases", "val_seconds", "memory", "time"] {
                object.remove(key);
            }
            line
        };
        lines.filter(|line| line["kind"] != "start").map(untimed).collect()
    };
    let (ours, theirs) = (log(whole), log(broken));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(ours == theirs, "{ours}\n{theirs}");
    }
    assert_eq!(ours.len(), theirs.len());
    // An event is as long as any other with the same tags.
    let events = |at: &Path| fs::metadata(at.join("run/events.out.tfevents.dsnet")).unwrap().len();
    assert_eq!(events(whole), events(broken), "TensorBoard's events");
    tidy(&broken.join("run"));
}

/// No temporary file is left in a run folder.
pub fn tidy(run: &Path) {
    let names = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let debris: Vec<String> = names.filter(|name| name.contains("tmp")).collect();
    assert!(debris.is_empty(), "{debris:?}");
}

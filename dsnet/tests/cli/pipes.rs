//! Pipes whose reader is gone, as in `dsnet summary | head -1`.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt,
    process::{Output, Stdio},
};

use crate::program::{TINY, command};

const SIGPIPE: i32 = 13;

#[test]
fn results_that_nobody_reads_end_the_program_quietly() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["summary", "--model=dsnet-tiny"][..], &["doctor", "--json"], &["plot", "fig4", "--out=-"]]
    {
        let piped = || Stdio::piped();
        let mut child = command(dir.path(), args).stdout(piped()).stderr(piped()).spawn().unwrap();
        drop(child.stdout.take());
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!((status.signal(), &*said), (Some(SIGPIPE), ""), "{args:?}");
    }
}

#[test]
fn results_that_can_not_be_written_are_an_error() {
    let Ok(full) = File::options().write(true).open("/dev/full") else { return };
    let dir = tempfile::tempdir().unwrap();
    let done = command(dir.path(), &["summary", "--model=dsnet-tiny"]).stdout(full).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write standard output") && said.contains("No space left"), "{said}");
}

/// A training does not end because nobody reads what it says.
#[test]
fn a_training_that_nobody_listens_to_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let mut child = command(at, &TINY).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let meta = nn::Checkpoint::load(at.join("run/last.safetensors")).unwrap().meta;
    assert_eq!((meta.step, meta.total_steps), (9, 9));
    assert!(at.join("run/report.html").exists());
    // Nor does an error become a panic.
    let mut child = command(at, &TINY).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

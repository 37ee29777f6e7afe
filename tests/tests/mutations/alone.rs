//! A test in a process of its own, so that its memory can be measured: one thread computes, and nothing else runs.

use std::{
    process::Command,
    sync::{Mutex, PoisonError},
};

const MARK: &str = "DSNET_TEST_ALONE";

/// What may be claimed beyond what loading good files claims, in kilobytes.
const MORE: usize = 96 << 10;

/// Messages of panics, also of those that a loader caught.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs `test` in a process of its own; `name` is its name among the tests.
pub fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(MARK).is_some() {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string());
            tell(info);
        }));
        return test();
    }
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args([name, "--exact", "--nocapture"]);
    // One thread of rayon's, one arena of the allocator's: nothing is reserved that nobody asked for.
    process.env(MARK, "1").env("RAYON_NUM_THREADS", "1").env("MALLOC_ARENA_MAX", "1");
    let output = process.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    println!("{}", text.concat());
    assert!(output.status.success(), "{name} failed in its own process ({})", output.status);
    assert!(text[0].contains("1 passed"), "{name} did not run");
}

/// Looks for panics and for memory that was claimed, used or not.
pub struct Watch {
    before: Option<usize>,
}

impl Watch {
    pub fn new() -> Self {
        Self { before: peak() }
    }

    /// Fails where something happened since the last look; `case` is the one to blame.
    pub fn check(&self, case: &str) {
        let panics = std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner));
        assert!(panics.is_empty(), "{case}: {}", panics.join("\n"));
        if let (Some(before), Some(now)) = (self.before, peak()) {
            assert!(now < before + MORE, "{case}: {} MB were claimed", (now - before) / 1024);
        }
    }
}

/// The largest size of the address space so far, in kilobytes, where the system tells.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
    line.split_whitespace().next()?.parse().ok()
}

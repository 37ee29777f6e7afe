//! Nothing is there for nobody: each kernel is launched by an operation, a plan or a recording, and each test of this program
//! has its part in the check on a real GPU.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char};
use std::path::Path;
use std::process::Command;

use crate::support::folder;

/// Where the emulator writes down what is launched.
const LAUNCHED: &str = "EMULATED_LAUNCHED";

/// The names of all kernels.
fn kernels() -> BTreeSet<String> {
    // SAFETY: our own library, which does nothing when it is opened.
    let host = unsafe { libloading::Library::new(folder().join("libkernels_host.so")) }.unwrap();
    // SAFETY: `const char *shim_name(unsigned)` of kernels/host, null after the last.
    let name = unsafe { host.get::<unsafe extern "C" fn(u32) -> *const c_char>(b"shim_name") }.unwrap();
    let names = (0..).map(|i| {
        // SAFETY: as above; names live as long as the library.
        let name = unsafe { name(i) };
        // SAFETY: a string that ends in zero, where it is one.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_str().unwrap().to_owned())
    });
    names.take_while(Option::is_some).flatten().collect()
}

/// Runs the other tests of this program once more, in a process whose launches are written down.
#[test]
fn every_kernel_is_launched_by_the_backend() {
    if std::env::var_os(LAUNCHED).is_some() || std::env::var_os("DSNET_TEST_GPU").is_some() {
        return;
    }
    let kernels = kernels();
    let list =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("backend-launched-{}", std::process::id()));
    let mut command = Command::new(std::env::current_exe().unwrap());
    let run =
        command.args(["--skip", "nccl::", "--test-threads", "2"]).env(LAUNCHED, &list).output().unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{text}{}", String::from_utf8_lossy(&run.stderr));
    let launched = std::fs::read_to_string(&list).unwrap();
    std::fs::remove_file(&list).unwrap();
    let launched: BTreeSet<String> = launched.lines().map(str::to_owned).collect();
    let idle: Vec<&String> = kernels.difference(&launched).collect();
    assert!(kernels.len() > 300 && idle.is_empty(), "nothing in the backend launches {idle:?}");
}

/// The parts of `bench/gpu_check.py` run tests by the names of their modules: one that is not named is never run on a GPU.
#[test]
fn every_module_has_its_part_in_the_check_on_a_gpu() {
    if std::env::var_os("DSNET_TEST_GPU").is_some() {
        return;
    }
    let script =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../bench/gpu_check.py")).unwrap();
    let parts: Vec<&str> = script.lines().filter(|line| line.contains("\"ops-check\"")).collect();
    let modules =
        include_str!("main.rs").lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    let ours = ["launched", "support"];
    for module in modules.filter(|module| !ours.contains(module)) {
        let named = format!("\"{module}::");
        assert!(parts.iter().any(|line| line.contains(&named)), "no part of the check runs {module}");
    }
}

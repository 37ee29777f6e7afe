//! The harness itself: that it finds the bugs which are planted for it, and the whole suite under AddressSanitizer.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use tensor::DType;

use crate::host::{Host, LAUNCHED, Memory, SANITIZED, sources};

/// The kernels with bugs, for AddressSanitizer where this process runs under it.
fn planted() -> Host {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels/planted");
    let kernels = ["missing_barrier", "part_of_a_block", "out_of_bounds"];
    let kernels = kernels.map(|k| folder.join(format!("{k}.cu")));
    match std::env::var_os(SANITIZED) {
        Some(_) => Host::build("planted-sanitized", &kernels, &["-fsanitize=address"]),
        None => Host::build("planted", &kernels, &[]),
    }
}

#[test]
fn a_missing_barrier_shows() {
    let host = planted();
    let x: Vec<f32> = (0..256).map(|i| i as f32).collect();
    let right: Vec<f32> = x.iter().rev().copied().collect();
    for order in [0, 1, 5] {
        host.schedule(order);
        for (kernel, works) in [("missing_barrier", false), ("with_barrier", true)] {
            let (from, y) = (Memory::with(&x), Memory::new(256, DType::F32));
            host.launch(kernel, [1, 1, 1], [256, 1, 1], &[&from, &y]);
            assert_eq!(y.values::<f32>() == right, works, "{kernel} in order {order}");
        }
    }
}

#[test]
fn meetings_of_part_of_a_block_are_errors() {
    let host = planted();
    for order in [0, 1, 5] {
        host.schedule(order);
        for (kernel, who) in [
            ("half_a_barrier", &["100 wait at the barrier part_of_a_block.cu:6", "156 have ended"][..]),
            ("two_barriers", &["128 wait at the barrier part_of_a_block.cu:13", "128 wait"]),
            ("half_a_warp", &["128 wait at the warp shuffle part_of_a_block.cu:22", "128 have ended"]),
        ] {
            let y = Memory::new(256, DType::F32);
            let error = host.try_launch(kernel, [1, 1, 1], [256, 1, 1], &[&y]).unwrap_err();
            assert!(error.contains("only part of the threads"), "{error}");
            who.iter().for_each(|who| assert!(error.contains(who), "{error}"));
        }
        // The fibers that were left waiting are as good as new.
        let (x, y) = (Memory::with(&[1_f32; 256]), Memory::new(256, DType::F32));
        host.launch("with_barrier", [1, 1, 1], [256, 1, 1], &[&x, &y]);
        assert_eq!(y.values::<f32>(), [1.0; 256]);
    }
}

#[test]
fn impossible_launches_are_errors() {
    let host = planted();
    let y = Memory::new(256, DType::F32);
    for (grid, block) in [([0, 1, 1], [1, 1, 1]), ([1, 1, 1], [257, 1, 1]), ([1, 70_000, 1], [1, 1, 1])] {
        assert!(host.try_launch("half_a_warp", grid, block, &[&y]).is_err());
    }
}

#[test]
fn a_missing_compiler_is_named() {
    let mut command = Command::new("sh");
    command
        .arg(sources().join("host/build.sh"))
        .arg(env!("CARGO_TARGET_TMPDIR"))
        .env("CXX", "no-such-compiler");
    let run = command.output().unwrap();
    let text = String::from_utf8_lossy(&run.stderr);
    assert!(
        !run.status.success() && text.contains("no-such-compiler") && text.contains("apt-get install g++"),
        "{text}"
    );
}

#[test]
fn writing_beyond_the_end_shows() {
    let (host, y) = (planted(), Memory::new(10, DType::F32));
    host.launch("writes_too_far", [1, 1, 1], [256, 1, 1], &[&y, &10_i64]);
    let read = std::panic::catch_unwind(|| y.values::<f32>());
    assert!(read.is_err(), "the border behind the memory is as it was");
}

/// Runs tests of this program under AddressSanitizer; whether they passed, and what was printed.
fn sanitized(tests: &[&str], launched: Option<&Path>) -> (bool, String) {
    let cxx = std::env::var("CXX").unwrap_or_else(|_| "g++".to_owned());
    let found = Command::new(&cxx).arg("-print-file-name=libasan.so").output();
    let found = found.unwrap_or_else(|e| panic!("{cxx}: {e}; the kernels' tests want a C++ compiler"));
    let library = String::from_utf8(found.stdout).unwrap().trim().to_owned();
    assert!(
        Path::new(&library).is_absolute(),
        "{cxx} has no libasan: install it (Debian: apt-get install g++)"
    );
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(tests).args(["--test-threads", "2"]).env(SANITIZED, "1").env("LD_PRELOAD", library);
    // What Rust's runtime keeps to the end is no leak of ours.
    command.env("ASAN_OPTIONS", "detect_leaks=0").env("RUST_BACKTRACE", "0");
    if let Some(path) = launched {
        command.env(LAUNCHED, path);
    }
    let run = command.output().unwrap();
    let text = [run.stdout, run.stderr].concat();
    (run.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Not a test of its own: what `address_sanitizer_finds_planted_bugs` runs in a process that does not survive it.
fn ends_this_process(kernel: &str) {
    if std::env::var_os(SANITIZED).is_some() {
        let (host, x, y) = (planted(), Memory::new(10, DType::F32), Memory::new(256, DType::F32));
        let n = &10_i64;
        match kernel {
            "writes_too_far" => host.launch(kernel, [1, 1, 1], [256, 1, 1], &[&x, n]),
            "reads_too_far" => host.launch(kernel, [1, 1, 1], [256, 1, 1], &[&x, &y, n]),
            _ => host.launch(kernel, [1, 1, 1], [256, 1, 1], &[&y]),
        }
    }
}

#[test]
#[ignore = "ends the process"]
fn planted_write() {
    ends_this_process("writes_too_far");
}

#[test]
#[ignore = "ends the process"]
fn planted_read() {
    ends_this_process("reads_too_far");
}

#[test]
#[ignore = "ends the process"]
fn planted_shared() {
    ends_this_process("leaves_shared_memory");
}

#[test]
fn address_sanitizer_finds_planted_bugs() {
    if std::env::var_os(SANITIZED).is_some() {
        return;
    }
    for (test, line) in [("planted_write", 5), ("planted_read", 9), ("planted_shared", 16)] {
        let (passed, text) = sanitized(&["--ignored", "--exact", &format!("harness::{test}")], None);
        let place = format!("out_of_bounds.cu:{line}");
        assert!(!passed && text.contains("heap-buffer-overflow") && text.contains(&place), "{test}:\n{text}");
    }
}

/// All the other tests once more under AddressSanitizer; together they launch every kernel that there is.
#[test]
fn the_suite_is_clean_under_address_sanitizer_and_launches_every_kernel() {
    if std::env::var_os(SANITIZED).is_some() {
        return;
    }
    let launched = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("launched-{}", std::process::id()));
    let (passed, text) = sanitized(&["--skip", "harness::"], Some(&launched));
    assert!(passed, "{text}");
    let text = fs::read_to_string(&launched).unwrap();
    fs::remove_file(&launched).unwrap();
    let launched: BTreeSet<&str> = text.lines().collect();
    let names = Host::get().names();
    let missing: Vec<&String> = names.iter().filter(|name| !launched.contains(name.as_str())).collect();
    assert!(names.len() > 300 && missing.is_empty(), "no test launches {missing:?}");
}

//! `--device cuda` on the emulated driver of `cuda-backend/emulator`: the program's own code, no GPU.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use dsnet::train::{Learner, OptimizerKind};
use serde_json::Value;
use tensor::{DType, Tensor, ops::Distribution, rng::Key};

use crate::{
    processes::Launched,
    program::{TINY, command, fails, succeeds},
    resume::overflows_once,
};

/// The folder of the emulated libraries, built once.
fn emulator() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("emulator");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../cuda-backend/emulator/build.sh");
        let built = Command::new(script).arg(&out).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        out
    })
}

/// Runs the program on the emulator with more variables; its exit code, and everything it said.
fn on_emulator(at: &Path, args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut run = command(at, args);
    run.env("DSNET_CUDA_PATH", emulator()).envs(variables.iter().copied());
    let Output { status, stdout, stderr } = run.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(!said.contains("panicked"), "{said}");
    (status.code(), said)
}

fn works(at: &Path, args: &[&str], variables: &[(&str, &str)]) -> String {
    let (code, said) = on_emulator(at, args, variables);
    assert_eq!(code, Some(0), "{args:?} {variables:?}\n{said}");
    said
}

fn refused(at: &Path, args: &[&str], variables: &[(&str, &str)]) -> String {
    let (code, said) = on_emulator(at, args, variables);
    assert_eq!(code, Some(1), "{args:?} {variables:?}\n{said}");
    said
}

/// Code 719 is told with the call that failed, in the words of that call's library. Which call it was depends on how often
/// the program asked whether the device is done.
fn tells_of_the_fault(said: &str) {
    let (before, after) =
        said.split_once(" failed with code 719 (").unwrap_or_else(|| panic!("no code 719 in: {said}"));
    let call = before.rsplit([' ', '\n']).next().unwrap_or_default();
    let words = match call {
        _ if call.starts_with("cudnn") => "CUDNN_STATUS_INTERNAL_ERROR",
        _ if call.starts_with("cublas") => "the emulated call failed",
        _ if call.starts_with("cu") => "unspecified launch failure",
        _ => panic!("'{call}' is no call that can fail in: {said}"),
    };
    let told = after.split(')').next().unwrap_or_default();
    assert!(told.contains(words), "{call} is not told in its library's words: {said}");
}

/// A tiny training into a folder.
fn training<'a>(more: &[&'a str]) -> Vec<&'a str> {
    TINY.iter().copied().filter(|a| !a.starts_with("--out")).chain(more.iter().copied()).collect()
}

/// The losses of all steps of a run.
fn losses(run: &Path) -> Vec<f64> {
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["kind"] == "step").map(|line| line["loss"].as_f64().unwrap()).collect()
}

/// The numbers of a run's last checkpoint, without what is said about them.
fn values(run: &Path) -> Vec<u8> {
    let bytes = fs::read(run.join("last.safetensors")).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].to_vec()
}

#[test]
fn a_short_training_has_the_cpus_curve_and_goes_on_after_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    succeeds(at, &training(&["--out=cpu"]));
    works(at, &training(&["--out=gpu", "--device=cuda"]), &[]);
    let (cpu, gpu) = (losses(&at.join("cpu")), losses(&at.join("gpu")));
    assert_eq!((cpu.len(), gpu.len()), (9, 9));
    assert!((cpu[0] - gpu[0]).abs() < 1e-5, "one forward pass: {} and {}", cpu[0], gpu[0]);
    for (a, b) in cpu.iter().zip(&gpu) {
        assert!((a - b).abs() < 0.02 * a, "{cpu:?}\n{gpu:?}");
    }
    assert!(
        values(&at.join("cpu")) != values(&at.join("gpu")),
        "sums of another order: was it run on the GPU?"
    );

    // A call fails in the middle; the last checkpoint is there, and going on leads to the same weights.
    let broken = training(&["--out=broken", "--device=cuda:0"]);
    let said = refused(at, &broken, &[("EMULATED_FAIL", "12000:719")]);
    tells_of_the_fault(&said);
    assert!(said.contains("--resume"), "{said}");
    assert!(losses(&at.join("broken")).len() < 9, "it failed before the end");
    works(at, &["train", "--resume", "--out=broken"], &[]);
    let weights = |run: &str| fs::read(at.join(run).join("last.safetensors")).unwrap();
    assert!(weights("gpu") == weights("broken"), "the same to the bit");

    let eval = |more: &[&str]| {
        let args =
            ["eval", "--weights=gpu/last.safetensors", "--val-images=2", "--scene-size=32x64", "--json=-"];
        let args: Vec<&str> = args.into_iter().chain(more.iter().copied()).collect();
        serde_json::from_str::<Value>(&works(at, &args, &[])).unwrap()["pixel_accuracy"].as_f64().unwrap()
    };
    let accuracy = eval(&[]);
    for precision in ["f32", "tf32", "f16", "bf16"] {
        let found = eval(&["--device=cuda", "--precision", precision]);
        assert!((found - accuracy).abs() < 0.02, "{precision}: {found}, on the CPU {accuracy}");
    }
    works(
        at,
        &["predict", "--weights=gpu/last.safetensors", "gpu/samples", "--out=out", "--device=cuda"],
        &[],
    );
    assert!(fs::read_dir(at.join("out")).unwrap().count() > 0);
    let bench = ["bench", "--model=dsnet-tiny", "--size=64x32", "--iters=1", "--device=cuda", "--json"];
    let bench: Value = serde_json::from_str(&works(at, &bench, &[])).unwrap();
    assert_eq!(bench[0]["device"], "cuda:0");
}

/// In every precision the curve of f32 on the CPU, but for rounding; and a run goes on bit for bit.
#[test]
fn low_precision_has_the_cpus_curve() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    succeeds(at, &training(&["--out=cpu"]));
    let cpu = losses(&at.join("cpu"));
    for (precision, first, later) in [("f16", 5e-3, 0.03), ("bf16", 0.02, 0.05)] {
        works(at, &training(&["--out=gpu", "--device=cuda", "--precision", precision]), &[]);
        let gpu = losses(&at.join("gpu"));
        assert!((cpu[0] - gpu[0]).abs() < first * cpu[0], "{precision}: {} and {}", cpu[0], gpu[0]);
        for (a, b) in cpu.iter().zip(&gpu) {
            assert!((a - b).abs() < later * a, "{precision}: {cpu:?}\n{gpu:?}");
        }
        let weights = || fs::read(at.join("gpu/last.safetensors")).unwrap();
        let last = weights();
        works(at, &["train", "--resume", "--out=gpu", "--from=gpu/previous.safetensors"], &[]);
        assert!(weights() == last, "{precision}: the same to the bit");
        if precision == "f16" {
            overflows_once(&at.join("gpu"), &mut || works(at, &["train", "--resume", "--out=gpu"], &[]));
        }
        fs::remove_dir_all(at.join("gpu")).unwrap();
    }
    works(at, &training(&["--out=two", "--device=cuda:0,1", "--precision=f16"]), &[]);
    for (a, b) in cpu.iter().zip(&losses(&at.join("two"))) {
        assert!((a - b).abs() < 0.03 * a, "two GPUs: {a} {b}");
    }
}

/// The log of a run without times.
fn told(run: &Path) -> Vec<Value> {
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let without_times = |mut line: Value| {
        let keys = ["seconds", "phases", "time", "val_seconds", "memory"];
        keys.iter().for_each(|key| drop(line.as_object_mut().unwrap().remove(*key)));
        line
    };
    lines.filter(|line| line["kind"] != "start").map(without_times).collect()
}

#[test]
fn recorded_steps_are_the_same_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    for (name, more) in [
        ("adam", &["--ema=0.9", "--clip=0.5", "--label-smoothing=0.1"][..]),
        ("sgd", &["--optimizer=sgd", "--loss=wce"]),
        ("f16", &["--precision=f16", "--epochs=2"]),
        // Its dropout draws other values in each step.
        ("enet", &["--model=dsnet-tiny-enet", "--epochs=2", "--optimizer=adamw"]),
    ] {
        let run = |how: &str| {
            let (out, how) = (format!("--out={name}{how}"), format!("--capture={how}"));
            let said = works(at, &training(&[&[&out, &how, "--device=cuda"], more].concat()), &[]);
            let expected =
                if how.ends_with("true") { "recorded as a graph" } else { "one operation at a time" };
            assert!(said.contains(expected), "{said}");
        };
        run("true");
        run("false");
        let [recorded, single] = ["true", "false"].map(|how| at.join(format!("{name}{how}")));
        assert_eq!(told(&recorded), told(&single), "{name}");
        for file in ["last.safetensors", "best.safetensors"] {
            let read = |run: &Path| fs::read(run.join(file)).unwrap();
            assert!(read(&recorded) == read(&single), "{name}: {file} differs");
        }
    }
}

/// Not a test of its own: what the next one runs where the emulator is in the environment.
#[test]
#[ignore = "wants an emulated GPU"]
fn batches_of_two_shapes() {
    let gpu = cuda_backend::device(0).unwrap();
    let device = dsnet::device::open("cuda", Default::default()).unwrap();
    let shape = dsnet::model::config("dsnet-tiny", 3).unwrap();
    let weights = |capture: bool| {
        let (loss, frequencies) = ("owfl+sel".parse().unwrap(), [0.7, 0.2, 0.1]);
        let mut learner = Learner::with(&shape, loss, &frequencies, OptimizerKind::Adam, 1e-3, 1).unwrap();
        learner.capture = capture;
        learner.move_to(&device).unwrap();
        let losses = [2, 2, 2, 2, 1, 2, 2, 1, 2].into_iter().enumerate().map(|(i, n)| {
            let noise = Distribution::Normal { mean: 0.0, std: 1.0 };
            let key = Key::new(1, i as u64);
            let images = Tensor::random(noise, &[n, 3, 16, 16], DType::F32, key).unwrap();
            let labels = (0..n * 256).map(|i| (i % 3) as u8).collect();
            let labels = Tensor::from_vec(labels, &[n, 16, 16]).unwrap();
            learner.step(&images, &labels, key, 1.0).unwrap().total
        });
        let losses: Vec<f64> = losses.collect();
        let state: Vec<_> =
            nn::state_dict(&learner.model).iter().map(|(_, t)| t.to_bytes().unwrap()).collect();
        (losses, state)
    };
    let single = weights(false);
    let held = gpu.memory().held;
    assert!(weights(true) == single);
    assert_eq!(gpu.memory().held, held, "nothing of the recording is left");
}

#[test]
fn batches_of_another_shape_are_no_matter() {
    let mut run = Command::new(std::env::current_exe().unwrap());
    run.args(["--ignored", "--exact", "cuda::batches_of_two_shapes"]).env("DSNET_CUDA_PATH", emulator());
    let Output { status, stdout, stderr } = run.output().unwrap();
    let said = [stdout, stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_fault_in_a_recorded_step_leaves_the_state_before() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let run = |out: &str| {
        training(&[out, "--device=cuda", "--ema=0.9"]).iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()
    };
    let whole = run("--out=whole");
    works(at, &whole.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let weights = |run: &str| fs::read(at.join(run).join("last.safetensors")).unwrap();
    let mut met = std::collections::BTreeSet::new();
    for n in (8000..36_000).step_by(4000) {
        let (name, fail) = (format!("at-{n}"), format!("{n}:719"));
        let args = run(&format!("--out={name}"));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, said) = on_emulator(at, &args, &[("EMULATED_FAIL", &fail), ("EMULATED_VERBOSE", "1")]);
        if code == Some(0) {
            break;
        }
        tells_of_the_fault(&said);
        met.insert(losses(&at.join(&name)).len());
        works(at, &["train", "--resume", &format!("--out={name}")], &[]);
        assert!(weights("whole") == weights(&name), "after a fault at call {n}");
    }
    assert!(met.iter().any(|&steps| steps > 2), "no fault met a recorded step: {met:?}");
}

#[test]
fn two_gpus_take_the_steps_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    works(at, &training(&["--out=one", "--device=cuda"]), &[]);
    works(at, &training(&["--out=two", "--device=cuda:0,1"]), &[]);
    let (one, two) = (losses(&at.join("one")), losses(&at.join("two")));
    assert_eq!((one.len(), two.len()), (9, 9));
    assert!((one[0] - two[0]).abs() < 1e-5, "the loss of the whole batch: {} and {}", one[0], two[0]);
    for (a, b) in one.iter().zip(&two) {
        assert!((a - b).abs() < 0.02 * a, "{one:?}\n{two:?}");
    }
}

#[test]
fn four_gpus_take_the_steps_of_one_also_by_two_processes() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    // Shares of 2, 1, 1 and 1 images.
    let five = |more: &[&'static str]| training(&[&["--batch=5"], more].concat());
    works(at, &five(&["--out=one", "--device=cuda"]), &[]);
    works(at, &five(&["--out=four", "--device=cuda:0,1,2,3"]), &[]);
    let two = five(&["--out=run", "--device=cuda:0,1"]);
    let emulator = emulator().to_str().unwrap();
    Launched::start(at, &[&two, &two], &[("DSNET_CUDA_PATH", emulator)]).succeed();
    // A process for each GPU, which picks it by its place on the machine.
    let picks = five(&["--out=picks", "--device=cuda:2,3"]);
    let first = [("LOCAL_RANK", "1"), ("LOCAL_WORLD_SIZE", "2"), ("DSNET_CUDA_PATH", emulator)];
    Launched::start(&at.join("picks"), &[&picks, &picks], &first).succeed();
    let (one, four) = (losses(&at.join("one")), losses(&at.join("four")));
    assert_eq!((one.len(), four.len()), (6, 6));
    assert!((one[0] - four[0]).abs() < 1e-5, "the loss of the whole batch: {} and {}", one[0], four[0]);
    for (a, b) in one.iter().zip(&four) {
        assert!((a - b).abs() < 0.02 * a, "{one:?}\n{four:?}");
    }
    let last = |run: &str| fs::read(at.join(run).join("last.safetensors")).unwrap();
    assert!(last("four") == last("0/run"), "the same bits by two processes");
}

#[test]
fn a_process_with_a_gpu_that_is_killed_is_named_and_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let emulator = [("DSNET_CUDA_PATH", emulator().to_str().unwrap())];
    let args = training(&["--out=run", "--device=cuda"]);
    works(at, &training(&["--out=whole", "--device=cuda:0,1"]), &[]);
    // By hand, without places on the machine: each process has the GPUs of the list to itself.
    let mut running = Launched::start(at, &[&args, &args], &emulator).until(2);
    running.children[1].kill().unwrap();
    let ends = running.finish();
    assert!(ends[0].err.contains("rank 1 was lost: its process is gone"), "{}", ends[0].err);
    let resume = ["train", "--resume", "--out=run"];
    Launched::start(at, &[&resume, &resume], &emulator).succeed();
    let steps = losses(&at.join("0/run"));
    assert_eq!(steps, losses(&at.join("whole")));
}

#[test]
fn a_gpu_that_is_too_small_says_for_what_and_which_batch_would_fit() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let memory = [("EMULATED_MEMORY", "24000000")];
    let large = |out: &'static str, batch: &'static str| {
        let scene = ["--scene-size=64x128", "--crop=none", "--scales=1", "--epochs=1"];
        training(&[&[out, "--device=cuda", batch], &scene[..]].concat())
    };
    works(at, &large("--out=small", "--batch=2"), &memory);
    let said = refused(at, &large("--out=large", "--batch=12"), &memory);
    for part in [
        "the memory of cuda:0 is full",
        "do not depend on the batch, each image takes",
        "cuda:0: out of memory: ",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    // The batch that it names does fit.
    let batch = said.split("--batch ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
    let args: Vec<String> =
        large("--out=right", "--batch=0").iter().map(|a| a.replace("=0", &format!("={batch}"))).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    works(at, &args, &memory);
}

#[test]
fn what_stands_in_the_way_of_a_gpu_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let bench = |device: &'static str| {
        ["bench", "--model=dsnet-tiny", "--size=64x32", "--iters=1", "--device", device]
    };
    for (device, variable, part) in [
        ("cuda", ("EMULATED_DEVICES", "0"), "shows no GPU"),
        ("cuda", ("EMULATED_CUDA", "11040"), "is too old: it serves CUDA 11.4, and CUDA 12.0 is needed"),
        ("cuda", ("EMULATED_FAIL", "1:803"), "of different versions: reboot"),
        ("cuda:2", ("EMULATED_DEVICES", "2"), "there is no cuda:2: the driver shows 2 devices"),
        ("cuda", ("EMULATED_MEMORY", "3000000"), "out of memory: "),
    ] {
        let said = refused(at, &bench(device), &[variable]);
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    works(at, &bench("cuda:1"), &[("EMULATED_DEVICES", "2")]);
    // Wrong usage, before anything is opened.
    for (args, part) in [
        (&["bench", "--device=gpu"][..], "there is no device \"gpu\""),
        (&["bench", "--precision=f16"], "want a GPU"),
        (&["eval", "--weights=x", "--device=cuda:0,1"], "several GPUs are for training"),
        (&["train", "--device=cuda:0,1", "--ranks=3", "--out=x"], "names 2 GPUs for 3 ranks"),
    ] {
        let said = fails(at, 2, args);
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

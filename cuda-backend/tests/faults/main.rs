//! Calls that fail, memory that runs out, libraries that lack something: on the emulated driver, which can be told to. Its
//! switches are the process's, so the tests of this file take turns.

#[path = "../emulated/support.rs"]
#[allow(dead_code)]
mod support;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cuda_backend::{CudaBackend, Environment, Error, Recorded};
use support::{assert_close, environment, folder, normal};
use tensor::graph::{Graph, interpret};
use tensor::ops::{Binary, Conv2d, Reduce, Reduction, Unary};
use tensor::{Backend, DType, Device, Meta, Ops, Tensor, cpu};

/// The emulator's switches.
struct Emulator(libloading::Library);

impl Emulator {
    fn open() -> Self {
        // SAFETY: our own library, which does nothing when it is opened.
        Self(unsafe { libloading::Library::new(folder().join("libcuda.so.1")) }.unwrap())
    }

    fn number(&self, name: &str) -> i64 {
        // SAFETY: `int64_t name()` in emulator/driver.cpp.
        unsafe { self.0.get::<unsafe extern "C" fn() -> i64>(name.as_bytes()).unwrap()() }
    }

    /// Lets the n-th call from now on fail; 0: none.
    fn fail_at(&self, n: i64) {
        // SAFETY: `void emulator_fail_at(int64_t, int)`.
        unsafe { self.0.get::<unsafe extern "C" fn(i64, i32)>(b"emulator_fail_at").unwrap()(n, 0) }
    }

    fn cap(&self, bytes: i64) {
        // SAFETY: `void emulator_cap(int64_t)`.
        unsafe { self.0.get::<unsafe extern "C" fn(i64)>(b"emulator_cap").unwrap()(bytes) }
    }
}

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A convolution, a product, pointwise work, a recorded graph, a recorded step: each kind of call at least once.
fn work() -> Result<Vec<Tensor>, String> {
    let gpu = CudaBackend::open(&environment(), 0).map_err(|e| e.to_string())?;
    let device: Device = gpu.clone();
    let say = |e: tensor::Error| e.to_string();
    let x = normal(&[1, 3, 5, 6], DType::F32, 1).to_device(&device).map_err(say)?;
    let w = normal(&[4, 3, 3, 3], DType::F32, 2).to_device(&device).map_err(say)?;
    let y = x.conv2d(&w, None, &Conv2d::default()).map_err(say)?;
    let flat = y.reshape(&[4, 12]).map_err(say)?;
    let product = flat.matmul(&flat.transpose(0, 1).map_err(say)?).and_then(|p| p.tanh()).map_err(say)?;
    let mut graph = Graph::new();
    let input = graph.input(Meta::new(&[1, 3, 5, 6][..], DType::F32));
    let out = graph.push(Unary::Exp.into(), &[input], "exp").unwrap()[0];
    graph.outputs.push(out);
    let plan = gpu.plan(&graph).map_err(say)?;
    plan.run(&[&x]).map_err(say)?;
    let last = plan.run(&[&x]).map_err(say)?.remove(0);
    let place = gpu.place(&flat).map_err(say)?;
    let mut step = gpu
        .record(|| {
            let new = place.mul_scalar(0.5)?.tanh()?;
            Ok(Recorded { outputs: vec![new.clone()], state: vec![(place.clone(), new)] })
        })
        .map_err(say)?;
    step.replay(0).and_then(|_| step.accept()).map_err(say)?;
    let replayed = step.replay(0).map_err(say)?.remove(0);
    gpu.synchronize().map_err(say)?;
    [product, last, replayed].iter().map(|t| t.to_device(&cpu::device()).map_err(say)).collect()
}

#[test]
fn a_call_that_fails_is_an_error_and_leaks_nothing() {
    let _turn = turn();
    let emulator = Emulator::open();
    work().unwrap(); // fills the disk caches
    let (calls, alive) = (emulator.number("emulator_calls"), emulator.number("emulator_alive"));
    let want = work().unwrap();
    let calls = emulator.number("emulator_calls") - calls;
    assert_eq!(emulator.number("emulator_alive"), alive, "nothing is left when nothing fails");
    assert!(calls > 100, "{calls} calls");
    let mut failed = 0;
    for n in 1..=calls {
        emulator.fail_at(n);
        match work() {
            Err(e) => {
                failed += 1;
                let says =
                    ["failed with code", "out of memory", "does not work"].iter().any(|s| e.contains(s));
                assert!(says, "call {n}: {e}");
            }
            // Some calls have another way: another algorithm, kernels compiled anew, memory asked for again.
            Ok(got) => {
                got.iter().zip(&want).for_each(|(g, w)| assert_close(g, w, &format!("call {n}")));
            }
        }
        emulator.fail_at(0);
        assert_eq!(emulator.number("emulator_alive"), alive, "call {n} left something behind");
    }
    assert!(failed * 10 > calls * 7, "{failed} of {calls}");
}

#[test]
fn full_memory_says_who_holds_it_and_ends_when_they_let_go() {
    let _turn = turn();
    let emulator = Emulator::open();
    let gpu = CudaBackend::open(&environment(), 0).unwrap();
    let device: Device = gpu.clone();
    emulator.cap(96 << 20);
    let mut held = Vec::new();
    let error = loop {
        let made = tensor::scope::within(&"up4.right".into(), || {
            Tensor::full_on(&device, 1.0, &[1 << 20], DType::F32)
                .and_then(|t| tensor::scope::backward(&"up4.right.1".into(), || t.exp()))
        });
        match made {
            Ok(t) => held.push(t),
            Err(e) => break e.to_string(),
        }
        assert!(held.len() < 100);
    };
    for part in [
        "cuda:0: out of memory: 4.0 MiB for ",
        " could not be had.",
        "The device has 96.0 MiB",
        " up4.right.1 exp (backward) in ",
        "A smaller batch",
    ] {
        assert!(error.contains(part), "{part:?} is not in\n{error}");
    }
    let many = held.len();
    assert!(many >= 16, "{many}");
    held.clear();
    Tensor::full_on(&device, 1.0, &[20 << 20], DType::F32).expect("80 MiB fit once the others are gone");
    assert!(gpu.memory().peak <= 96 << 20);
    emulator.cap(4 << 30);
}

/// What a recorded plan did in passing, it does at each replay: the memory of it stays, although no tensor holds it.
#[test]
fn memory_that_recorded_work_names_stays_when_memory_runs_out() {
    let _turn = turn();
    let emulator = Emulator::open();
    let gpu = CudaBackend::open(&environment(), 0).unwrap();
    // A large value in passing, then a larger result; slabs are no larger than what they are for.
    let mut g = Graph::new();
    let x = g.input(Meta::new(&[1, 1024][..], DType::F32));
    let [tall, taller] = [600, 1500].map(|rows| g.constant(normal(&[rows, 1], DType::F32, rows as u64)));
    let wide = g.push(Binary::Mul.into(), &[x, tall], "wide").unwrap()[0];
    let sum = Reduce { kind: Reduction::Sum, axes: [0][..].into(), keep: true };
    let sum = g.push(sum.into(), &[wide], "sum").unwrap()[0];
    let out = g.push(Binary::Mul.into(), &[sum, taller], "out").unwrap()[0];
    g.outputs.push(out);
    let x = normal(&[1, 1024], DType::F32, 1);
    let want = interpret(&g, &[&x]).unwrap().remove(0);
    emulator.cap(30 << 20);
    let plan = gpu.plan(&g).unwrap();
    let run = |what: &str| {
        let got = plan.run(&[&x]).unwrap().remove(0);
        assert_close(&got.to_device(&cpu::device()).unwrap(), &want, what);
    };
    run("recorded");
    // Its result does not fit beside that of the recording.
    let (held, mut timed) = (gpu.memory(), Vec::new());
    emulator.cap((held.reserved + plan.memory().planned + (4 << 20)) as i64);
    for _ in 0..2 {
        timed.push(plan.run_timed(&[&x], &mut |_, _| ()));
    }
    run("replayed after that");
    emulator.cap(4 << 30);
    assert!(timed.iter().any(|t| t.is_err()), "memory did not run out");
    let error = timed.into_iter().find_map(Result::err).unwrap().to_string();
    assert!(error.contains("out of memory"), "{error}");
    run("replayed with room");
}

#[test]
fn memory_taken_and_given_back_by_many_threads_holds_what_was_put_there() {
    let _turn = turn();
    let gpu = CudaBackend::open(&environment(), 0).unwrap();
    let device: Device = gpu.clone();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let device = &device;
            scope.spawn(move || {
                let mut held: Vec<(Tensor, f32)> = Vec::new();
                let key = tensor::rng::Key::new(5, thread);
                for i in 0..300 {
                    let draw = key.word(i) as usize;
                    if draw.is_multiple_of(3) && !held.is_empty() {
                        let (t, value) = held.swap_remove(draw / 3 % held.len());
                        assert!(
                            t.to_vec::<f32>().unwrap().iter().all(|&v| v == value),
                            "thread {thread}, step {i}"
                        );
                    } else {
                        let (len, value) = (1 + draw % 5000, (thread * 1000 + i) as f32);
                        held.push((
                            Tensor::full_on(device, f64::from(value), &[len], DType::F32).unwrap(),
                            value,
                        ));
                    }
                }
            });
        }
    });
    let before = gpu.memory();
    assert!(before.held < 1 << 16 && before.reserved > before.held, "{before:?}");
    gpu.release_cached_memory().unwrap();
    assert!(gpu.memory().reserved <= 2 << 20, "{:?}", gpu.memory());
}

/// A folder with links to the emulated libraries, without those that start with one of `but`.
fn partial(but: &[&str]) -> (tempfile::TempDir, Environment) {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder()).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.contains(".so") && !name.ends_with(".stamp") && !but.iter().any(|b| name.starts_with(b)) {
            std::os::unix::fs::symlink(entry.path(), dir.path().join(name)).unwrap();
        }
    }
    let env = Environment::isolated("/nowhere").with("DSNET_CUDA_PATH", dir.path().as_os_str());
    (dir, env)
}

fn library(path: PathBuf, source: &str) {
    let text = path.with_extension("c");
    std::fs::write(&text, source).unwrap();
    let built =
        std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&path).arg(&text).status();
    assert!(built.unwrap().success());
}

#[test]
fn what_is_missing_is_said_with_every_place_tried() {
    let _turn = turn();
    let conv = |env: &Environment| -> Result<Tensor, tensor::Error> {
        let device: Device = CudaBackend::open(env, 0).unwrap();
        let x = normal(&[1, 1, 3, 3], DType::F32, 1).to_device(&device)?;
        x.conv2d(&x, None, &Conv2d::default())
    };
    let (dir, env) = partial(&["libcudnn"]);
    let error = conv(&env).unwrap_err().to_string();
    assert!(error.contains("cuDNN (libcudnn.so*) was not found"), "{error}");
    assert!(
        error.contains(&dir.path().display().to_string()) && error.contains("pip install nvidia-cudnn"),
        "{error}"
    );

    // A library that lacks a function is named with the function.
    library(dir.path().join("libcudnn.so.9"), "int cudnnCreate(void **h) { return 0; }");
    let error = conv(&env).unwrap_err().to_string();
    assert!(error.contains("has no function `cudnnDestroy`") && error.contains("too old"), "{error}");

    let (_dir, env) = partial(&["libnvrtc"]);
    let device: Device = CudaBackend::open(&env, 0).unwrap();
    let error = Tensor::full_on(&device, 1.0, &[3], DType::F32).unwrap_err().to_string();
    for part in [
        "no code for the kernels of create",
        "built without nvcc",
        "the disk cache",
        "NVRTC",
        "was not found",
    ] {
        assert!(error.contains(part), "{part:?} is not in\n{error}");
    }

    let (dir, env) = partial(&["libcuda."]);
    assert!(matches!(CudaBackend::open(&env, 0), Err(Error::Missing(_))));
    library(dir.path().join("libcuda.so.1"), "int cuInit(unsigned f) { return 0; }");
    let error = CudaBackend::open(&env, 0).unwrap_err().to_string();
    assert!(error.contains("has no function `cuDriverGetVersion`"), "{error}");
    let error = CudaBackend::open(&environment(), 5).unwrap_err().to_string();
    assert!(error.contains("there is no cuda:5: the driver shows 4 devices"), "{error}");
    assert!(Path::new(folder()).exists());
}

#[test]
fn values_out_of_range_are_found_when_somebody_waits() {
    let _turn = turn();
    let device: Device = CudaBackend::open(&environment(), 0).unwrap();
    let x = normal(&[4, 2], DType::F32, 1).to_device(&device).unwrap();
    let index = Tensor::from_vec(vec![0_i64, 1, 9, 1], &[2, 2]).unwrap().to_device(&device).unwrap();
    let y = x.gather(0, &index).unwrap();
    let error = y.to_vec::<f32>().unwrap_err().to_string();
    assert_eq!(error, "gather: the index at [1, 0] is outside axis 0 of size 4");
    // Once said, the device goes on.
    assert_eq!(x.to_vec::<f32>().unwrap().len(), 8);
}

//! The emulator, built once and opened, and comparisons with the CPU.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use cuda_backend::{CudaBackend, Environment};
use tensor::rng::{Key, Stream};
use tensor::{DType, Device, Format, Op, Ops, Tensor, cpu, execute};

/// The folder of the emulated libraries.
pub fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("emulator");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/emulator/build.sh");
        let built = Command::new(script).arg(&out).output().expect("emulator/build.sh can be run");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        out
    })
}

/// An environment in which nothing of the machine is found but the emulator; with `DSNET_TEST_GPU` set, the machine's own:
/// the same comparisons on a real GPU.
pub fn environment() -> Environment {
    if std::env::var_os("DSNET_TEST_GPU").is_some() {
        return Environment::current();
    }
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("emulator-cache");
    let env = Environment::isolated("/nowhere").with("DSNET_CUDA_PATH", folder().as_os_str());
    env.with("DSNET_CACHE", cache.as_os_str())
}

/// One emulated GPU, opened for all tests of the process.
pub fn gpu() -> Arc<CudaBackend> {
    static GPU: OnceLock<Arc<CudaBackend>> = OnceLock::new();
    GPU.get_or_init(|| CudaBackend::open(&environment(), 0).expect("the GPU opens")).clone()
}

/// [`gpu`] as `tensor` knows it.
pub fn device() -> Device {
    gpu()
}

/// Standard normal values.
pub fn normal(dims: &[usize], dtype: DType, seed: u64) -> Tensor {
    let mut stream = Stream::new(Key::new(seed, 7));
    let values: Vec<f64> = (0..dims.iter().product()).map(|_| stream.normal()).collect();
    Tensor::from_vec(values, dims).unwrap().cast(dtype).unwrap()
}

/// Whole numbers from 0 to below `below`.
pub fn integers(dims: &[usize], dtype: DType, below: u32, seed: u64) -> Tensor {
    let key = Key::new(seed, 8);
    let len = dims.iter().product::<usize>() as u64;
    let values: Vec<i64> = (0..len).map(|i| i64::from(key.word(i) % below)).collect();
    Tensor::from_vec(values, dims).unwrap().cast(dtype).unwrap()
}

/// How an operand lies in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    RowMajor,
    ChannelsLast,
    /// Every second element of a larger tensor along the last axis, off the start of the buffer.
    Scattered,
}

/// `t` in a place, on `device`.
pub fn placed(t: &Tensor, place: Place, device: &Device) -> Tensor {
    match place {
        Place::RowMajor => t.to_format(Format::Contiguous).unwrap().to_device(device).unwrap(),
        Place::ChannelsLast => t.to_format(Format::ChannelsLast).unwrap().to_device(device).unwrap(),
        Place::Scattered => {
            let Some(axis) = t.dims().len().checked_sub(1) else { return t.to_device(device).unwrap() };
            let other = t.full_like(1.0, t.dims()).unwrap();
            // Neighbours interleaved: [.., 2·n + 1] with the values at 1, 3, 5 …
            let mut wide = t.dims().to_vec();
            wide.push(1);
            let (a, b) = (other.reshape(&wide).unwrap(), t.reshape(&wide).unwrap());
            let mut flat = t.dims().to_vec();
            flat[axis] *= 2;
            let both = Tensor::cat(&[&a, &b], axis + 1).unwrap().reshape(&flat).unwrap();
            let moved = both.to_format(Format::Contiguous).unwrap().to_device(device).unwrap();
            let dims = t.dims();
            let start = if t.is_empty() { 0 } else { 1 };
            let spans = (0..dims.len()).map(|a| match a == axis {
                true => tensor::ops::Span { start, len: dims[a], step: 2 },
                false => tensor::ops::Span { start: 0, len: dims[a], step: 1 },
            });
            let slice = tensor::ops::Slice { spans: spans.collect() };
            execute(&slice.into(), &[&moved]).unwrap()[0].clone()
        }
    }
}

/// Greatest difference that rounding explains, for sums of some hundred values.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 1e-12,
        DType::F32 => 2e-5,
        DType::F16 => 4e-3,
        DType::BF16 => 3e-2,
        DType::I64 | DType::U8 => 0.0,
    }
}

/// Fails unless the values agree but for rounding.
pub fn assert_close(got: &Tensor, want: &Tensor, what: &str) {
    assert_eq!((got.dims(), got.dtype()), (want.dims(), want.dtype()), "{what}");
    let tol = tolerance(want.dtype());
    let (g, w) = (got.to_f64_vec().unwrap(), want.to_f64_vec().unwrap());
    for (i, (g, w)) in g.iter().zip(&w).enumerate() {
        let close = (g - w).abs() <= tol * (1.0 + w.abs()) || g == w || (g.is_nan() && w.is_nan());
        assert!(close, "{what}: element {i} is {g}, on the CPU {w}");
    }
}

/// Runs `op` on the CPU and on the emulated GPU, with operands in each place, and compares every result.
pub fn check(op: impl Into<Op>, ins: &[&Tensor]) {
    let (op, device) = (op.into(), device());
    let want = execute(&op, ins).unwrap_or_else(|e| panic!("{}: {e}", op.name()));
    for place in [Place::RowMajor, Place::ChannelsLast, Place::Scattered] {
        let moved: Vec<Tensor> = ins.iter().map(|t| placed(t, place, &device)).collect();
        let operands: Vec<String> = ins.iter().map(|t| t.meta().to_string()).collect();
        let what = format!("{op:?} of {} {place:?}", operands.join(", "));
        let outs = tensor::execute_on(&device, &op, &moved.iter().collect::<Vec<_>>());
        let outs = outs.unwrap_or_else(|e| panic!("{what}: {e}"));
        device.synchronize().unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(outs.len(), want.len(), "{what}");
        for (i, (got, want)) in outs.iter().zip(&want).enumerate() {
            assert_eq!(got.device().name(), "cuda:0", "{what}");
            assert_close(&got.to_device(&cpu::device()).unwrap(), want, &format!("{what}, result {i}"));
        }
        if ins.is_empty() {
            break;
        }
    }
}

//! The pool under many tensors that come and go: nobody's memory is given to another while it is held, the account is right, and
//! all of it goes back.

use cuda_backend::CudaBackend;
use tensor::ops::Reduction;
use tensor::rng::{Key, Stream};
use tensor::{Backend, DType, Device, Ops, Tensor};

use crate::support::environment;

/// Tensors alive at a time.
const ALIVE: usize = 48;

/// Every element of a tensor, which are all the same.
fn value(t: &Tensor) -> f64 {
    let [low, high] =
        [Reduction::Min, Reduction::Max].map(|kind| t.reduce(kind, &[0], false).unwrap().item().unwrap());
    assert_eq!(low, high, "{t:?} was written to by another");
    low
}

#[test]
fn many_tensors_come_and_go() {
    let gpu = CudaBackend::open(&environment(), 0).unwrap();
    let device: Device = gpu.clone();
    // What the backend keeps for itself is there from the first reduction on.
    value(&Tensor::full_on(&device, 1.0, &[1], DType::F32).unwrap());
    gpu.release_cached_memory().unwrap();
    let before = gpu.memory();
    let (mut alive, mut draw) = (vec![None::<(Tensor, f64)>; ALIVE], Stream::new(Key::new(5, 5)));
    // Of all sizes: from a few bytes over shared slabs to slabs of their own. A real GPU takes more of them (bench/gpu_check.py).
    let many = std::env::var_os("DSNET_TEST_MANY").is_some();
    let (largest, count) = if many { (24.0, 4000) } else { (17.0, 400) };
    for made in 0..count {
        let place = (draw.uniform(0.0, ALIVE as f64) as usize).min(ALIVE - 1);
        let len = draw.uniform(0.0, largest).exp2() as usize;
        if let Some((t, want)) = alive[place].take() {
            assert_eq!(value(&t), want);
        }
        let tensor = Tensor::full_on(&device, made as f64, &[len], DType::F32).unwrap();
        // What an operation makes in passing comes from the same pool.
        alive[place] = Some((tensor.add_scalar(1.0).unwrap(), made as f64 + 1.0));
        let bytes: usize = alive.iter().flatten().map(|(t, _)| 4 * t.len()).sum();
        let held = gpu.memory().held;
        assert!(held >= bytes && gpu.memory().reserved >= held, "{held} held for {bytes} bytes");
    }
    alive.iter().flatten().for_each(|(t, want)| assert_eq!(value(t), *want));
    let (peak, reserved) = (gpu.memory().peak, gpu.memory().reserved);
    assert!(reserved < 3 * peak, "{reserved} bytes from the driver for {peak}: too many gaps");
    alive.clear();
    gpu.synchronize().unwrap();
    gpu.release_cached_memory().unwrap();
    let after = gpu.memory();
    assert_eq!((after.held, after.reserved), (before.held, before.reserved), "everything goes back");
}

/// More small values than the memory that they wait in holds at a time, and large ones, each overwritten by its caller at once.
#[test]
fn values_may_go_as_soon_as_they_are_handed_over() {
    let gpu = CudaBackend::open(&environment(), 0).unwrap();
    let value = |i: usize, k: usize| ((i * 31 + k * 7) % 256) as u8;
    let mut there = Vec::new();
    for i in 0..200 {
        let len = [1, 20_000, 65_536, 7, 65_537, 3_000][i % 6];
        let mut bytes: Vec<u8> = (0..len).map(|k| value(i, k)).collect();
        there.push((i, gpu.upload(&bytes).unwrap()));
        bytes.fill(0);
    }
    for (i, buffer) in there {
        let bytes = gpu.download(&*buffer).unwrap();
        assert!(bytes.iter().enumerate().all(|(k, b)| *b == value(i, k)), "value {i}");
    }
}

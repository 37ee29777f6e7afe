//! A training step and a compiled forward pass ask the system for no memory once they are warm: what the caching pool of tensors
//! can not serve is counted.

use dsnet::{
    compile::{Given, Wanted, compile},
    device::Precision,
    model::{self, DsNet},
    train::{Learner, OptimizerKind},
};
use nn::{Initializer, Policy};
use tensor::{DType, Tensor, cpu::memory_stats, ops::Distribution, rng::Key};

/// Blocks that some runs of `run` take from the system after `warm` others.
fn blocks(warm: usize, mut run: impl FnMut()) -> usize {
    (0..warm).for_each(|_| run());
    let before = memory_stats().system_allocations;
    (0..5).for_each(|_| run());
    memory_stats().system_allocations - before
}

#[test]
fn nothing_is_allocated_once_warm() {
    let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
    let x = Tensor::random(normal, &[2, 3, 64, 96], DType::F32, Key::new(1, 2)).unwrap();
    let config = model::config("dsnet-0.5", 7).unwrap();
    let net = DsNet::new(&config, &Initializer::new(0)).unwrap();
    let plan = compile(&net, x.dims(), Given::Numbers, Wanted::Logits, Precision::F32).unwrap();
    let first = memory_stats().system_allocations;
    assert_eq!(blocks(2, || drop(plan.run(&[&x]).unwrap())), 0, "compiled forward pass");

    let labels = (0..2 * 64 * 96).map(|i| (i % 7) as u8).collect();
    let labels = Tensor::from_vec(labels, &[2, 64, 96]).unwrap();
    for policy in [Policy::Full, Policy::Bf16] {
        let loss = "owfl+sel".parse().unwrap();
        let mut learner =
            Learner::with(&config, loss, &[1.0 / 7.0; 7], OptimizerKind::Adam, 1e-3, 0).unwrap();
        learner.compute_in(policy).unwrap();
        let mut step = 0;
        let run = || {
            step += 1;
            learner.step(&x, &labels, Key::new(0, step), 1.0).unwrap();
        };
        assert_eq!(blocks(6, run), 0, "training step, {policy:?}");
    }
    assert!(memory_stats().system_allocations > first, "the counter counts");
}

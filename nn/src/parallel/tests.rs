//! Gradients summed in buckets are those of the whole batch, and their sums begin while backward still runs.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use autograd::Ops;
use tensor::{DType, Tensor, ops::Distribution, rng::Key};

use super::*;
use crate::{
    BatchNormConfig, Collective, Conv2dConfig, Initializer, Param, Sequential,
    collective::{Failure, Pending, Share, Threads},
    loss::{ClassBalance, CrossEntropy, FocalLoss, Reduction},
    optim::{Adam, Optimizer},
    parameters,
};

const CLASSES: usize = 4;

fn model(dtype: DType) -> Sequential {
    let init = Initializer::new(1).dtype(dtype);
    let conv = |i: &str, from, to| Conv2dConfig::new(from, to, 3).same().build(&init.scope(i)).unwrap();
    Sequential::new()
        .with(conv("0", 3, 8))
        .with(BatchNormConfig::new(8).relu(true).build(&init.scope("1")).unwrap())
        .with(conv("2", 8, 8))
        .with(BatchNormConfig::new(8).relu(true).build(&init.scope("3")).unwrap())
        .with(conv("4", 8, CLASSES))
}

/// Images and labels; a fifth of the pixels take no part, in some images more than in others.
fn batch(n: usize, dtype: DType) -> (Tensor, Tensor) {
    let normal = Distribution::Normal { mean: 0.2, std: 1.0 };
    let images = Tensor::random(normal, &[n, 3, 6, 8], dtype, Key::new(4, 2)).unwrap();
    let label =
        |i: usize| if i.is_multiple_of(5) || i % 48 < i / 24 { 255 } else { (i * i / 7 % CLASSES) as u8 };
    (images, Tensor::from_vec((0..n * 48).map(label).collect(), &[n, 6, 8]).unwrap())
}

/// Flat gradients by name.
type Named = Vec<(String, Vec<f64>)>;

type Loss = fn(&Var, &Tensor, &dyn Collective) -> Result<Var>;

fn focal(logits: &Var, labels: &Tensor, ranks: &dyn Collective) -> Result<Var> {
    let balance = ClassBalance { alpha: vec![0.3, 1.0, 0.7, 0.5], gamma: vec![2.0, 0.0, 1.0, 0.0] };
    FocalLoss::owfl(balance).forward_across(logits, labels, ranks)
}

fn weighted(logits: &Var, labels: &Tensor, ranks: &dyn Collective) -> Result<Var> {
    let weights = Some(vec![0.3, 1.0, 0.7, 0.5]);
    let loss = CrossEntropy { weights, reduction: Reduction::MeanOverWeights, ..CrossEntropy::default() };
    loss.forward_across(logits, labels, ranks)
}

/// This rank's part of the loss, and the gradients of all ranks' images.
fn step(
    (loss, dtype, n): (Loss, DType, usize),
    share: Share,
    ranks: Arc<dyn Collective>,
    bytes: usize,
) -> Result<(f64, Named)> {
    let (model, (images, labels)) = (model(dtype), batch(n, dtype));
    let ctx = Ctx::train(Key::default()).across(ranks.clone());
    let images = ctx.input(images.narrow(0, share.first, share.len)?);
    let loss = loss(&model.forward(&images, &ctx)?, &labels.narrow(0, share.first, share.len)?, &*ranks)?;
    let value = loss.tensor().item()?;
    let grads = backward(&loss, &ctx, &model, bytes)?;
    let flat = grads.into_iter().map(|g| Ok((g.name, g.value.to_f64_vec()?)));
    Ok((value, flat.collect::<Result<_>>()?))
}

#[test]
fn the_gradients_are_those_of_the_whole_batch() {
    let n = 5;
    let whole = Share { first: 0, len: n, total: n };
    for (loss, dtype, tolerance) in
        [(focal as Loss, DType::F64, 1e-12), (weighted, DType::F64, 1e-12), (focal, DType::F32, 1e-5)]
    {
        let (value, want) = step((loss, dtype, n), whole, Arc::new(crate::collective::Solo), 0).unwrap();
        assert_eq!(want.len(), 7);
        for shares in [&[3, 2][..], &[2, 1, 1, 1], &[1, 0, 4]] {
            let all = Threads::run(shares.len(), Duration::from_secs(120), move |ranks| {
                let share = Share::find(shares[ranks.rank()], &*ranks)?;
                step((loss, dtype, n), share, ranks, 700)
            });
            let all = all.unwrap();
            let total: f64 = all.iter().map(|(value, _)| value).sum();
            assert!((total - value).abs() <= tolerance * value.abs(), "{total} {value}");
            for ((name, got), (wants, want)) in all[0].1.iter().zip(&want) {
                let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
                let apart: Vec<f64> = got.iter().zip(want).map(|(a, b)| a - b).collect();
                assert_eq!(name, wants);
                let off = norm(&apart) / norm(want);
                assert!(off <= tolerance, "{name} with {shares:?} in {dtype}: off by {off}");
            }
            assert!(all.iter().all(|(_, grads)| *grads == all[0].1), "ranks got different sums");
        }
    }
}

#[test]
fn the_size_of_buckets_changes_nothing() {
    let with = |bytes: usize| {
        let all = Threads::run(2, Duration::from_secs(120), move |ranks| {
            let share = Share::find(2, &*ranks)?;
            step((focal, DType::F32, 4), share, ranks, bytes)
        });
        all.unwrap().remove(0).1
    };
    let one_each = with(1);
    assert!(one_each == with(500) && one_each == with(BUCKET_BYTES));
}

/// One rank that says it is one of two, and notes when a sum of gradients begins.
#[derive(Debug, Default)]
struct Noting(Arc<Mutex<Vec<String>>>);

struct Noted(Tensor);

impl Pending for Noted {
    fn wait(self: Box<Self>) -> Result<Tensor> {
        Ok(self.0)
    }
}

impl Collective for Noting {
    fn rank(&self) -> usize {
        0
    }

    fn world(&self) -> usize {
        2
    }

    fn start_all_reduce(&self, value: &Tensor) -> Result<Box<dyn Pending>> {
        self.0.lock().unwrap().push(format!("sum of {}", value.len()));
        Ok(Box::new(Noted(value.clone())))
    }

    fn broadcast(&self, value: &Tensor, _: usize) -> Result<Tensor> {
        Ok(value.clone())
    }

    fn barrier(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn sums_begin_while_backward_runs() {
    let notes = Arc::new(Mutex::new(vec![]));
    let init = Initializer::new(1);
    let conv = |i: &str| Conv2dConfig::new(2, 2, 1).bias(true).build(&init.scope(i)).unwrap();
    let model = Sequential::new().with(conv("0")).with(conv("1")).with(conv("2"));
    let ctx = Ctx::train(Key::default()).across(Arc::new(Noting(notes.clone())));
    let y = model.forward(&ctx.input(Tensor::ones(&[1, 2, 3, 3], DType::F32).unwrap()), &ctx).unwrap();
    for (name, param) in parameters(&model).into_iter().filter(|(name, _)| name.ends_with("weight")) {
        let notes = notes.clone();
        let note = move |_: &Tensor| {
            notes.lock().unwrap().push(name.clone());
            Ok(())
        };
        ctx.tape().unwrap().on_gradient(&ctx.bound(&param).unwrap(), note);
    }
    let grads = backward(&y.sum_all().unwrap(), &ctx, &model, 24).unwrap();
    assert_eq!(grads.len(), 6);
    // One bucket for each layer: 4 weights and 2 biases. Only the first layer's is left when backward ends.
    let notes = notes.lock().unwrap();
    let of = |what: &str| notes.iter().position(|n| n == what).unwrap();
    let sums: Vec<usize> = (0..notes.len()).filter(|&i| notes[i] == "sum of 6").collect();
    assert_eq!((sums.len(), notes.len()), (3, 6), "{notes:?}");
    assert!(sums[0] < of("1.weight") && sums[1] < of("0.weight"), "{notes:?}");
}

#[test]
fn a_parameter_that_takes_no_part_is_left_out() {
    let all = Threads::run(2, Duration::from_secs(120), |ranks| -> Result<Vec<String>> {
        let ctx = Ctx::train(Key::default()).across(ranks);
        let model = model(DType::F64);
        let images = ctx.input(batch(2, DType::F64).0);
        model.forward(&images, &ctx)?;
        let (_, first) = parameters(&model).remove(0);
        let loss = ctx.var(&first).sum_all()?;
        Ok(backward(&loss, &ctx, &model, 1000)?.into_iter().map(|g| g.name).collect())
    });
    assert_eq!(all.unwrap(), [["0.weight"], ["0.weight"]]);
}

#[test]
fn the_optimisers_state_is_shared() {
    let all = Threads::run(2, Duration::from_secs(120), |ranks| -> Result<_> {
        let model = model(DType::F32);
        let mut optimizer = Optimizer::new(Adam::default(), 0.1);
        if ranks.rank() == 0 {
            let (name, param) = parameters(&model).remove(2);
            optimizer.step(&[Gradient { name, value: param.value(), param }], 1.0)?;
        }
        broadcast_optimizer(&mut optimizer, &model, &*ranks)?;
        let (name, state) = optimizer.state().first_key_value().unwrap();
        let slots = state.slots.iter().map(Tensor::to_f64_vec).collect::<Result<Vec<_>, _>>()?;
        Ok((optimizer.state().len(), name.clone(), state.steps, slots))
    });
    let all = all.unwrap();
    assert_eq!((all[0].0, &*all[0].1, all[0].2), (1, "1.bias", 1));
    assert_eq!(all[0], all[1]);
}

#[test]
fn copies_are_made_equal_and_differences_are_noticed() {
    let stopped = Threads::run(3, Duration::from_secs(120), |ranks| -> Result<()> {
        let model = model(DType::F32);
        let all: Vec<Param> = parameters(&model).into_iter().map(|(_, p)| p).collect();
        all[0].set(Tensor::full(ranks.rank() as f64, all[0].value().dims(), DType::F32)?);
        broadcast_state(&model, &*ranks)?;
        assert!(all[0].value().to_vec::<f32>()?.iter().all(|&x| x == 0.0));
        check_replicas(&model, &*ranks)?;
        if ranks.rank() == 2 {
            all[3].set(all[3].value().add_scalar(1e-7)?);
        }
        check_replicas(&model, &*ranks)
    });
    let stopped = stopped.unwrap_err();
    let said = stopped.cause.unwrap().to_string();
    let differs = Failure::Diverged { rank: 2, what: "2.weight".into() };
    assert_eq!(said, differs.to_string());
}

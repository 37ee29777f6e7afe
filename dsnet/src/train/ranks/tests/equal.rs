//! N ranks with their shares of a batch end up where one rank with the whole batch does.

use std::{sync::Arc, time::Duration};

use nn::{
    Collect, Collective, Initializer, Policy,
    collective::{Share, Solo, Threads},
    optim::{Adam, Optimizer, Sgd},
    state_dict,
};
use tensor::{DType, Ops, Tensor, ops::Distribution, rng::Key};

use crate::{
    Result,
    model::{self, TrainableDsNet},
    train::Learner,
};

const CLASSES: usize = 5;

/// One training, but for how it is shared out.
#[derive(Clone, Copy)]
struct Setting {
    loss: &'static str,
    dtype: DType,
    policy: Policy,
    adam: bool,
    clip: Option<f64>,
    /// Images in the batch of each step.
    batches: &'static [usize],
}

const PLAIN: Setting = Setting {
    loss: "owfl+sel",
    dtype: DType::F64,
    policy: Policy::Full,
    adam: false,
    clip: None,
    batches: &[5],
};

fn learner(setting: Setting, ranks: Arc<dyn Collective>) -> Result<Learner> {
    let shape = model::config("dsnet-tiny", CLASSES)?;
    let loss: nn::loss::LossSpec = setting.loss.parse()?;
    let optimizer = match setting.adam {
        true => Optimizer::new(Adam::default(), 1e-3),
        false => Optimizer::new(Sgd::momentum(0.9), 0.05),
    };
    let model = TrainableDsNet::new(&shape, loss.needs_head(), &Initializer::new(3))?;
    // The same numbers in either type.
    for entry in Collect::of(&model) {
        entry.set(entry.value().cast(setting.dtype)?);
    }
    let mut learner = Learner {
        average: None,
        model,
        criterion: loss.build(&[0.5, 0.3, 0.15, 0.049, 0.001])?,
        optimizer: optimizer.weight_decay(1e-3),
        device: tensor::cpu::device(),
        clip: setting.clip,
        policy: Policy::default(),
        scale: None,
        ranks,
        phases: Default::default(),
        capture: true,
        steps: Default::default(),
    };
    learner.compute_in(setting.policy)?;
    Ok(learner)
}

/// Images and labels of a batch; some images have far fewer labelled pixels than others.
fn batch(n: usize, dtype: DType, number: u64) -> Result<(Tensor, Tensor)> {
    let (height, width) = (16, 24);
    let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
    let images = Tensor::random(normal, &[n, 3, height, width], DType::F32, Key::new(9, number))?;
    let pixels = height * width;
    let label = |i: usize| if i % pixels < 60 * (i / pixels) { 255 } else { (i / 5 % CLASSES) as u8 };
    let labels = (0..n * pixels).map(label).collect();
    Ok((images.cast(dtype)?, Tensor::from_vec(labels, &[n, height, width])?))
}

/// The losses of some steps, and by how much each parameter and running statistic has moved.
#[derive(PartialEq)]
struct Moved {
    losses: Vec<f64>,
    state: Vec<(String, Vec<f64>)>,
}

/// Some steps; `cut` gives this rank's share of a batch.
fn steps(setting: Setting, ranks: &Arc<dyn Collective>, cut: impl Fn(usize) -> Share) -> Result<Moved> {
    let mut learner = learner(setting, ranks.clone())?;
    let before = state_dict(&learner.model);
    let mut losses = vec![];
    for (step, n) in setting.batches.iter().copied().enumerate() {
        let (images, labels) = batch(n, setting.dtype, step as u64)?;
        let Share { first, len, .. } = cut(n);
        let (images, labels) = (images.narrow(0, first, len)?, labels.narrow(0, first, len)?);
        losses.push(learner.step(&images, &labels, Key::new(1, step as u64), 0.9)?.total);
    }
    let after = state_dict(&learner.model).into_iter().zip(before);
    let state = after.map(|((name, after), (_, before))| Ok((name, after.sub(&before)?.to_f64_vec()?)));
    Ok(Moved { losses, state: state.collect::<Result<_>>()? })
}

fn norm(v: impl IntoIterator<Item = f64>) -> f64 {
    v.into_iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// What one rank does.
fn alone(setting: Setting) -> Moved {
    let solo: Arc<dyn Collective> = Arc::new(Solo);
    steps(setting, &solo, |n| Share { first: 0, len: n, total: n }).unwrap()
}

/// What `world` ranks do, each of which must end with the same.
fn together(setting: Setting, world: usize) -> Moved {
    let all = Threads::run(world, Duration::from_secs(300), move |ranks| {
        let shard = datasets::Shard { rank: ranks.rank(), world };
        steps(setting, &ranks, |n| {
            let part = shard.part(n);
            Share { first: part.start, len: part.len(), total: n }
        })
    });
    let mut all = all.unwrap();
    assert!(all.iter().all(|each| *each == all[0]), "ranks differ");
    all.remove(0)
}

/// How far `b` ends from `a`, as a part of the way: the largest difference of a loss, of the move of a tensor, and of the
/// move of all parameters together.
fn apart(a: &Moved, b: &Moved) -> [f64; 3] {
    let losses = a.losses.iter().zip(&b.losses);
    let loss = losses.map(|(a, b)| ((a - b) / a).abs()).fold(0.0, f64::max);
    let (mut worst, mut off, mut way) = (0_f64, vec![], vec![]);
    for ((name, a), (_, b)) in a.state.iter().zip(&b.state) {
        let (d, moved) = (norm(a.iter().zip(b).map(|(a, b)| a - b)), norm(a.iter().copied()));
        worst = worst.max(d / moved);
        if !name.contains("running") {
            off.push(d);
            way.push(moved);
        }
    }
    [loss, worst, norm(off) / norm(way)]
}

#[test]
fn the_whole_net_in_double_precision() {
    // A last batch of fewer images than there are ranks.
    let batches = &[5, 5, 3];
    let sgd = Setting { batches, ..PLAIN };
    for setting in [
        sgd,
        Setting { clip: Some(0.1), ..sgd },
        Setting { adam: true, ..sgd },
        Setting { loss: "wce", ..sgd },
        Setting { loss: "ce+0.5*sel", ..sgd },
        Setting { loss: "fl", ..sgd },
    ] {
        let one = alone(setting);
        for world in [2, 4] {
            let off = apart(&one, &together(setting, world));
            assert!(off.iter().all(|off| *off < 1e-10), "{} on {world} ranks: {off:?}", setting.loss);
        }
    }
}

/// An untrained net amplifies rounding, whoever rounds: several ranks are as near to the exact update as one.
#[test]
fn the_whole_net_in_single_precision() {
    for batches in [&[5], &[8]] {
        let setting = Setting { dtype: DType::F32, clip: Some(1.0), batches, ..PLAIN };
        let (one, exact) = (alone(setting), alone(Setting { dtype: DType::F64, ..setting }));
        let [_, _, rounding] = apart(&exact, &one);
        for world in [2, 4] {
            let several = together(setting, world);
            let ([loss, _, off], [_, _, moved]) = (apart(&one, &several), apart(&exact, &several));
            let near = off < 2.0 * rounding && moved < 2.0 * rounding;
            assert!(loss < 1e-6 && near, "{world} ranks: {loss} {off} {moved} {rounding}");
        }
    }
}

/// The same in 16 bits, where rounding is so coarse that all is a matter of its share: statistics and sums of gradients over
/// the ranks are in f32.
#[test]
fn the_whole_net_in_mixed_precision() {
    let full = Setting { dtype: DType::F32, clip: Some(1.0), ..PLAIN };
    let exact = alone(full);
    for policy in [Policy::Bf16, Policy::F16] {
        let setting = Setting { policy, ..full };
        let one = alone(setting);
        let [loss, _, rounding] = apart(&exact, &one);
        assert!(loss > 0.0 && loss < 0.02, "{policy:?} is {loss} from f32");
        let several = together(setting, 2);
        let ([loss, _, off], [_, _, moved]) = (apart(&one, &several), apart(&exact, &several));
        let near = off < 2.0 * rounding && moved < 2.0 * rounding;
        assert!(loss < 1e-3 && near, "{policy:?}: {loss} {off} {moved} {rounding}");
    }
}

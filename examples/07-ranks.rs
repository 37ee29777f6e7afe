//! Chapter 7: several ranks take the step that one would take.

use std::{sync::Arc, time::Duration};

use autograd::Ops;
use nn::{
    BatchNormConfig, Collective, Conv2dConfig, Ctx, Error, Initializer, Module, Result, Sequential,
    collective::{Share, Solo, Threads},
    loss::CrossEntropy,
    optim::{Optimizer, Sgd},
    parallel, state_dict,
};
use tensor::{DType, Tensor, ops::Distribution, rng::Key};

const IMAGES: usize = 7;
const TIMEOUT: Duration = Duration::from_secs(20);

fn model() -> Result<Sequential> {
    let init = Initializer::new(1).dtype(DType::F64);
    Ok(Sequential::new()
        .with(Conv2dConfig::new(3, 8, 3).same().build(&init.scope("0"))?)
        .with(BatchNormConfig::new(8).relu(true).build(&init.scope("1"))?)
        .with(Conv2dConfig::new(8, 4, 1).bias(true).build(&init.scope("2"))?))
}

/// This rank's part of the loss, and all weights after one step.
fn step(ranks: Arc<dyn Collective>) -> Result<(Share, f64, Vec<f64>)> {
    // Every rank makes the same model and the same batch, and takes its share of it.
    let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
    let images = Tensor::random(normal, &[IMAGES, 3, 6, 8], DType::F64, Key::new(4, 2))?;
    let labels = (0..IMAGES * 48).map(|i| (i * i / 7 % 4) as u8).collect();
    let labels = Tensor::from_vec::<u8>(labels, &[IMAGES, 6, 8])?;
    let start = IMAGES * ranks.rank() / ranks.world();
    let share = Share::find(IMAGES * (ranks.rank() + 1) / ranks.world() - start, &*ranks)?;

    let (net, mut optimizer) = (model()?, Optimizer::new(Sgd::default(), 0.1));
    let ctx = Ctx::train(Key::default()).across(ranks.clone());
    let logits = net.forward(&ctx.input(images.narrow(0, share.first, share.len)?), &ctx)?;
    let labels = labels.narrow(0, share.first, share.len)?;
    let loss = CrossEntropy::default().forward_across(&logits, &labels, &*ranks)?;
    let part = loss.tensor().item()?;
    let grads = parallel::backward(&loss, &ctx, &net, parallel::BUCKET_BYTES)?;
    optimizer.step(&grads, 1.0)?;
    let mut weights = Vec::new();
    for (_, tensor) in state_dict(&net) {
        weights.extend(tensor.to_f64_vec()?);
    }
    Ok((share, part, weights))
}

fn main() -> Result<()> {
    let (_, whole, alone) = step(Arc::new(Solo))?;
    println!("one rank, {IMAGES} images: loss {whole:.6}");
    for world in [2, 3] {
        println!("{world} ranks");
        let all = Threads::run(world, TIMEOUT, step).expect("no rank is lost");
        for (rank, (share, part, weights)) in all.iter().enumerate() {
            let apart = weights.iter().zip(&alone).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            let last = share.first + share.len - 1;
            let same =
                if apart < 1e-12 { "those of one rank to 1e-12" } else { "others than those of one rank" };
            println!(
                "    rank {rank}: images {}..={last}, part {part:.6}; its weights are {same}",
                share.first
            );
        }
        println!("    the parts add up to {:.6}", all.iter().map(|(_, part, _)| part).sum::<f64>());
    }

    let stopped = Threads::run(3, TIMEOUT, |ranks| {
        if ranks.rank() == 1 {
            return Err(Error::config("rank 1", "its disk is full"));
        }
        ranks.barrier() // the others wait for it, but not for ever
    });
    println!("a rank that fails: {}", stopped.map(|_| ()).unwrap_err());
    Ok(())
}

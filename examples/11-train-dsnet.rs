//! Chapter 11: DSNet learns to see drawn streets.

use std::{path::Path, sync::Arc};

use datasets::{Dataset, Loader, LoaderOptions, Split, Synthetic, SyntheticOptions, render};
use dsnet::{
    Result, data,
    device::Precision,
    eval,
    infer::Predictor,
    metrics::Scores,
    model,
    train::{Learner, OptimizerKind},
    ui::Progress,
};
use nn::{
    loss::{LossSpec, PixelLoss},
    parameter_count,
    schedule::{Curve, Schedule},
};
use tensor::rng::Key;

const EPOCHS: usize = 16;

fn scenes(split: Split, len: usize) -> Result<Arc<dyn Dataset>> {
    Ok(Arc::new(Synthetic::new(SyntheticOptions { seed: 1, len, width: 128, height: 64, split })?))
}

fn main() -> Result<()> {
    let (train, val) = (scenes(Split::Train, 64)?, scenes(Split::Val, 8)?);
    let (classes, normalization) = (train.classes().clone(), train.normalization());
    println!("{} drawn scenes of {} classes", train.len(), classes.len());

    // Rare classes weigh more in the loss: that needs their frequencies.
    let frequencies = data::class_stats(&*train)?.frequencies();
    let shape = model::config("dsnet-tiny", classes.len())?;
    let loss = LossSpec::new(PixelLoss::Owfl);
    let mut learner = Learner::with(&shape, loss, &frequencies, OptimizerKind::Adam, 1e-2, 1)?;
    println!("dsnet-tiny: {} parameters", parameter_count(&learner.model));

    let options =
        LoaderOptions { batch: 4, shuffle: true, drop_last: true, seed: 1, ..LoaderOptions::default() };
    let loader = Loader::new(train, options)?;
    let schedule = Schedule::new(Curve::Poly { power: 0.9 });
    let (per_epoch, mut step) = (loader.batches_per_epoch(), 0);
    for epoch in 0..EPOCHS {
        let mut sum = 0.0;
        for batch in loader.epoch(epoch)? {
            let batch = batch?;
            let factor = schedule.factor(step, (EPOCHS * per_epoch) as u64);
            sum += learner.step(&batch.images, &batch.labels, Key::new(1, step), factor)?.total;
            step += 1;
        }
        if epoch % 3 == 0 {
            println!("epoch {epoch:>2}: loss {:.3}", sum / per_epoch as f64);
        }
    }

    let net = &learner.model.net;
    let confusion = eval::evaluate(net, Precision::F32, &val, normalization, &Progress::silent())?;
    let scores = Scores::new(&confusion, &classes, None);
    println!("{} other scenes: {:.0} % of pixels", val.len(), 100.0 * scores.pixel_accuracy.unwrap_or(0.0));
    for class in scores.classes.iter().filter(|class| class.pixels > 2000) {
        println!("    {:<12} IoU {:.2}", class.name, class.iou.unwrap_or(0.0));
    }

    // A picture for those who ask for one: cargo run --example 11-train-dsnet -- seen.png
    if let Some(path) = std::env::args().nth(1) {
        let sample = val.load(0)?;
        let found = Predictor::new(net).segment(&sample.image, &normalization)?;
        let [truth, found] = [&sample.labels, &found].map(|labels| render::colorize(labels, &classes));
        render::side_by_side(&[&sample.image, &truth, &found], 4)?.save_png(Path::new(&path))?;
    }
    Ok(())
}

//! Chapter 6: training, the whole loop.

use autograd::{Ops, Var};
use nn::{
    Ctx, Initializer, Linear, Module, Relu, Result, Sequential,
    loss::CrossEntropy,
    optim::{self, Adam, Optimizer},
    schedule::{Curve, Schedule},
};
use tensor::{DType, Tensor, rng::Key};

const STEPS: u64 = 120;

/// Two spirals wound into each other: points `[N, 2]` and their classes `[N]`.
fn spirals(n: usize) -> Result<(Tensor, Tensor)> {
    let point = |i: usize| {
        let (class, t) = (i % 2, (i / 2) as f64 / (n / 2) as f64);
        let (radius, angle) = (0.1 + 0.9 * t, 7.5 * t + std::f64::consts::PI * class as f64);
        [radius * angle.cos(), radius * angle.sin()]
    };
    let classes = (0..n).map(|i| (i % 2) as u8).collect();
    let points = (0..n).flat_map(point).collect();
    Ok((Tensor::from_vec::<f64>(points, &[n, 2])?, Tensor::from_vec::<u8>(classes, &[n])?))
}

fn main() -> Result<()> {
    let init = Initializer::new(3).dtype(DType::F64);
    let net = Sequential::new()
        .with(Linear::new(2, 32, &init.scope("0"))?)
        .with(Relu)
        .with(Linear::new(32, 32, &init.scope("2"))?)
        .with(Relu)
        .with(Linear::new(32, 2, &init.scope("4"))?);
    let (points, classes) = spirals(200)?;
    let mut optimizer = Optimizer::new(Adam::default(), 0.02);
    let schedule = Schedule::new(Curve::Cosine { floor: 0.0 });

    for step in 0..=STEPS {
        let ctx = Ctx::train(Key::new(3, step)); // a new tape for each step
        let logits = net.forward(&ctx.input(points.clone()), &ctx)?;
        let loss = CrossEntropy::default().forward(&logits, &classes)?;
        if step % 20 == 0 {
            let best = logits.tensor().argmax(1)?.cast(DType::U8)?;
            let right = best.equal(&classes)?.cast(DType::F64)?.mean_all()?.item()?;
            println!("step {step:>3}  loss {:.4}  right {:>3.0} %", loss.tensor().item()?, 100.0 * right);
        }
        let grads = optim::gradients(&ctx, &loss.backward()?, &net);
        optimizer.step(&grads, schedule.factor(step, STEPS))?;
    }

    // What it has learned: the class of every point of the square.
    let (columns, rows) = (60, 24);
    let place = |i: usize, n: usize| 2.4 * (i as f64 + 0.5) / n as f64 - 1.2;
    let square = (0..rows * columns).flat_map(|i| [place(i % columns, columns), place(i / columns, rows)]);
    let square = Var::new(Tensor::from_vec::<f64>(square.collect(), &[rows * columns, 2])?);
    let classes = net.forward(&square, &Ctx::eval())?.argmax(1)?.into_tensor().to_vec::<i64>()?;
    println!();
    for row in classes.chunks(columns) {
        println!(
            "    {}",
            row.iter().map(|&class| [' ', '#'][class as usize]).collect::<String>().trim_end()
        );
    }
    Ok(())
}

//! Chapter 5: a loss put together from operations, and the same loss with an analytic gradient.

use autograd::{Ops, Tape, Var};
use nn::{Result, loss::FocalLoss};
use tensor::{DType, Tensor, ops::Distribution, rng::Key};

const CLASSES: usize = 4;
const GAMMA: f64 = 2.0;

/// −(1 − p)^γ·ln p at each pixel, p the probability of its true class; the mean. Nine operations.
fn composed(logits: &Var, labels: &Tensor) -> Result<Var> {
    let index = labels.cast(DType::I64)?.reshape(&[labels.dims()[0], 1, labels.dims()[1]])?;
    let log_p = logits.log_softmax(1)?.gather(1, &Var::new(index))?;
    let miss = log_p.exp()?.neg()?.add_scalar(1.0)?;
    Ok(miss.pow_scalar(GAMMA)?.mul(&log_p)?.mean_all()?.neg()?)
}

/// One operation, whose gradient with respect to logit k was worked out on paper.
fn fused(logits: &Var, labels: &Tensor) -> Result<Var> {
    FocalLoss::focal(GAMMA, vec![1.0; CLASSES]).forward(logits, labels)
}

fn main() -> Result<()> {
    println!("a pixel that is right with probability p: what it costs, relative to cross entropy");
    for p in [0.1_f64, 0.5, 0.9, 0.99] {
        // Two classes with logits (0, z) have p = σ(z).
        let logits = Tensor::from_vec(vec![0.0, (p / (1.0 - p)).ln()], &[1, 2, 1])?;
        let label = Tensor::from_vec(vec![1_u8], &[1, 1])?;
        let cost = |gamma| FocalLoss::focal(gamma, vec![1.0; 2]).forward(&Var::new(logits.clone()), &label);
        let [plain, focal] = [0.0, GAMMA].map(|gamma| cost(gamma).and_then(|v| Ok(v.tensor().item()?)));
        let (plain, focal) = (plain?, focal?);
        println!("    p = {p:<4}  {plain:.5} becomes {focal:.6}, times {:.4}", focal / plain);
    }

    let pixels = 5000;
    let normal = Distribution::Normal { mean: 0.0, std: 2.0 };
    let logits = Tensor::random(normal, &[2, CLASSES, pixels], DType::F64, Key::new(1, 0))?;
    let labels = (0..2 * pixels).map(|i| (i * 7 % CLASSES) as u8).collect();
    let labels = Tensor::from_vec::<u8>(labels, &[2, pixels])?;
    let mut found = Vec::new();
    for (name, loss) in [("composed", composed as fn(&Var, &Tensor) -> Result<Var>), ("fused", fused)] {
        let tape = Tape::new();
        let leaf = tape.leaf(logits.clone());
        let value = loss(&leaf, &labels)?;
        let (ops, kept) = (tape.records().len(), tape.saved_bytes() / 1024);
        println!(
            "\n{name}: loss {:.9}, {ops} operations, {kept} KiB kept for backward",
            value.tensor().item()?
        );
        let mut grads = value.backward()?;
        let grad = grads.take(&leaf).map_or_else(|| logits.full_like(0.0, logits.dims()), Ok)?;
        println!(
            "    gradient of one pixel's logits {:.9?}",
            grad.narrow(2, 0, 1)?.narrow(0, 0, 1)?.to_vec::<f64>()?
        );
        found.push(grad.to_vec::<f64>()?);
    }
    let apart = found[0].iter().zip(&found[1]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("\nthe gradients agree to 1e-15: {}", apart < 1e-15);
    Ok(())
}

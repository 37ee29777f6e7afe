//! Losses: value and gradient of the logits. Labels are i64 in the float64 run and u8 in the float32 run.

use autograd::Var;
use nn::loss::{ClassBalance, CrossEntropy, FocalLoss, Reduction, SemanticEncodingLoss};
use tensor::{DType, Ops, Tensor};

use crate::fixture::{Case, Failures, Fixture, Within, usual};
use crate::run::{DTYPES, Outcome, value_and_gradients};

fn vector(case: &Case, name: &str) -> Vec<f64> {
    case.tensor(name).to_f64_vec().unwrap()
}

/// A loss of logits and labels.
type Loss = Box<dyn Fn(&Var, &Tensor) -> nn::Result<Var>>;

/// The loss of a case as a function of logits and labels.
fn loss(case: &Case) -> Outcome<Loss> {
    let balance = || ClassBalance { alpha: vector(case, "alpha"), gamma: vector(case, "gamma") };
    let ignore = case.number("ignore_index") as i64;
    Ok(match case.text("op") {
        "cross_entropy" => {
            let reduction = match case.text("reduction") {
                "sum" => Reduction::Sum,
                _ => Reduction::MeanOverWeights,
            };
            let weights = case.find("w").map(|_| vector(case, "w"));
            let loss = CrossEntropy { weights, ignore, reduction };
            Box::new(move |z, t| loss.forward(z, t))
        }
        "focal" => {
            let loss = FocalLoss::focal(case.number("gamma"), vector(case, "w"));
            Box::new(move |z, t| loss.forward(z, t))
        }
        "owfl" | "owfl_each" => {
            let loss = FocalLoss { balance: balance(), ignore };
            Box::new(move |z, t| loss.forward(z, t))
        }
        "se_loss" => {
            let loss = SemanticEncodingLoss { ignore };
            Box::new(move |z, t| loss.forward(z, t))
        }
        other => return Err(format!("no test for {other}").into()),
    })
}

fn compare(failures: &mut Failures, case: &Case, dtype: DType) -> Outcome<()> {
    let f = loss(case)?;
    let x = case.float("x", dtype);
    let labels =
        if dtype == DType::F64 { case.tensor("labels") } else { case.tensor("labels").cast(DType::U8)? };
    let run = |x: Tensor, labels: &Tensor| value_and_gradients(&[x], None, |v| Ok(f(&v[0], labels)?));
    if case.text("op") != "owfl_each" {
        let (y, g) = run(x, &labels)?;
        failures.compare(case, "loss", &y, usual(dtype));
        failures.compare(case, "gx", &g[0], usual(dtype));
        return Ok(());
    }
    // One image at a time, each compared by its own magnitude, from p = 1e-22 to 1 − p = 1e-22.
    let (mut losses, mut gradients) = (Vec::new(), Vec::new());
    for i in 0..x.dim(0)? {
        let (y, mut g) = run(x.narrow(0, i, 1)?, &labels.narrow(0, i, 1)?)?;
        losses.push(y.reshape(&[1])?);
        gradients.push(g.remove(0));
    }
    let within = if dtype == DType::F64 { Within::Each(1e-12) } else { usual(dtype) };
    failures.compare(case, "loss", &Tensor::cat(&losses.iter().collect::<Vec<_>>(), 0)?, within);
    failures.compare(case, "gx", &Tensor::cat(&gradients.iter().collect::<Vec<_>>(), 0)?, within);
    Ok(())
}

fn weights(failures: &mut Failures, case: &Case) -> Outcome<()> {
    let got = ClassBalance::from_frequencies(&vector(case, "frequencies"))?;
    for (name, values) in [("alpha", &got.alpha), ("gamma", &got.gamma)] {
        failures.compare(case, name, &Tensor::from_slice(values, &[values.len()])?, Within::Each(1e-14));
    }
    Ok(())
}

#[test]
fn losses() {
    let mut failures = Failures::default();
    for case in Fixture::open("loss").cases() {
        for dtype in DTYPES {
            let outcome = match case.text("op") {
                "owfl_weights" => weights(&mut failures, &case),
                _ => compare(&mut failures, &case, dtype),
            };
            if let Err(e) = outcome {
                failures.add(format!("{} ({dtype}): {e}", case.path()));
            }
        }
    }
    failures.finish();
}

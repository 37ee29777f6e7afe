//! Learning-rate schedules: the rate of every step.

use nn::schedule::{Curve, Schedule};
use tensor::Tensor;

use crate::fixture::{Case, Failures, Fixture, Within};
use crate::run::Outcome;

/// The curve and the number of steps it is stretched over.
fn schedule(case: &Case) -> Outcome<(Schedule, u64)> {
    let total = case.option("total").and_then(|v| v.as_u64()).unwrap_or(100);
    let curve = match case.text("op") {
        "constant" => Curve::Constant,
        "poly" => Curve::Poly { power: case.number("power") },
        "step" => Curve::Step { every: case.count("every") as u64, factor: case.number("factor") },
        "multistep" => {
            let at = case.counts("at").into_iter().map(|v| v as u64).collect();
            Curve::MultiStep { at, factor: case.number("factor") }
        }
        "cosine" => Curve::Cosine { floor: case.number("floor") / case.number("base") },
        other => return Err(format!("no test for {other}").into()),
    };
    Ok((Schedule::new(curve), total))
}

#[test]
fn schedules() {
    let mut failures = Failures::default();
    for case in Fixture::open("schedule").cases() {
        match schedule(&case) {
            Ok((schedule, total)) => {
                let steps = case.tensor("lr").len();
                let rates =
                    (0..steps as u64).map(|i| case.number("base") * schedule.factor(i, total)).collect();
                let rates = Tensor::from_vec(rates, &[steps]).unwrap();
                failures.compare(&case, "lr", &rates, Within::Scale(1e-14));
            }
            Err(e) => failures.add(format!("{}: {e}", case.path())),
        }
    }
    failures.finish();
}

//! Optimisers step by step with given gradients, and clipping by norm.

use nn::Param;
use nn::optim::{Adam, AdamW, Gradient, Optimizer, Sgd, clip_norm};
use tensor::{DType, Tensor};

use crate::fixture::{Case, Failures, Fixture, Within, usual};
use crate::run::{DTYPES, Outcome};

fn optimizer(case: &Case) -> Outcome<Optimizer> {
    let number = |key: &str, default: f64| case.option(key).and_then(|v| v.as_f64()).unwrap_or(default);
    let adam = || {
        let mut adam = Adam::default();
        if let Some(betas) = case.option("betas").and_then(|v| v.as_array()) {
            adam.betas = [0, 1].map(|i| betas[i].as_f64().unwrap());
        }
        adam.eps = number("eps", adam.eps);
        adam
    };
    let rate = case.number("lr");
    let plain = match case.text("op") {
        "SGD" => {
            let nesterov = case.option("nesterov").and_then(|v| v.as_bool()).unwrap_or(false);
            Optimizer::new(Sgd { momentum: number("momentum", 0.0), nesterov }, rate)
        }
        "Adam" => Optimizer::new(adam(), rate),
        "AdamW" => Optimizer::new(AdamW(adam()), rate),
        other => return Err(format!("no test for {other}").into()),
    };
    Ok(plain.weight_decay(number("weight_decay", 0.0)))
}

fn steps(failures: &mut Failures, case: &Case, dtype: DType) -> Outcome<()> {
    let mut optimizer = optimizer(case)?;
    let base = optimizer.rate();
    let rates: Option<Vec<f64>> = case
        .option("lrs")
        .and_then(|v| v.as_array())
        .map(|l| l.iter().map(|v| v.as_f64().unwrap()).collect());
    let param = Param::new(case.float("p0", dtype));
    for step in 1..=5 {
        let value = case.float(&format!("g{step}"), dtype);
        let factor = rates.as_ref().map_or(1.0, |r| r[step - 1] / base);
        optimizer.step(&[Gradient { name: "p".into(), param: param.clone(), value }], factor)?;
        failures.compare(case, &format!("p{step}"), &param.value(), usual(dtype));
    }
    Ok(())
}

fn clip(failures: &mut Failures, case: &Case, dtype: DType) -> Outcome<()> {
    let gradient = |name: &str| Gradient {
        name: name.into(),
        param: Param::new(case.float(name, dtype)),
        value: case.float(name, dtype),
    };
    let mut gradients = [gradient("ga"), gradient("gb")];
    let norm = clip_norm(&mut gradients, case.number("max_norm"))?;
    let near = if dtype == DType::F64 { Within::Scale(1e-14) } else { Within::Scale(1e-6) };
    failures.compare(case, "norm", &Tensor::scalar(norm), near);
    failures.compare(case, "clipped_a", &gradients[0].value, near);
    failures.compare(case, "clipped_b", &gradients[1].value, near);
    Ok(())
}

#[test]
fn optimizers() {
    let mut failures = Failures::default();
    for case in Fixture::open("optim").cases() {
        for dtype in DTYPES {
            let outcome = match case.text("op") {
                "clip_grad_norm" => clip(&mut failures, &case, dtype),
                _ => steps(&mut failures, &case, dtype),
            };
            if let Err(e) = outcome {
                failures.add(format!("{} ({dtype}): {e}", case.path()));
            }
        }
    }
    failures.finish();
}

//! Batch normalisation: three training steps, the running statistics after each, then evaluation.

use nn::{BatchNormConfig, Initializer};
use tensor::DType;

use crate::fixture::{Case, Failures, Fixture, Within, usual};
use crate::run::{DTYPES, Outcome, pass};

fn steps(failures: &mut Failures, case: &Case, dtype: DType) -> Outcome<()> {
    let (weight, bias) = (case.float("w", dtype), case.float("b", dtype));
    let config = BatchNormConfig::new(weight.len()).eps(case.number("eps")).momentum(case.number("momentum"));
    let layer = config.build(&Initializer::new(0).dtype(dtype))?;
    layer.weight.set(weight);
    layer.bias.set(bias);
    let near = usual(dtype);
    // Two values per channel normalise to ±1 whatever they are: what is left of the input's gradient is rounding, but for a
    // share of eps / variance.
    let input = match case.name {
        "bn2d_two_values" => Within::Scale(if dtype == DType::F64 { 1e-8 } else { 1.0 }),
        _ => near,
    };
    for step in ["0", "1", "2", "_eval"] {
        let training = step != "_eval";
        let p = pass(
            &layer,
            training,
            case.float(&format!("x{step}"), dtype),
            &case.float(&format!("gy{step}"), dtype),
        )?;
        failures.compare(case, &format!("y{step}"), &p.y, near);
        failures.compare(case, &format!("gx{step}"), &p.gx, if training { input } else { near });
        failures.compare(case, &format!("gw{step}"), &p.gradients["weight"], near);
        failures.compare(case, &format!("gb{step}"), &p.gradients["bias"], near);
        if training {
            failures.compare(case, &format!("running_mean{step}"), &layer.running_mean.value(), near);
            failures.compare(case, &format!("running_var{step}"), &layer.running_var.value(), near);
        }
    }
    Ok(())
}

#[test]
fn batch_norm() {
    let mut failures = Failures::default();
    for case in Fixture::open("norm").cases() {
        for dtype in DTYPES {
            if let Err(e) = steps(&mut failures, &case, dtype) {
                failures.add(format!("{} ({dtype}): {e}", case.path()));
            }
        }
    }
    failures.finish();
}

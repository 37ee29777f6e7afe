//! Pointwise functions, PReLU, softmax.

use autograd::{Result, Var};
use tensor::Ops;

use crate::fixture::{Failures, Fixture};
use crate::run::check;

/// The function a case is named after (`_kink` and `_far` mark special inputs).
fn pointwise(name: &str) -> Option<fn(&Var) -> Result<Var>> {
    Some(match name.trim_end_matches("_kink").trim_end_matches("_far") {
        "relu" => |x| x.relu(),
        "relu6" => |x| x.relu6(),
        "leaky_relu_001" => |x| x.leaky_relu(0.01),
        "leaky_relu_02" => |x| x.leaky_relu(0.2),
        "sigmoid" => |x| x.sigmoid(),
        "tanh" => |x| x.tanh(),
        "softplus" => |x| x.softplus(),
        "silu" => |x| x.mul(&x.sigmoid()?),
        "log_sigmoid" => |x| x.neg()?.softplus()?.neg(),
        "exp" => |x| x.exp(),
        "expm1" => |x| x.exp_m1(),
        "abs" => |x| x.abs(),
        "neg" => |x| x.neg(),
        "square" => |x| x.square(),
        "sin" => |x| x.sin(),
        "cos" => |x| x.cos(),
        "clamp" => |x| x.clamp(-1.5, 2.0),
        "log" => |x| x.log(),
        "log1p" => |x| x.log1p(),
        "sqrt" => |x| x.sqrt(),
        "rsqrt" => |x| x.sqrt()?.recip(),
        "recip" => |x| x.recip(),
        "pow_15" => |x| x.pow_scalar(1.5),
        _ => return None,
    })
}

#[test]
fn activations() {
    let mut failures = Failures::default();
    for case in Fixture::open("activation").cases() {
        match case.text("op") {
            "pointwise" => match pointwise(case.name) {
                Some(f) => check(&mut failures, &case, &["x"], |v| Ok(f(&v[0])?)),
                None => failures.add(format!("{}: no test for it", case.path())),
            },
            // One slope per channel (axis 1), or one for all.
            "prelu" => check(&mut failures, &case, &["x", "w"], |v| {
                let slopes = v[1].dim(0)?;
                Ok(v[0].prelu(&v[1].reshape(&[1, slopes, 1, 1])?)?)
            }),
            "softmax" => check(&mut failures, &case, &["x"], |v| Ok(v[0].softmax(case.count("dim"))?)),
            "log_softmax" => {
                check(&mut failures, &case, &["x"], |v| Ok(v[0].log_softmax(case.count("dim"))?))
            }
            other => failures.add(format!("{}: no test for {other}", case.path())),
        }
    }
    failures.finish();
}

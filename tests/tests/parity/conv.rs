//! Convolution, transposed convolution, linear layer.

use tensor::Ops;
use tensor::ops::{Conv2d, ConvTranspose2d};

use crate::fixture::{Case, Failures, Fixture};
use crate::run::check;

fn parameters(case: &Case) -> Conv2d {
    Conv2d {
        stride: case.pair("stride"),
        padding: case.pair("padding"),
        dilation: case.pair("dilation"),
        groups: case.count("groups"),
    }
}

#[test]
fn convolutions() {
    let mut failures = Failures::default();
    for case in Fixture::open("conv").cases() {
        let names: &[&str] = if case.find("b").is_some() { &["x", "w", "b"] } else { &["x", "w"] };
        match case.text("op") {
            "conv2d" => {
                let op = parameters(&case);
                check(&mut failures, &case, names, |v| Ok(v[0].conv2d(&v[1], v.get(2), &op)?));
            }
            "conv_transpose2d" => {
                let op =
                    ConvTranspose2d { conv: parameters(&case), output_padding: case.pair("output_padding") };
                check(&mut failures, &case, names, |v| Ok(v[0].conv_transpose2d(&v[1], v.get(2), &op)?));
            }
            "linear" => check(&mut failures, &case, names, |v| {
                let y = v[0].matmul(&v[1].transpose(0, 1)?)?;
                Ok(v.get(2).map_or(Ok(y.clone()), |b| y.add(b))?)
            }),
            other => failures.add(format!("{}: no test for {other}", case.path())),
        }
    }
    failures.finish();
}

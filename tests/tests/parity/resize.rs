//! Bilinear and nearest resizing.

use tensor::Ops;
use tensor::ops::Interpolation;

use crate::fixture::{Failures, Fixture};
use crate::run::check;

#[test]
fn resizing() {
    let mut failures = Failures::default();
    for case in Fixture::open("resize").cases() {
        let corners = case.option("align_corners").and_then(|v| v.as_bool()).unwrap_or(false);
        let mode = match case.text("mode") {
            "bilinear" => Interpolation::Bilinear,
            "nearest" => Interpolation::Nearest,
            other => {
                failures.add(format!("{}: no test for {other}", case.path()));
                continue;
            }
        };
        check(&mut failures, &case, &["x"], |v| Ok(v[0].resize2d(mode, corners, case.pair("size"))?));
    }
    failures.finish();
}

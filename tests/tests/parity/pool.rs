//! Pooling, unpooling, channel shuffle. PyTorch's flat indices are translated: ours are places within the window.

use tensor::ops::Window;
use tensor::{DType, Ops, Tensor};

use crate::fixture::{Case, Failures, Fixture, Within};
use crate::run::check;

fn window(case: &Case) -> Window {
    Window { kernel: case.pair("kernel"), stride: case.pair("stride"), padding: case.pair("padding") }
}

/// The place within its window (row · kernel width + column) of each flat index into a plane `width` wide.
fn local(flat: &Tensor, window: &Window, width: usize) -> Tensor {
    let [oh, ow] = flat.dims()[2..].try_into().unwrap();
    let places = flat.to_vec::<i64>().unwrap().into_iter().enumerate().map(|(i, f)| {
        let (oy, ox) = (i / ow % oh, i % ow);
        let row = f as usize / width + window.padding[0] - oy * window.stride[0];
        let column = f as usize % width + window.padding[1] - ox * window.stride[1];
        (row * window.kernel[1] + column) as u8
    });
    Tensor::from_vec(places.collect(), flat.dims()).unwrap()
}

#[test]
fn pooling() {
    let mut failures = Failures::default();
    for case in Fixture::open("pool").cases() {
        match case.text("op") {
            "max_pool2d" => {
                let window = window(&case);
                check(&mut failures, &case, &["x"], |v| Ok(v[0].max_pool2d(window)?.0));
                let x = case.tensor("x");
                let (_, index) = x.max_pool2d(window).unwrap();
                let want = local(&case.tensor("indices"), &window, x.dims()[3]);
                failures.compare_with(&case, "indices", &index, &want, Within::Scale(0.0));
            }
            "max_unpool2d" => {
                let window = window(&case);
                let size: [usize; 2] = case.tensor("pooled").dims()[2..].try_into().unwrap();
                let index = Ops::constant(local(&case.tensor("indices"), &window, size[1]));
                check(&mut failures, &case, &["x"], |v| Ok(v[0].max_unpool2d(&index, window, size)?));
            }
            "avg_pool2d" => {
                let counting = case.param("count_include_pad").as_bool().unwrap();
                check(&mut failures, &case, &["x"], |v| Ok(v[0].avg_pool2d(window(&case), counting)?));
            }
            "global_avg_pool2d" => {
                check(&mut failures, &case, &["x"], |v| Ok(v[0].global_avg_pool2d()?));
            }
            "channel_shuffle" => {
                check(&mut failures, &case, &["x"], |v| Ok(v[0].channel_shuffle(case.count("groups"))?));
            }
            other => failures.add(format!("{}: no test for {other}", case.path())),
        }
    }
    failures.finish();
}

/// The places found in f32 are those found in f64: pooling compares, it does not compute.
#[test]
fn places_do_not_depend_on_the_dtype() {
    for case in Fixture::open("pool").cases().filter(|c| c.text("op") == "max_pool2d") {
        let places =
            |dtype| case.float("x", dtype).max_pool2d(window(&case)).unwrap().1.to_vec::<u8>().unwrap();
        assert_eq!(places(DType::F64), places(DType::F32), "{}", case.path());
    }
}

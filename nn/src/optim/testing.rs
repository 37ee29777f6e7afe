//! What the tests of rules share.

use tensor::Tensor;

use super::{Gradient, Optimizer};
use crate::Param;

/// A number that starts at 1, in f64, after steps with these gradients.
pub(super) fn last_of_steps(mut optimizer: Optimizer, gradients: &[f64]) -> f64 {
    let param = Param::new(Tensor::scalar(1.0_f64));
    for &g in gradients {
        let grad = Gradient { name: "p".into(), param: param.clone(), value: Tensor::scalar(g) };
        optimizer.step(&[grad], 1.0).unwrap();
    }
    param.value().item().unwrap()
}

//! How steep the object weighted focal loss is (the paper's Fig. 4).

use super::chart::{Axis, Lines, Scale, Series, Svg};

/// dOWFL/dp at probability `p` of the true class (Eq. 5), α = 1: `γ(1−p)^(γ−1) ln p − (1−p)^γ / p`.
fn slope(gamma: i32, p: f64) -> f64 {
    let q = 1.0 - p;
    // γ = 0 has no first term; at p = 1 it would be 0 · ∞.
    let first = if gamma == 0 { 0.0 } else { f64::from(gamma) * q.powi(gamma - 1) * p.ln() };
    first - q.powi(gamma) / p
}

/// The slopes of γ = 0, 1, 2 over the probability of the true class.
pub fn loss_gradient() -> Svg {
    // From 0.05 to 1 at equal ratios: close together where the curves are steep.
    let points = |gamma| {
        (0..=36).map(|i| 0.05f64.powf(1.0 - f64::from(i) / 36.0)).map(|p| (p, slope(gamma, p))).collect()
    };
    let series = [0, 1, 2].map(|g| Series::new(format!("γ = {g}"), g as usize, points(g))).to_vec();
    let lines = Lines {
        label: "Derivative of the object weighted focal loss by the probability of the true class, for gamma 0, 1, 2"
            .into(),
        x: Axis::new("probability p of the true class", Scale::Linear(0.0, 1.0), |v| format!("{v:.2}")),
        y: Axis::new("dOWFL/dp (α = 1)", Scale::Linear(-25.0, 0.0), |v| format!("{v:.3}")),
        series,
        width: 640.0,
        height: 400.0,
    };
    lines.draw()
}

#[cfg(test)]
mod tests {
    use autograd::Tape;
    use nn::loss::{ClassBalance, FocalLoss};
    use tensor::Tensor;

    use super::*;

    /// Against the loss that training uses: of two classes with logits (0, z), p = 1 / (1 + e^z) and dp/dz = −p(1 − p).
    #[test]
    fn the_slope_is_that_of_the_loss() {
        for gamma in 0..3 {
            for z in [-3.0, -0.5, 0.0, 1.0, 2.5] {
                let tape = Tape::new();
                let logits = tape.leaf(Tensor::from_vec(vec![0.0, z], &[1, 2, 1]).unwrap());
                let labels = Tensor::from_vec(vec![0_u8], &[1, 1]).unwrap();
                let balance = ClassBalance { alpha: vec![1.0; 2], gamma: vec![f64::from(gamma); 2] };
                let loss = FocalLoss::owfl(balance).forward(&logits, &labels).unwrap();
                let by_z = loss.backward().unwrap().get(&logits).unwrap().to_vec::<f64>().unwrap()[1];
                let p = 1.0 / (1.0 + f64::exp(z));
                let by_p = by_z / (-p * (1.0 - p));
                assert!((slope(gamma, p) - by_p).abs() < 1e-9 * by_p.abs().max(1.0), "{gamma} {z}");
            }
        }
        assert_eq!([slope(0, 1.0), slope(1, 1.0), slope(2, 1.0)], [-1.0, 0.0, 0.0]);
    }
}

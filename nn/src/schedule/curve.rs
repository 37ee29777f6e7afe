//! The shapes of schedules.

/// A factor on the base rate as a function of the step.
#[derive(Debug, Clone, PartialEq)]
pub enum Curve {
    /// 1.
    Constant,
    /// `(1 − step/total)^power`, 0 from `total` on.
    Poly {
        /// 0.9 in most segmentation protocols.
        power: f64,
    },
    /// `factor^⌊step/every⌋`.
    Step {
        /// Number of steps between changes; 0 counts as 1.
        every: u64,
        /// Factor of each change.
        factor: f64,
    },
    /// `factor` to the number of milestones reached.
    MultiStep {
        /// Steps at which the rate changes.
        at: Vec<u64>,
        /// Factor of each change.
        factor: f64,
    },
    /// Half a cosine from 1 at step 0 to `floor` at `total`, which it keeps from then on.
    Cosine {
        /// The lowest factor.
        floor: f64,
    },
}

impl Curve {
    /// The factor in `step` (from 0) of `total`.
    pub fn factor(&self, step: u64, total: u64) -> f64 {
        let done = if total == 0 { 1.0 } else { (step as f64 / total as f64).min(1.0) };
        let power = |factor: f64, n: u64| factor.powi(i32::try_from(n).unwrap_or(i32::MAX));
        match self {
            Curve::Constant => 1.0,
            Curve::Poly { power } => (1.0 - done).powf(*power),
            Curve::Step { every, factor } => power(*factor, step / (*every).max(1)),
            Curve::MultiStep { at, factor } => {
                power(*factor, at.iter().filter(|&&m| step >= m).count() as u64)
            }
            Curve::Cosine { floor } => {
                floor + (1.0 - floor) * (1.0 + (std::f64::consts::PI * done).cos()) / 2.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        let poly = Curve::Poly { power: 0.9 };
        near(poly.factor(0, 10), 1.0);
        near(poly.factor(5, 10), 0.5_f64.powf(0.9));
        near(poly.factor(10, 10), 0.0);
        near(poly.factor(99, 10), 0.0);
        let step = Curve::Step { every: 10, factor: 0.5 };
        near(step.factor(9, 0), 1.0);
        near(step.factor(10, 0), 0.5);
        near(step.factor(35, 0), 0.125);
        let multi = Curve::MultiStep { at: vec![3, 7], factor: 0.1 };
        near(multi.factor(2, 0), 1.0);
        near(multi.factor(3, 0), 0.1);
        near(multi.factor(8, 0), 0.01);
        let cosine = Curve::Cosine { floor: 0.2 };
        near(cosine.factor(0, 8), 1.0);
        near(cosine.factor(4, 8), 0.6);
        near(cosine.factor(8, 8), 0.2);
        near(cosine.factor(20, 8), 0.2);
        near(Curve::Constant.factor(7, 0), 1.0);
    }
}

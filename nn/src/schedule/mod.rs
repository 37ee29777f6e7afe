//! Learning-rate schedules: pure functions of the step. A [`Schedule`] is a [`Curve`] and an optional warm-up.

mod curve;
mod text;

pub use curve::Curve;

/// A curve with linear warm-up. Steps count whatever the caller counts, batches or epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The factor without warm-up.
    pub curve: Curve,
    /// Number of first steps over which the factor grows: step `i` is at `(i + 1)/(warmup + 1)` of its curve.
    pub warmup: u64,
}

impl Schedule {
    /// A curve without warm-up.
    pub fn new(curve: Curve) -> Self {
        Self { curve, warmup: 0 }
    }

    /// With warm-up.
    pub fn warmup(mut self, steps: u64) -> Self {
        self.warmup = steps;
        self
    }

    /// The factor on the base rate in `step` (from 0) of `total`.
    pub fn factor(&self, step: u64, total: u64) -> f64 {
        let ramp = if step < self.warmup { (step + 1) as f64 / (self.warmup + 1) as f64 } else { 1.0 };
        ramp * self.curve.factor(step, total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_is_linear_and_ends() {
        let s = Schedule::new(Curve::Constant).warmup(3);
        let factors: Vec<_> = (0..5).map(|i| s.factor(i, 10)).collect();
        assert_eq!(factors, [0.25, 0.5, 0.75, 1.0, 1.0]);
        let poly = Schedule::new(Curve::Poly { power: 1.0 }).warmup(1);
        assert_eq!(poly.factor(0, 4), 0.5);
        assert_eq!(poly.factor(1, 4), 0.75);
    }
}

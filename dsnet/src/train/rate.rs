//! The learning rate of a step.

use nn::schedule::{Curve, Schedule};

/// The schedule's factor: smooth curves go by steps, those with stairs by epochs; warm-up always by steps.
pub(super) fn factor(schedule: &Schedule, step: usize, epoch: usize, per_epoch: usize, epochs: usize) -> f64 {
    let total = (per_epoch * epochs) as u64;
    match &schedule.curve {
        Curve::Step { .. } | Curve::MultiStep { .. } => {
            let ramp = Schedule { curve: Curve::Constant, warmup: schedule.warmup };
            ramp.factor(step as u64, total) * schedule.curve.factor(epoch as u64, epochs as u64)
        }
        Curve::Constant | Curve::Poly { .. } | Curve::Cosine { .. } => schedule.factor(step as u64, total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_go_by_steps_and_stairs_by_epochs() {
        let poly = Schedule::new(Curve::Poly { power: 1.0 });
        assert_eq!(factor(&poly, 5, 0, 10, 2), 0.75);
        let stairs = Schedule::new(Curve::Step { every: 2, factor: 0.5 }).warmup(3);
        assert_eq!(factor(&stairs, 0, 0, 10, 6), 0.25);
        assert_eq!(factor(&stairs, 39, 3, 10, 6), 0.5);
        assert_eq!(factor(&stairs, 40, 4, 10, 6), 0.25);
    }
}

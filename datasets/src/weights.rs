//! Class weights of the order-of-magnitude weighted focal loss: α (Eq. 2) and γ (Eq. 3) of the DSNet paper
//! from class frequencies.

use crate::error::{Error, Result};

/// What the loss knows about each class, in train id order.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassWeights {
    /// Share of the labelled pixels.
    pub frequency: Vec<f64>,
    /// αᵢ = ωᵢ / max ω with ωᵢ = 1 / ln(fᵢ + 1.02); in (0, 1], larger for rarer classes.
    pub alpha: Vec<f64>,
    /// γᵢ, the order of magnitude of fᵢ / min f: 0 for the rarest classes, 1 from ten times as frequent, ...
    pub gamma: Vec<u32>,
}

/// Derives α and γ from class frequencies.
///
/// Classes that do not occur (frequency 0) take no part in the minimum of f or the maximum of ω and get
/// α = 1, γ = 0. Errors when a frequency is negative, above 1 or not a number.
pub fn class_weights(frequency: &[f64]) -> Result<ClassWeights> {
    if let Some(class) = frequency.iter().position(|f| !(0.0..=1.0).contains(f)) {
        let f = frequency[class];
        return Err(Error::Options(format!("class {class} has frequency {f}: it must lie between 0 and 1")));
    }
    let omega = |f: f64| 1.0 / (f + 1.02).ln();
    let rarest = frequency.iter().copied().filter(|&f| f > 0.0).fold(f64::INFINITY, f64::min);
    // ω falls with f, so its maximum belongs to the rarest class.
    let alpha = frequency.iter().map(|&f| if f > 0.0 { omega(f) / omega(rarest) } else { 1.0 }).collect();
    let gamma = frequency.iter().map(|&f| if f > 0.0 { magnitude(f / rarest) } else { 0 }).collect();
    Ok(ClassWeights { frequency: frequency.to_vec(), alpha, gamma })
}

/// ⌊log₁₀ x⌋ for x ≥ 1, by counting: exact at powers of ten, where a rounded logarithm may not be.
fn magnitude(x: f64) -> u32 {
    let mut order = 0;
    let mut bound = 10.0;
    while x >= bound {
        order += 1;
        bound *= 10.0;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_at_the_borders() {
        for (x, order) in [(1.0, 0), (9.999, 0), (10.0, 1), (99.9, 1), (100.0, 2), (1000.0, 3), (12345.0, 4)]
        {
            assert_eq!(magnitude(x), order, "{x}");
        }
    }

    /// Cityscapes-like frequencies in train id order: Table 4 has 10 classes of γ 0, 6 of γ 1, 3 of γ 2.
    #[test]
    fn cityscapes_groups_are_those_of_table_4() {
        let f = [
            0.369, 0.061, 0.228, 0.0066, 0.0088, 0.0123, 0.0021, 0.0055, 0.159, 0.0116, 0.040, 0.0122,
            0.0014, 0.070, 0.0027, 0.0024, 0.0023, 0.0010, 0.0041,
        ];
        let w = class_weights(&f).unwrap();
        let count = |g| w.gamma.iter().filter(|&&x| x == g).count();
        assert_eq!((count(0), count(1), count(2)), (10, 6, 3));
        let groups: Vec<usize> = (0..19).filter(|&i| w.gamma[i] == 2).collect();
        assert_eq!(groups, [0, 2, 8], "road, building, vegetation");
        assert_eq!(w.alpha[17], 1.0, "the rarest class");
        assert!(w.alpha.iter().all(|a| *a > 0.0 && *a <= 1.0));
        let road = (1.0 / (0.369f64 + 1.02).ln()) / (1.0 / (0.0010f64 + 1.02).ln());
        assert!((w.alpha[0] - road).abs() < 1e-12);
    }

    /// Pixel counts of the CamVid training set.
    #[test]
    fn camvid_has_one_road_and_six_middle_classes() {
        let pixels = [
            10682767u64,
            14750079,
            623349,
            20076880,
            2845085,
            6166762,
            743859,
            714595,
            3719877,
            405385,
            184967,
        ];
        let total: u64 = pixels.iter().sum();
        let f: Vec<f64> = pixels.iter().map(|&p| p as f64 / total as f64).collect();
        assert!((f[3] - 0.329596).abs() < 1e-6 && (f[10] - 0.003037).abs() < 1e-6);
        let w = class_weights(&f).unwrap();
        assert_eq!(w.gamma, [1, 1, 0, 2, 1, 1, 0, 0, 1, 0, 0]);
        assert_eq!(w.alpha[10], 1.0);
    }

    #[test]
    fn absent_classes_stay_out_of_it() {
        let with = class_weights(&[0.9, 0.1, 0.0]).unwrap();
        let without = class_weights(&[0.9, 0.1]).unwrap();
        assert_eq!(with.alpha[..2], without.alpha);
        assert_eq!(with.gamma, [0, 0, 0]);
        assert_eq!(with.alpha[2], 1.0);
        assert_eq!(class_weights(&[0.0, 0.0]).unwrap().alpha, [1.0, 1.0]);
        assert!(class_weights(&[0.5, f64::NAN]).is_err());
        assert!(class_weights(&[-0.1]).is_err());
    }
}

//! Class weights from class frequencies (Wang et al., arXiv 1812.07049, Eq. 2 and 3).

use crate::{Error, Result};

/// By so much a quotient of shares may fall short of the power of ten that it is.
const ROUNDING: f64 = 1e-9;

/// What the object weighted focal loss knows of each class.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassBalance {
    /// Weight of each class, 0 to 1.
    pub alpha: Vec<f64>,
    /// Focusing exponent of each class: 0, 1, 2, …
    pub gamma: Vec<f64>,
}

impl ClassBalance {
    /// From the share `f` of each class in all labelled pixels: with `ωᵢ = 1/ln(fᵢ + 1.02)`, `αᵢ = ωᵢ/max ω` (Eq. 2)
    /// and `γᵢ = ⌊log₁₀(fᵢ/min f)⌋` (Eq. 3). A class that does not occur has α = 1 and γ = 0 and takes no part in
    /// maximum and minimum.
    ///
    /// # Errors
    /// A share that is not in 0..=1, or none above 0.
    pub fn from_frequencies(frequencies: &[f64]) -> Result<Self> {
        if let Some(bad) = frequencies.iter().position(|f| !(0.0..=1.0).contains(f)) {
            let why = format!("class {bad} has the share {}; shares lie in 0..=1", frequencies[bad]);
            return Err(Error::config("class frequencies", why));
        }
        let present = || frequencies.iter().copied().filter(|&f| f > 0.0);
        let rarest = present().fold(f64::INFINITY, f64::min);
        if rarest.is_infinite() {
            return Err(Error::config("class frequencies", "no class occurs: is anything labelled?"));
        }
        let omega = |f: f64| 1.0 / (f + 1.02).ln();
        let largest = present().map(omega).fold(0.0, f64::max);
        let each = |value: &dyn Fn(f64) -> f64, absent| {
            frequencies.iter().map(|&f| if f > 0.0 { value(f) } else { absent }).collect()
        };
        Ok(Self {
            alpha: each(&|f| omega(f) / largest, 1.0),
            gamma: each(&|f| (f / rarest * (1.0 + ROUNDING)).log10().floor(), 0.0),
        })
    }

    /// α = 1 and γ = 0 for each class: plain cross entropy.
    pub fn uniform(classes: usize) -> Self {
        Self { alpha: vec![1.0; classes], gamma: vec![0.0; classes] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_2_and_3() {
        let b = ClassBalance::from_frequencies(&[0.6, 0.3, 0.08, 0.015, 0.005]).unwrap();
        assert_eq!(b.gamma, [2.0, 1.0, 1.0, 0.0, 0.0]);
        // 0.7/0.07 is a little less than ten.
        assert_eq!(ClassBalance::from_frequencies(&[0.7, 0.07]).unwrap().gamma, [1.0, 0.0]);
        assert_eq!(b.alpha[4], 1.0);
        assert!((b.alpha[0] - 1.025_f64.ln() / 1.62_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn absent_classes_stand_aside() {
        let b = ClassBalance::from_frequencies(&[0.9, 0.0, 0.1]).unwrap();
        assert_eq!((b.alpha[1], b.gamma[1]), (1.0, 0.0));
        assert_eq!((b.alpha[2], b.gamma[2]), (1.0, 0.0));
    }

    #[test]
    fn bad_shares() {
        assert!(ClassBalance::from_frequencies(&[0.0, 0.0]).is_err());
        assert!(ClassBalance::from_frequencies(&[]).is_err());
        let error = ClassBalance::from_frequencies(&[0.5, f64::NAN]).unwrap_err().to_string();
        assert!(error.contains("class 1"), "{error}");
        assert!(ClassBalance::from_frequencies(&[36.9, 61.0]).is_err());
    }
}

//! From values to places on an axis, and the round numbers to write there.

/// How values lie along an axis. Both ends are finite and differ; those of a logarithm are positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Evenly.
    Linear(f64, f64),
    /// By their logarithm.
    Log(f64, f64),
}

/// The least of 1, 2, 5 times a power of ten that is no less than `value`.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    // A little slack: 0.30000000000000004 is 3 tenths.
    let steps = [1.0, 2.0, 5.0, 10.0].map(|s| s * power);
    steps.into_iter().find(|s| *s >= value * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

impl Scale {
    /// From 0 to a round number that no value exceeds; to 1 where there is none above 0.
    pub fn from_zero(values: impl IntoIterator<Item = f64>) -> Self {
        let top = values.into_iter().filter(|v| v.is_finite()).fold(0.0, f64::max);
        if top <= 0.0 {
            return Scale::Linear(0.0, 1.0);
        }
        let step = round_up(top / 5.0);
        // Above the largest number there is no round one.
        Scale::Linear(0.0, ((top / step - 1e-9).ceil() * step).min(f64::MAX))
    }

    /// From the least to the greatest value, which are widened where they are the same.
    pub fn spanning(values: impl IntoIterator<Item = f64>) -> Self {
        let finite = values.into_iter().filter(|v| v.is_finite());
        let (lo, hi) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
        match hi - lo {
            d if d > 0.0 => Scale::Linear(lo, hi),
            0.0 => Scale::Linear(lo - 0.5, hi + 0.5),
            _ => Scale::Linear(0.0, 1.0),
        }
    }

    /// Whole decades around the positive values.
    pub fn decades(values: impl IntoIterator<Item = f64>) -> Self {
        let positive = values.into_iter().filter(|v| v.is_finite() && *v > 0.0).map(f64::log10);
        let (lo, hi) =
            positive.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
        if lo > hi {
            return Scale::Log(0.1, 1.0);
        }
        let (lo, hi) = ((lo + 1e-9).floor(), (hi - 1e-9).ceil());
        Scale::Log(10f64.powf(lo), 10f64.powf(if hi > lo { hi } else { lo + 1.0 }))
    }

    /// Where `value` lies: 0 at the lower end, 1 at the upper. Of a logarithm, what is not positive lies at 0.
    pub fn at(&self, value: f64) -> f64 {
        match *self {
            Scale::Linear(lo, hi) => (value - lo) / (hi - lo),
            Scale::Log(lo, hi) if value > 0.0 => (value / lo).ln() / (hi / lo).ln(),
            Scale::Log(..) => 0.0,
        }
    }

    /// Values to mark, about `count` of them, with their texts. `whole`: no fractions, as epochs have none.
    pub fn ticks(&self, count: usize, whole: bool) -> Vec<(f64, String)> {
        match *self {
            Scale::Linear(lo, hi) => {
                let step = round_up((hi - lo) / count.max(1) as f64);
                let step = if whole { step.max(1.0) } else { step };
                let first = (lo / step - 1e-9).ceil() as i64;
                let last = (hi / step + 1e-9).floor() as i64;
                let decimals = (-step.log10().floor()).max(0.0) as usize;
                (first..=last).map(|i| i as f64 * step).map(|v| (v, tick(v, decimals))).collect()
            }
            Scale::Log(lo, hi) => {
                let (first, last) = (lo.log10().round() as i32, hi.log10().round() as i32);
                (first..=last).map(|e| (10f64.powi(e), tick(10f64.powi(e), (-e).max(0) as usize))).collect()
            }
        }
    }
}

/// A number on an axis: thousands separated, small ones as powers of ten.
fn tick(value: f64, decimals: usize) -> String {
    if decimals > 4 {
        return if value == 0.0 { "0".into() } else { format!("{value:.0e}") };
    }
    if decimals == 0 && value.abs() >= 10_000.0 {
        let sign = if value < 0.0 { "−" } else { "" };
        return format!("{sign}{}", crate::ui::thousands(value.abs().round() as u64));
    }
    format!("{:.decimals$}", value + 0.0).replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: Scale, count: usize, whole: bool) -> String {
        scale.ticks(count, whole).into_iter().map(|t| t.1).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(texts(Scale::from_zero([0.2, 2.9]), 5, false), "0 1 2 3");
        assert_eq!(texts(Scale::from_zero([0.93]), 5, false), "0.0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(texts(Scale::from_zero([]), 2, false), "0.0 0.5 1.0");
        assert_eq!(texts(Scale::Linear(1.0, 4.0), 10, true), "1 2 3 4");
        assert_eq!(texts(Scale::Linear(-7.0, 3.0), 5, false), "−6 −4 −2 0 2");
        assert_eq!(texts(Scale::Linear(0.0, 60_000.0), 3, true), "0 20,000 40,000 60,000");
        assert_eq!(texts(Scale::from_zero([3e-5]), 3, false), "0 1e-5 2e-5 3e-5");
        assert_eq!(texts(Scale::decades([0.03, 40.0]), 9, false), "0.01 0.1 1 10 100");
        assert_eq!(texts(Scale::spanning([2.0, 2.0]), 9, true), "2");
    }

    #[test]
    fn places() {
        assert_eq!(Scale::Linear(2.0, 4.0).at(3.5), 0.75);
        assert!((Scale::decades([0.01, 100.0]).at(1.0) - 0.5).abs() < 1e-12);
        assert_eq!(Scale::decades([0.1, 1.0]).at(0.0), 0.0);
        assert_eq!(Scale::decades([]), Scale::Log(0.1, 1.0));
        assert_eq!(Scale::decades([1.0]), Scale::Log(1.0, 10.0));
    }
}

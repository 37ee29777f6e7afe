//! An axis: its scale, what it measures with unit, and how a single value is written.

use super::Scale;

/// An axis of a chart.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What it measures, with unit: "mIoU (%)".
    pub title: String,
    /// How values lie on it.
    pub scale: Scale,
    /// How a value is written where it is pointed at.
    pub show: fn(f64) -> String,
    /// Whether values are whole numbers: no ticks between them.
    pub whole: bool,
}

impl Axis {
    /// An axis of whole numbers.
    pub fn counting(title: impl Into<String>, scale: Scale) -> Self {
        Self { title: title.into(), scale, show: |v| crate::ui::thousands(v.round() as u64), whole: true }
    }

    /// An axis whose values are shown by `show`.
    pub fn new(title: impl Into<String>, scale: Scale, show: fn(f64) -> String) -> Self {
        Self { title: title.into(), scale, show, whole: false }
    }
}

/// Shares, given in percent, from 0 to a round number above the largest, but to 5 at least: tiny differences are to look tiny.
pub fn percent_axis(title: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Axis {
    Axis::new(title, Scale::from_zero(values.into_iter().chain([5.0])), |v| format!("{v:.1} %"))
}

//! Loss and learning rate by step.

use super::{
    Record,
    chart::{Axis, Lines, Scale, Svg},
    series::condensed,
};

/// Width of a chart that stands beside another.
pub(super) const HALF: f64 = 528.0;

/// Width of bars that stand beside a matrix.
pub(super) const NARROW: f64 = 440.0;

fn steps(record: &Record) -> Axis {
    let last = record.progress().1.into_iter().chain(record.steps.last().map(|s| s.step)).max();
    Axis::counting("step", Scale::Linear(0.0, last.unwrap_or(1).max(1) as f64))
}

/// The loss and its parts; the band spans the steps that a point stands for.
pub fn loss(record: &Record) -> Svg {
    let get = |name: &str, color, value: &dyn Fn(&crate::train::StepLine) -> Option<f64>| {
        let values = record.steps.iter().filter_map(|s| Some((s.step as f64, value(s)?)));
        let finite: Vec<(f64, f64)> = values.filter(|(_, value)| value.is_finite()).collect();
        condensed(name, color, &finite)
    };
    let mut series = vec![get("loss", 0, &|s| Some(s.loss))];
    if record.steps.iter().any(|s| s.sel.is_some()) {
        series.push(get("of pixels", 1, &|s| Some(s.pixel)));
        series.push(get("semantic encoding", 2, &|s| s.sel));
    }
    let tops = series.iter().flat_map(|s| s.points.iter().map(|p| p.1).chain(s.band.iter().map(|b| b.1)));
    Lines {
        label: "Training loss by step".into(),
        x: steps(record),
        y: Axis::new("loss", Scale::from_zero(tops), |v| format!("{v:.4}")),
        series,
        width: HALF,
        height: 300.0,
    }
    .draw()
}

/// The learning rate.
pub fn learning_rate(record: &Record) -> Svg {
    let values: Vec<(f64, f64)> = record.steps.iter().map(|s| (s.step as f64, s.lr)).collect();
    let mut series = condensed("learning rate", 0, &values);
    series.band.clear();
    Lines {
        label: "Learning rate by step".into(),
        x: steps(record),
        y: Axis::new("learning rate", Scale::from_zero(values.iter().map(|v| v.1)), |v| format!("{v:.3e}")),
        series: vec![series],
        width: HALF,
        height: 300.0,
    }
    .draw()
}

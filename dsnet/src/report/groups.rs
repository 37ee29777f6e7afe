//! mIoU of each γ group over the epochs (the paper's Fig. 5).

use super::{
    Record,
    chart::{Axis, Lines, Scale, Series, Svg, percent_axis},
    loss::HALF,
};
use crate::metrics::{GroupScore, Scores};

/// Epochs as people count them, from 1.
pub(super) fn epochs(records: &[&Record]) -> Axis {
    let last = records.iter().map(|r| r.config.epochs.max(r.epochs.last().map_or(0, |e| e.epoch + 1))).max();
    Axis::counting("epoch", Scale::Linear(0.0, last.unwrap_or(1).max(1) as f64))
}

/// What scores say of each evaluated epoch, in percent.
pub(super) fn over_epochs(record: &Record, value: impl Fn(&Scores) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |e: &crate::train::EpochLine| {
        Some(((e.epoch + 1) as f64, value(e.val.as_ref()?).map_or(f64::NAN, |v| 100.0 * v)))
    };
    record.epochs.iter().filter_map(point).collect()
}

/// Name of a group with the number of its classes: "γ = 1 (6 classes)".
pub(super) fn title(group: &GroupScore) -> String {
    let n = group.classes.len();
    format!("{} ({n} {})", group.name, if n == 1 { "class" } else { "classes" })
}

/// The groups' curves, and that of all classes.
pub fn groups(record: &Record) -> Svg {
    let named: &[GroupScore] = record.best().and_then(|e| e.val.as_ref()).map_or(&[], |v| &v.gamma_groups);
    let mut series: Vec<Series> = named
        .iter()
        .enumerate()
        .map(|(n, group)| {
            let of = |s: &Scores| s.gamma_groups.iter().find(|g| g.name == group.name).and_then(|g| g.iou);
            Series::new(title(group), n, over_epochs(record, of))
        })
        .collect();
    series.push(Series::new("all", series.len(), over_epochs(record, |s| Some(s.miou))));
    Lines {
        label: "Validation mIoU of each gamma group over epochs".into(),
        x: epochs(&[record]),
        y: percent_axis("mIoU (%)", series.iter().flat_map(|s| s.points.iter().map(|p| p.1))),
        series,
        width: HALF,
        height: 320.0,
    }
    .draw()
}

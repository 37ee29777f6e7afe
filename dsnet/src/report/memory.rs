//! Memory by epoch.

use super::{
    Record,
    chart::{Axis, Lines, Scale, Series, Svg},
    groups::epochs,
    loss::HALF,
};

/// Highest use of memory in each epoch, in megabytes; `None` where the log does not tell.
pub fn memory(record: &Record) -> Option<Svg> {
    let megabytes = |bytes: usize| bytes as f64 / 1e6;
    let told: Vec<_> = record.epochs.iter().filter_map(|e| Some(((e.epoch + 1) as f64, e.memory?))).collect();
    if told.is_empty() {
        return None;
    }
    let tensors = told.iter().map(|(x, m)| (*x, megabytes(m.peak_tensor_bytes))).collect();
    let process: Vec<(f64, f64)> =
        told.iter().filter_map(|(x, m)| Some((*x, megabytes(m.peak_process_bytes?)))).collect();
    let mut series = vec![Series::new("tensors, peak of the epoch", 0, tensors)];
    if !process.is_empty() {
        series.push(Series::new("process, peak since its start", 1, process));
    }
    let top = Scale::from_zero(series.iter().flat_map(|s| s.points.iter().map(|p| p.1)));
    let chart = Lines {
        label: "Highest use of memory by epoch".into(),
        x: epochs(&[record]),
        y: Axis::new("memory (MB)", top, |v| format!("{v:.0} MB")),
        series,
        width: HALF,
        height: 320.0,
    };
    Some(chart.draw())
}

//! Where the time of a step goes: waiting for data, forward, backward, update.

use super::{
    Record,
    chart::{Axis, Lines, Scale, Series, Stack, StackRow, Svg},
    loss::HALF,
    series::condensed,
};
use crate::train::Phases;

/// Names of the phases, in the order of their colours.
const NAMES: [&str; 5] = ["data", "forward", "backward", "update", "other"];

/// The most characters of a name beside a bar.
const LONG: usize = 28;

/// Milliseconds of each phase; what is left of the whole step is "other".
fn parts(phases: &Phases, seconds: f64) -> [f64; 5] {
    let known = [phases.data, phases.forward, phases.backward, phases.update];
    let other = (seconds - known.iter().sum::<f64>()).max(0.0);
    let [data, forward, backward, update] = known;
    [data, forward, backward, update, other].map(|s| 1e3 * s)
}

/// The phases of every step, by number of the step.
fn all(record: &Record) -> impl Iterator<Item = (f64, [f64; 5])> {
    record.steps.iter().filter_map(|s| Some((s.step as f64, parts(s.phases.as_ref()?, s.seconds))))
}

/// The mean of each phase in milliseconds; `None` where the log does not tell.
pub fn mean_phases(record: &Record) -> Option<[f64; 5]> {
    let (sum, n) = all(record).fold(([0.0; 5], 0.0), |(mut sum, n), (_, parts)| {
        sum.iter_mut().zip(parts).for_each(|(s, p)| *s += p);
        (sum, n + 1.0)
    });
    (n > 0.0).then(|| sum.map(|s| s / n))
}

/// A name that leaves room for its bar: of a long one the end, where runs differ.
fn shortened(name: &str) -> String {
    let skip = name.chars().count().saturating_sub(LONG);
    if skip == 0 { name.into() } else { std::iter::once('…').chain(name.chars().skip(skip + 1)).collect() }
}

fn milliseconds(v: f64) -> String {
    if v < 10.0 { format!("{v:.1} ms") } else { format!("{v:.0} ms") }
}

/// Mean time of a step and its parts, one bar for each run that tells.
pub fn step_time(records: &[&Record]) -> Svg {
    let name = |r: &Record| if records.len() > 1 { shortened(&r.name) } else { String::new() };
    let told: Vec<[f64; 5]> = records.iter().filter_map(|r| mean_phases(r)).collect();
    // A single bar's parts are told in its legend.
    let part = |n: usize| match told[..] {
        [one] => format!("{} {}", NAMES[n], milliseconds(one[n])),
        _ => NAMES[n].to_owned(),
    };
    let rows: Vec<StackRow> = records
        .iter()
        .filter_map(|r| Some(StackRow { name: name(r), parts: mean_phases(r)?.to_vec() }))
        .collect();
    let scale = Scale::from_zero(rows.iter().map(|r| r.parts.iter().sum()));
    Stack {
        label: "Mean time of a training step by phase".into(),
        axis: Axis::new("mean time of a step (ms)", scale, milliseconds),
        parts: (0..NAMES.len()).map(part).collect(),
        rows,
        width: HALF,
    }
    .draw()
}

/// The phases by step.
pub fn phases_by_step(record: &Record) -> Svg {
    let all: Vec<(f64, [f64; 5])> = all(record).collect();
    let line = |n: usize| -> Series {
        let values: Vec<(f64, f64)> = all.iter().map(|(step, parts)| (*step, parts[n])).collect();
        let mut series = condensed(NAMES[n], n, &values);
        series.band.clear();
        series
    };
    // What is left over is too small to be seen.
    let series: Vec<Series> = (0..4).map(line).collect();
    let last = all.last().map_or(1.0, |(step, _)| *step);
    Lines {
        label: "Time of each phase by step".into(),
        x: Axis::counting("step", Scale::Linear(0.0, last)),
        y: Axis::new(
            "time (ms)",
            Scale::from_zero(series.iter().flat_map(|s| s.points.iter().map(|p| p.1))),
            milliseconds,
        ),
        series,
        width: HALF,
        height: 260.0,
    }
    .draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_phases_leave_is_other() {
        let phases = Phases { data: 0.1, forward: 0.2, backward: 0.3, update: 0.25 };
        let all = parts(&phases, 1.0);
        assert!((all[4] - 150.0).abs() < 1e-9 && (all.iter().sum::<f64>() - 1000.0).abs() < 1e-9, "{all:?}");
        // Clocks are read one after the other: the parts may exceed the whole by a little.
        assert_eq!(parts(&phases, 0.8)[4], 0.0);
        assert_eq!([milliseconds(2.55), milliseconds(118.2)], ["2.5 ms", "118 ms"]);
    }

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(shortened("short"), "short");
        let name = shortened("experiments/of/this/long/week/run-17");
        assert!(name.chars().count() == LONG && name.starts_with('…') && name.ends_with("run-17"), "{name}");
    }
}

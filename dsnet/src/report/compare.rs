//! Several runs in one report.

use std::collections::BTreeSet;

use super::{
    Record,
    chart::{Axis, DotRow, Dots, Lines, Scale, Series, Svg, percent_axis},
    groups::{epochs, over_epochs},
    loss::HALF,
    mean_phases,
    page::{Page, figure, note, row, table},
    panels, step_time,
};
use crate::{
    Result,
    metrics::Scores,
    train::Samples,
    ui::{bytes, counted, duration, percent, thousands},
};

/// Scores of the best epoch.
fn best(record: &Record) -> Option<&Scores> {
    record.best()?.val.as_ref()
}

/// Names of what the runs score (γ groups, classes), in the order in which they come up.
fn names<'a>(records: &[&'a Record], of: impl Fn(&'a Scores) -> Vec<&'a str>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for name in records.iter().filter_map(|r| best(r)).flat_map(of) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn groups_of(scores: &Scores) -> Vec<&str> {
    scores.gamma_groups.iter().map(|g| g.name.as_str()).collect()
}

fn group_iou(scores: &Scores, name: &str) -> Option<f64> {
    scores.gamma_groups.iter().find(|g| g.name == name)?.iou
}

/// One line for each run over the epochs.
fn curves(records: &[&Record], label: &str, y: Axis, series: Vec<Series>) -> Svg {
    Lines { label: label.into(), x: epochs(records), y, series, width: HALF, height: 300.0 }.draw()
}

fn series(records: &[&Record], of: impl Fn(&Record) -> Vec<(f64, f64)>) -> Vec<Series> {
    records.iter().enumerate().map(|(n, r)| Series::new(&r.name, n, of(r))).collect()
}

fn tops(series: &[Series]) -> impl Iterator<Item = f64> {
    series.iter().flat_map(|s| s.points.iter().map(|p| p.1))
}

/// A score of each run over the epochs.
fn score_curves(records: &[&Record], label: &str, of: impl Fn(&Scores) -> Option<f64>) -> Svg {
    let series = series(records, |r| over_epochs(r, &of));
    curves(records, label, percent_axis("mIoU (%)", tops(&series)), series)
}

fn loss_curves(records: &[&Record]) -> Svg {
    let series = series(records, |r| r.epochs.iter().map(|e| ((e.epoch + 1) as f64, e.loss)).collect());
    let y = Axis::new("mean loss", Scale::from_zero(tops(&series)), |v| format!("{v:.4}"));
    curves(records, "Mean training loss by epoch", y, series)
}

/// IoU of each class, a dot for each run.
fn class_dots(records: &[&Record]) -> Svg {
    let all = names(records, |s| s.classes.iter().map(|c| c.name.as_str()).collect());
    let palette = records[0].config.data.classes();
    let iou = |r: &Record, name: &str| Some(100.0 * best(r)?.classes.iter().find(|c| c.name == name)?.iou?);
    let rows: Vec<DotRow> = all
        .into_iter()
        .map(|name| DotRow {
            name: name.into(),
            swatch: palette.find(name).map(|id| palette.color(id as u8)),
            values: records.iter().map(|r| iou(r, name)).collect(),
        })
        .collect();
    let axis = percent_axis("IoU (%)", rows.iter().flat_map(|r| r.values.iter().copied().flatten()));
    let series = records.iter().map(|r| r.name.clone()).collect();
    Dots { label: "IoU of each class in each run".into(), axis, series, rows, width: HALF }.draw()
}

/// What each run reached and cost.
fn overview(records: &[&Record]) -> String {
    let groups = names(records, groups_of);
    let mut head = ["run", "model", "loss", "epochs", "best val mIoU %"].map(str::to_owned).to_vec();
    head.extend(groups.iter().map(|name| format!("{name} %")));
    head.extend(["pixel accuracy %", "parameters", "ms a step", "time", "peak memory"].map(str::to_owned));
    let dash = || "–".to_owned();
    let line = |r: &&Record| {
        let val = best(r);
        let mut cells = vec![
            r.name.clone(),
            r.config.model.clone(),
            r.config.loss.to_string(),
            format!("{} of {}", r.epochs.len(), r.config.epochs),
            percent(val.map(|v| v.miou)),
        ];
        cells.extend(groups.iter().map(|name| percent(val.and_then(|v| group_iou(v, name)))));
        cells.push(percent(val.and_then(|v| v.pixel_accuracy)));
        cells.push(r.starts.last().map_or_else(dash, |s| thousands(s.parameters as u64)));
        cells.push(mean_phases(r).map_or_else(dash, |p| format!("{:.0}", p.iter().sum::<f64>())));
        cells.push(duration(r.seconds()));
        let peak = r.epochs.iter().filter_map(|e| e.memory?.peak_process_bytes).max();
        cells.push(peak.map_or_else(dash, |b| bytes(b as u64)));
        cells
    };
    table(&head, &records.iter().map(line).collect::<Vec<_>>())
}

/// The settings in which the runs differ.
fn differences(records: &[&Record]) -> String {
    let all: Vec<_> = records.iter().map(|r| r.settings()).collect();
    let keys: BTreeSet<&String> = all.iter().flat_map(|s| s.keys()).filter(|k| *k != "out").collect();
    let rows: Vec<Vec<String>> = keys
        .into_iter()
        .filter(|key| all.iter().any(|s| s.get(*key) != all[0].get(*key)))
        .map(|key| {
            let value = |s: &std::collections::BTreeMap<String, String>| {
                s.get(key).map_or("–", String::as_str).to_owned()
            };
            std::iter::once(key.clone()).chain(all.iter().map(value)).collect()
        })
        .collect();
    if rows.is_empty() {
        return note("The runs have the same settings.");
    }
    let head: Vec<String> =
        std::iter::once("setting".to_owned()).chain(records.iter().map(|r| r.name.clone())).collect();
    table(&head, &rows)
}

/// Runs side by side as HTML; `samples` are those of each run, where it has some.
///
/// # Errors
/// Where pictures of samples can not be made.
pub fn render_comparison(records: &[&Record], samples: &[Option<Samples>]) -> Result<String> {
    let list: Vec<&str> = records.iter().map(|r| r.name.as_str()).collect();
    let mut page = Page::new(&list.join(", "), &format!("{} compared", counted(records.len(), "run")));
    page.section("What they reached", &overview(records));
    page.section("Settings that differ", &differences(records));
    let mut figures = vec![
        figure("Mean loss", &loss_curves(records), "Comparable only between runs of the same loss."),
        figure("mIoU of all classes", &score_curves(records, "mIoU of all classes", |s| Some(s.miou)), ""),
    ];
    figures.extend(names(records, groups_of).into_iter().map(|name| {
        let title = format!("mIoU of {name}");
        figure(&title, &score_curves(records, &title, |s| group_iou(s, name)), "")
    }));
    page.section("Curves", &row(&figures));
    if records.iter().any(|r| best(r).is_some()) {
        let note = "Of the best epoch of each run. A class without a dot is absent.";
        page.section("Classes", &figure("IoU of each class", &class_dots(records), note));
    }
    let mut told: Vec<(&str, &Samples)> = Vec::new();
    let scheme = records[0].config.data.classes();
    for (record, samples) in records.iter().zip(samples) {
        if let Some(samples) = samples
            && record.config.data.classes() == scheme
        {
            told.push((&record.name, samples));
        }
    }
    if !told.is_empty() {
        page.section("Samples", &panels(&told, &scheme)?);
    }
    if records.iter().any(|r| mean_phases(r).is_some()) {
        page.section("Time", &figure("Time of a step", &step_time(records), ""));
    }
    Ok(page.html())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::record::tests::example;

    #[test]
    fn runs_share_charts() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str, lift| Record::read(&example(&dir.path().join(name), lift)).unwrap();
        let (a, mut b) = (read("one", 0.0), read("two", 0.5));
        b.options.lr = Some(0.25);
        let html = render_comparison(&[&a, &b], &[None, None]).unwrap();
        for part in [
            "one, two",
            "<td>lr</td><td class=\"n\">0.001</td><td class=\"n\">0.25</td>",
            "<title>Sky\none  50.0 %\ntwo  50.0 %</title>",
            "mIoU of γ = 2",
            "<title>two\nbackward  200 ms (59 %)</title>",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert!(!html.contains("NaN") && !html.contains("<td>model</td>"), "only what differs");
        let html = render_comparison(&[&a, &a], &[None, None]).unwrap();
        assert!(html.contains("the same settings"));
    }
}

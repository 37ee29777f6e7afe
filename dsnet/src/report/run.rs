//! The report of a run.

use nn::checkpoint::write_atomically;

use super::{
    Record,
    page::{Page, note, tiles},
    sections,
};
use crate::{
    Result,
    infer::Predictor,
    pictures::{Prediction, spread},
    train::{Samples, StartLine},
    ui::{bytes, counted, duration, percent, thousands},
    weights,
};

/// Writes `report.html` into the folder of a run.
///
/// # Errors
/// Where the run's files can not be read or the report not be written.
pub fn write(record: &Record) -> Result<()> {
    let samples = Samples::read(&record.folder, &record.config.data.classes())?;
    Ok(write_atomically(&record.folder.report(), render(record, samples.as_ref())?.as_bytes())?)
}

/// Takes the sample predictions anew where those in the folder are missing or older than the best weights.
///
/// # Errors
/// Where weights or data can not be read.
pub fn sample_again(record: &Record) -> Result<()> {
    let classes = record.config.data.classes();
    let Some(best) = record.best() else { return Ok(()) };
    let up_to_date = Samples::read(&record.folder, &classes)?.is_some_and(|s| s.step == best.step);
    if up_to_date || record.config.samples == 0 {
        return Ok(());
    }
    let trained = weights::load(&record.folder.best())?;
    let val = record.config.data.open_val()?;
    let normalization = trained.info.normalization();
    let predictor = Predictor::new(&trained.net);
    let predictions = spread(val.len(), record.config.samples)
        .map(|i| Prediction::new(&predictor, &*val, &normalization, i));
    Samples::write(&record.folder, best.step, &classes, predictions)?;
    Ok(())
}

/// Where the run stands, in a few words.
fn state(record: &Record) -> String {
    let (done, total) = record.progress();
    match total {
        _ if record.finished() => format!("finished, {}", counted(record.config.epochs, "epoch")),
        Some(total) => format!("step {} of {}", thousands(done as u64), thousands(total as u64)),
        None => format!("step {}", thousands(done as u64)),
    }
}

/// The figures that tell most: (what, value).
fn key_figures(record: &Record) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |what: &str, value: Option<String>| all.extend(value.map(|v| (what.to_owned(), v)));
    let best = record.best();
    let val = best.and_then(|e| e.val.as_ref());
    let share = |v: Option<f64>| format!("{} %", percent(v));
    add("best val mIoU", val.map(|v| share(Some(v.miou))));
    add("in epoch", best.map(|e| format!("{} of {}", e.epoch + 1, record.config.epochs)));
    for group in val.iter().flat_map(|v| &v.gamma_groups) {
        add(&format!("mIoU of {}", group.name), Some(share(group.iou)));
    }
    add("pixel accuracy", val.map(|v| share(v.pixel_accuracy)));
    let last = record.starts.last();
    add("parameters", last.map(|s| thousands(s.parameters as u64)));
    let steps: f64 = record.steps.iter().map(|s| s.seconds).sum();
    let images = (record.steps.len() * record.config.batch) as f64;
    add("images per second", (steps > 0.0).then(|| format!("{:.1}", images / steps)));
    add("time", (steps > 0.0).then(|| duration(record.seconds())));
    let peak = record.epochs.iter().filter_map(|e| e.memory?.peak_process_bytes).max();
    add("peak memory", peak.map(|b| bytes(b as u64)));
    all
}

/// The report as HTML.
///
/// # Errors
/// Where pictures of samples can not be made.
pub fn render(record: &Record, samples: Option<&Samples>) -> Result<String> {
    let config = &record.config;
    let told = |s: &StartLine| format!(" on {} ({})", s.data, counted(s.images, "image"));
    let data = record.starts.last().map_or_else(String::new, told);
    let lead = format!("{}{data}, loss {}, {}", config.model, config.loss, state(record));
    let mut page = Page::new(&record.name, &lead);
    page.push(&tiles(&key_figures(record)));
    if record.steps.is_empty() {
        page.push(&note("No step has been done yet."));
    } else {
        page.section("Training", &sections::training(record));
    }
    if let Some(best) = record.best()
        && let Some(val) = &best.val
    {
        page.section("Validation", &sections::validation(record, best, val));
        page.section(&format!("Classes, epoch {}", best.epoch + 1), &sections::classes(record, best, val));
    }
    if let Some(samples) = samples.filter(|s| !s.all.is_empty()) {
        page.section("Samples", &sections::samples(record, samples)?);
    }
    if let Some(cost) = sections::cost(record) {
        page.section("Time and memory", &cost);
    }
    page.section("Settings", &sections::settings(record));
    Ok(page.html())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::record::tests::example;

    #[test]
    fn a_run_becomes_a_page() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record::read(&example(&dir.path().join("my <run>"), 0.0)).unwrap();
        write(&record).unwrap();
        let html = std::fs::read_to_string(record.folder.report()).unwrap();
        for part in [
            "<h1>my &lt;run&gt;</h1>",
            "finished, 2 epochs",
            "dsnet-0.5 on camvid train (20 images)",
            // Sky 1/2, building 2/3, road and car 1; nothing else occurs.
            "<dt>best val mIoU</dt><dd>79.2 %</dd>",
            "<dt>mIoU of γ = 2</dt><dd>100.0 %</dd>",
            "<title>Sky taken for Building\n50.00 % of its pixels (1)</title>",
            "<title>Car found\n100.00 % of its pixels (1)</title>",
            "<title>epoch 2\nγ = 1 (5 classes)",
            "A step takes 340 ms, an evaluation 1.5 s",
            "forward 100 ms",
            "process, peak since its start",
            "<td>weight-decay</td>",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert!(!html.contains("NaN"));
    }

    #[test]
    fn a_run_that_hardly_began_becomes_one_too() {
        let dir = tempfile::tempdir().unwrap();
        let folder = example(&dir.path().join("run"), 0.0);
        let log = std::fs::read_to_string(folder.log()).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        for (count, part) in [(0, "No step has been done yet"), (2, "step 1 of 10"), (6, "step 5 of 10")] {
            std::fs::write(folder.log(), lines[..count].join("\n")).unwrap();
            let html = render(&Record::read(&folder).unwrap(), None).unwrap();
            assert!(html.contains(part) && !html.contains("NaN") && !html.contains("inf"), "{count}");
        }
    }
}

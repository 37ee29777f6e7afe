//! The sections of a run's report, each as HTML.

use super::{
    Record, category_bars, class_bars, confusion_matrix, groups, learning_rate, loss, mean_phases, memory,
    page::{column, figure, folded, note, row, table},
    panels, phases_by_step, series, step_time,
};
use crate::{
    Result,
    metrics::Scores,
    train::{EpochLine, Samples},
    ui::{duration, percent, thousands},
};

/// Loss and learning rate.
pub(super) fn training(record: &Record) -> String {
    let condensed = "Means of neighbouring steps; the band spans their extremes.";
    let loss_note = if series::is_condensed(record.steps.len()) { condensed } else { "" };
    let starts: Vec<String> =
        record.starts.iter().filter(|s| s.step > 0).map(|s| thousands(s.step as u64)).collect();
    let resumed = if starts.is_empty() {
        String::new()
    } else {
        format!("Taken up again after step {}.", starts.join(", "))
    };
    row(&[
        figure("Loss", &loss(record), loss_note),
        figure("Learning rate", &learning_rate(record), &resumed),
    ])
}

/// Curves of γ groups, and the best epoch's categories.
pub(super) fn validation(record: &Record, best: &EpochLine, val: &Scores) -> String {
    let categories = format!("IoU of each category, epoch {}", best.epoch + 1);
    row(&[
        figure("mIoU of each γ group", &groups(record), "γ = 0 holds the rarest classes (Eq. 3)."),
        figure(
            &categories,
            &category_bars(val),
            "Confusion within a category does not count. The dotted line is the mean.",
        ),
    ])
}

/// Bars and confusion of classes.
pub(super) fn classes(record: &Record, epoch: &EpochLine, val: &Scores) -> String {
    let mut figures = vec![figure(
        "IoU of each class",
        &class_bars(record, val),
        "Classes of one γ group stand together; dotted lines are the means of groups. A dash: the class neither occurs \
         nor is predicted.",
    )];
    if let Some(confusion) = &epoch.confusion {
        let names: Vec<String> = val.classes.iter().map(|c| c.name.clone()).collect();
        figures.push(figure(
            "Confusion matrix",
            &confusion_matrix(confusion, &names),
            "Of the pixels of each true class, the percentage that each class was predicted at. Shading follows the \
             square root, so that small shares show.",
        ));
    }
    let cells = |c: &crate::metrics::ClassScore| {
        vec![c.name.clone(), percent(c.iou), thousands(c.pixels.max(0) as u64)]
    };
    let rows: Vec<Vec<String>> = val.classes.iter().map(cells).collect();
    let head = ["class", "IoU %", "labelled pixels"].map(str::to_owned);
    row(&figures) + &folded("The same as a table", &table(&head, &rows))
}

/// Panels of samples.
pub(super) fn samples(record: &Record, samples: &Samples) -> Result<String> {
    let step = thousands(samples.step as u64);
    let remark = format!("Weights after step {step}. Orange: wrong pixels; dark grey: not labelled.");
    Ok(panels(&[("", samples)], &record.config.data.classes())? + &note(&remark))
}

/// Time and memory; `None` where the log tells of neither.
pub(super) fn cost(record: &Record) -> Option<String> {
    let mut figures = Vec::new();
    if let Some(mean) = mean_phases(record) {
        let evaluations: Vec<f64> = record.epochs.iter().filter_map(|e| e.val_seconds).collect();
        let mut note = format!("A step takes {:.0} ms", mean.iter().sum::<f64>());
        if !evaluations.is_empty() {
            let each = evaluations.iter().sum::<f64>() / evaluations.len() as f64;
            note.push_str(&format!(", an evaluation {}", duration(each)));
        }
        note.push_str("; “data” is the time spent waiting for the loader.");
        let whole = figure("Time of a step", &step_time(&[record]), &note);
        figures.push(column(&[whole, figure("Time of each phase", &phases_by_step(record), "")]));
    }
    figures.extend(memory(record).map(|svg| figure("Memory", &svg, "")));
    (!figures.is_empty()).then(|| row(&figures))
}

/// The settings of the run.
pub(super) fn settings(record: &Record) -> String {
    let rows: Vec<Vec<String>> =
        record.settings().into_iter().map(|(name, value)| vec![name, value]).collect();
    table(&["setting".into(), "value".into()], &rows)
}

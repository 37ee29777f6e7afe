//! Scores as a table.

use super::{Align, Table, percent, thousands};
use crate::metrics::Scores;

/// The text that `eval` and `train` end with: a table of classes, then the means.
pub fn score_table(scores: &Scores) -> String {
    let mut table = Table::new(&[("class", Align::Left), ("IoU %", Align::Right), ("pixels", Align::Right)]);
    for class in &scores.classes {
        let (iou, pixels) = match (class.iou, class.pixels) {
            (None, _) => ("–".into(), "absent".into()),
            (iou, 0) => (percent(iou), "absent, but predicted".into()),
            (iou, n) => (percent(iou), thousands(n as u64)),
        };
        table.row([class.name.clone(), iou, pixels]);
    }
    let mut means = Table::new(&[("mean over", Align::Left), ("IoU %", Align::Right)]);
    let counted = scores.classes.iter().filter(|c| c.iou.is_some()).count();
    means.row([format!("{counted} classes (mIoU)"), percent(Some(scores.miou))]);
    for group in &scores.gamma_groups {
        means.row([format!("{}: {}", group.name, group.classes.join(", ")), percent(group.iou)]);
    }
    let present = scores.categories.iter().filter(|c| c.iou.is_some()).count();
    means.row([format!("{present} categories"), percent(Some(scores.category_miou))]);
    for category in &scores.categories {
        means.row([format!("  {}", category.name), percent(category.iou)]);
    }
    let accuracy = percent(scores.pixel_accuracy);
    format!("{table}\n{means}\npixel accuracy {accuracy} %\n")
}

//! IoU of each class as bars, ordered by γ group; and of each category.

use super::{
    Record,
    chart::{Bar, Bars, Svg, percent_axis},
    groups::title,
    loss::{HALF, NARROW},
};
use crate::{
    metrics::{GroupScore, Scores},
    ui::thousands,
};

/// A share in percent, for a tip.
fn told(iou: Option<f64>) -> String {
    iou.map_or_else(|| "absent".into(), |v| format!("IoU {:.2} %", 100.0 * v))
}

/// Bars of `scores`, those of one γ group together; the dotted lines are the groups' means.
pub fn class_bars(record: &Record, scores: &Scores) -> Svg {
    let groups = &scores.gamma_groups;
    let group_of = |name: &String| groups.iter().position(|g| g.classes.contains(name)).unwrap_or(0);
    let palette = record.config.data.classes();
    let mut bars: Vec<Bar> = scores
        .classes
        .iter()
        .map(|class| Bar {
            name: class.name.clone(),
            swatch: palette.find(&class.name).map(|id| palette.color(id as u8)),
            value: class.iou.map(|v| 100.0 * v),
            group: group_of(&class.name),
            tip: format!(
                "{}\n{}\n{} labelled pixels",
                class.name,
                told(class.iou),
                thousands(class.pixels.max(0) as u64)
            ),
        })
        .collect();
    bars.sort_by_key(|bar| bar.group);
    let mean = |g: &GroupScore| (title(g), g.iou.map(|v| 100.0 * v));
    Bars {
        label: "IoU of each class".into(),
        axis: percent_axis("IoU (%)", bars.iter().filter_map(|b| b.value)),
        bars,
        groups: groups.iter().map(mean).collect(),
        width: NARROW,
    }
    .draw()
}

/// Bars of the categories.
pub fn category_bars(scores: &Scores) -> Svg {
    let bar = |c: &GroupScore| Bar {
        name: c.name.clone(),
        swatch: None,
        value: c.iou.map(|v| 100.0 * v),
        group: 0,
        tip: format!("{}\n{}\n{}", c.name, told(c.iou), c.classes.join(", ")),
    };
    let bars: Vec<Bar> = scores.categories.iter().map(bar).collect();
    Bars {
        label: "IoU of each category".into(),
        axis: percent_axis("IoU (%)", bars.iter().filter_map(|b| b.value)),
        bars,
        groups: vec![("categories".into(), Some(100.0 * scores.category_miou))],
        width: HALF,
    }
    .draw()
}

//! Class frequencies on a logarithmic axis (the paper's Fig. 2).

use datasets::{ClassStats, Classes, class_weights};

use super::chart::{Axis, Bar, Bars, Scale, Svg};
use crate::{Result, ui::thousands};

/// A share in percent with two significant digits, however small.
fn share(v: f64) -> String {
    let decimals = (1.0 - v.log10().floor()).clamp(0.0, 6.0);
    if v > 0.0 { format!("{v:.*} %", decimals as usize) } else { "0 %".into() }
}

/// Share of each class among the labelled pixels, the most frequent first, coloured by γ group; absent classes last.
///
/// # Errors
/// Where the statistics hold no frequencies.
pub fn class_frequencies(stats: &ClassStats, classes: &Classes) -> Result<Svg> {
    let weights = class_weights(&stats.frequencies())?;
    let mut orders: Vec<u32> = weights.gamma.clone();
    orders.sort_unstable();
    orders.dedup();
    let bar = |i: usize| {
        let percent = 100.0 * weights.frequency[i];
        let (alpha, gamma) = (weights.alpha[i], weights.gamma[i]);
        let pixels = thousands(stats.pixels[i]);
        Bar {
            name: stats.classes[i].clone(),
            swatch: classes.find(&stats.classes[i]).map(|id| classes.color(id as u8)),
            value: (percent > 0.0).then_some(percent),
            group: orders.iter().position(|&o| o == gamma).unwrap_or(0),
            tip: format!(
                "{}\n{} of the labelled pixels ({pixels})\nα {alpha:.4}, γ {gamma}",
                stats.classes[i],
                share(percent)
            ),
        }
    };
    let mut bars: Vec<Bar> = (0..stats.classes.len()).map(bar).collect();
    bars.sort_by(|a, b| b.value.unwrap_or(0.0).total_cmp(&a.value.unwrap_or(0.0)));
    let chart = Bars {
        label: format!("Class frequencies of {}", stats.dataset),
        axis: Axis::new(
            "share of labelled pixels (%)",
            Scale::decades(bars.iter().filter_map(|b| b.value)),
            share,
        ),
        bars,
        groups: orders.iter().map(|g| (format!("γ = {g}"), None)).collect(),
        width: 640.0,
    };
    Ok(chart.draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_comes_first() {
        let stats = ClassStats {
            dataset: "d".into(),
            classes: vec!["Sky".into(), "Road".into(), "Car".into()],
            images: 1,
            pixels: vec![100, 9900, 0],
            ignored: 0,
            images_with: vec![1, 1, 0],
        };
        let text = class_frequencies(&stats, &Classes::camvid()).unwrap().file();
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is not in\n{text}"));
        assert!(at(">Road<") < at(">Sky<") && at(">Sky<") < at(">Car<"));
        assert!(at(">99</text>") > 0 && at(">1.0</text>") > 0 && at(">γ = 1</text>") > 0);
        assert_eq!([share(0.123456), share(31.6), share(0.0)], ["0.12 %", "32 %", "0 %"]);
    }
}

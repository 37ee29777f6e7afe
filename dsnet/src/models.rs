//! All models with their sizes, beside what the paper prints: the parameters of its Table 2 and Table 5.

use nn::Initializer;

use crate::{
    Result,
    model::{self, DsNet, Variant},
    summary::summarize,
    ui::{Align, Table, thousands, wrapped},
};

/// Parameters of the sizes as Table 2 prints them: cut, in units of 10⁵.
pub const TABLE_2: [&str; 4] = ["4.5", "9.1", "13.6", "18.1"];

/// Parameters of a model as the paper prints them, in millions.
fn published(name: &str) -> Option<String> {
    let size = model::sizes().into_iter().zip(TABLE_2).find(|(size, _)| *size == name);
    let size = size.and_then(|(_, tenths)| Some(format!("{:.2}", tenths.parse::<f64>().ok()? / 10.0)));
    let variant = Variant::ALL.into_iter().find(|v| v.model() == name);
    size.or_else(|| variant.map(|v| v.published().parameters.into()))
}

/// A table of all models for `classes` classes, cost at `height` × `width`, and below it how the text is read where sizes
/// differ from the paper's.
///
/// # Errors
/// A size that is no multiple of 8; more classes than there can be.
pub fn listed(classes: usize, height: usize, width: usize, markdown: bool) -> Result<String> {
    let cost = format!("GMAC at {width}×{height}");
    let mut table = Table::new(&[
        ("model", Align::Left),
        ("what differs from dsnet-1.0", Align::Left),
        ("parameters", Align::Right),
        ("paper, millions", Align::Right),
        (&cost, Align::Right),
    ]);
    let mut readings = Vec::new();
    for name in model::names() {
        let config = model::config(name, classes)?;
        let summary = summarize(&DsNet::new(&config, &Initializer::new(0))?, height, width)?;
        let variant = Variant::ALL.into_iter().find(|v| v.model() == name);
        let units = || format!("{} dilated units", config.dilations.len());
        let mut paper = published(name).unwrap_or_default();
        if let Some(reading) = variant.and_then(Variant::reading) {
            paper += "*";
            readings.push(format!("* {name}: {reading}."));
        }
        table.row([
            name.to_owned(),
            variant.map_or_else(units, |v| v.change().to_owned()),
            thousands(summary.parameters as u64),
            paper,
            format!("{:.2}", summary.macs as f64 / 1e9),
        ]);
    }
    let note = "The paper's figures are for 19 classes; those of the four sizes are cut after the second digit, those of the \
                variants rounded.";
    // In Markdown one line, for whoever writes the page to break.
    let paragraph = |text: &str| if markdown { format!("{text}\n") } else { wrapped(text) };
    let text = if markdown { table.markdown() } else { table.to_string() };
    let notes: Vec<String> = readings.into_iter().map(|reading| paragraph(&reading)).collect();
    Ok(format!("{text}\n{}\n{}", paragraph(note), notes.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_stands_beside_the_paper() {
        let text = listed(19, 64, 96, false).unwrap();
        for line in ["dsnet-0.5   6 dilated units", "1,819,260             1.81", "573,140            0.89*"]
        {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(text.contains("* dsnet-enet: every"));
        assert_eq!(listed(19, 64, 96, true).unwrap().matches("| dsnet-").count(), 13);
    }
}

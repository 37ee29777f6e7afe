//! Sample panels (the form of the paper's Fig. 6): input, truth, predictions, and where they are wrong.

use datasets::{Classes, render};

use super::{
    chart::escape,
    strip::{Kind, Strip, palette, short_name},
};
use crate::{
    Result,
    train::{Sample, Samples},
    ui::percent,
};

/// Panels of the samples of one or several models, which must be of the same data: samples that one of them lacks are left
/// out. `names` head the predictions where there are several.
///
/// # Errors
/// Where pictures do not fit together.
pub fn panels(all: &[(&str, &Samples)], classes: &Classes) -> Result<String> {
    let Some(((_, first), others)) = all.split_first() else { return Ok(String::new()) };
    let mut out = palette(classes, &[]);
    for sample in &first.all {
        let same = |s: &&Sample| {
            s.prediction.name == sample.prediction.name && s.prediction.truth == sample.prediction.truth
        };
        let found: Vec<&Sample> =
            others.iter().filter_map(|(_, samples)| samples.all.iter().find(same)).collect();
        if found.len() == others.len() {
            let shown: Vec<&Sample> = std::iter::once(sample).chain(found).collect();
            let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
            out.push_str(&panel(&shown, &names, classes)?);
        }
    }
    Ok(out)
}

fn panel(shown: &[&Sample], names: &[&str], classes: &Classes) -> Result<String> {
    let first = &shown[0].prediction;
    let several = shown.len() > 1;
    let mut pictures = vec![
        ("input".to_owned(), first.image.clone(), Kind::Photo),
        ("truth".to_owned(), render::colorize(&first.truth, classes), Kind::Map),
    ];
    let mut layers = vec![("truth", &first.truth)];
    for (sample, name) in shown.iter().zip(names) {
        let title = if several { *name } else { "prediction" };
        pictures.push((title.into(), render::colorize(&sample.prediction.found, classes), Kind::Map));
        if !several {
            pictures.push(("errors".into(), sample.prediction.error_map()?, Kind::Map));
        }
        layers.push((title, &sample.prediction.found));
    }
    let strip = Strip { pictures, layers, classes }.html("")?;
    let right: Vec<String> = shown.iter().map(|s| percent(s.accuracy)).collect();
    let name = short_name(&first.name);
    let caption = format!("{name}: {} % of labelled pixels right", right.join(" / "));
    Ok(format!("<figure>\n<figcaption>{}</figcaption>\n{strip}</figure>\n", escape(&caption)))
}

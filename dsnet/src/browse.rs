//! A page of training samples as training sees them, so that mistakes in data, labels or augmentation are seen before they
//! cost a run.

use std::collections::BTreeMap;

use datasets::{Augmented, Classes, IGNORE, Loader, Sample, render, resize_labels};

use crate::{
    Result,
    pictures::OPACITY,
    report::{
        chart::escape,
        page::{Page, note},
        strip::{Kind, Strip, fit, palette, short_name},
    },
    ui::{percent, thousands},
};

/// Columns of each picture.
const WIDTH: usize = 400;

/// What a page shows.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The epoch, from 0: each augments anew.
    pub epoch: usize,
    /// Samples to show, in the order in which training meets them.
    pub count: usize,
}

/// What was done to a sample, in words.
fn done(Augmented { geometry, jitter, original, .. }: &Augmented) -> String {
    let (w, h) = geometry.scaled();
    let mut words = Vec::new();
    if (w, h) != *original {
        words.push(format!("scaled to {w}×{h} (×{:.2})", w as f64 / original.0 as f64));
    }
    if geometry.size() != (w, h) {
        let (ow, oh) = geometry.size();
        let (x, y) = geometry.origin();
        words.push(format!("{ow}×{oh} cut out at ({x}, {y})"));
    }
    if geometry.flipped() {
        words.push("mirrored".into());
    }
    if let Some(jitter) = jitter {
        let [b, c, s] = [jitter.brightness, jitter.contrast, jitter.saturation];
        words.push(format!("brightness ×{b:.2}, contrast ×{c:.2}, saturation ×{s:.2}"));
    }
    if words.is_empty() { "unchanged".into() } else { words.join(", ") }
}

/// A sample with its caption.
fn card(sample: &Sample, name: &str, details: &str, classes: &Classes) -> Result<String> {
    let overlay = render::overlay(&sample.image, &sample.labels, classes, OPACITY)?;
    let image = fit(&sample.image, WIDTH)?;
    let labels = resize_labels(&sample.labels, image.width(), image.height())?;
    let pictures = vec![
        ("image".to_owned(), image, Kind::Photo),
        ("labels".to_owned(), render::colorize(&labels, classes), Kind::Map),
        ("both".to_owned(), fit(&overlay, WIDTH)?, Kind::Photo),
    ];
    let strip = Strip { pictures, layers: vec![("label", &sample.labels)], classes }.html("three")?;
    let (name, details) = (escape(name), escape(details));
    Ok(format!("<figure>\n<figcaption>{name}<small>{details}</small></figcaption>\n{strip}</figure>\n"))
}

/// The page as HTML. `tick` is called after each sample.
///
/// # Errors
/// Where a sample can not be read.
pub fn browse(loader: &Loader, choice: Choice, tick: &dyn Fn()) -> Result<String> {
    let data = loader.dataset();
    let classes = data.classes();
    let order = loader.order(choice.epoch);
    let chosen = &order[..choice.count.min(order.len())];
    let mut pixels: BTreeMap<u8, u64> = BTreeMap::new();
    let mut cards = String::new();
    let batch = loader.options().batch;
    for (place, &index) in chosen.iter().enumerate() {
        let augmented = loader.sample(choice.epoch, index)?;
        let sample = &augmented.sample;
        let counts = sample.labels.histogram();
        let total = sample.labels.data().len() as f64;
        for (id, &n) in counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            *pixels.entry(id as u8).or_default() += n;
        }
        let ignored = percent(Some(counts[usize::from(IGNORE)] as f64 / total));
        let details = format!("batch {}: {}; {ignored} % not labelled", place / batch + 1, done(&augmented));
        cards.push_str(&card(sample, &short_name(data.name(index)), &details, classes)?);
        tick();
    }
    let labelled: u64 = pixels.iter().filter(|(id, _)| **id != IGNORE).map(|(_, n)| n).sum();
    let remark = |id: usize| match pixels.get(&(id as u8)) {
        Some(&n) => format!("{:.2} %", 100.0 * n as f64 / labelled.max(1) as f64),
        None => "none here".into(),
    };
    let remarks: Vec<String> = (0..classes.len()).map(remark).collect();
    let lead = format!(
        "the first {} of {} samples of epoch {}, as training with seed {} sees them",
        chosen.len(),
        thousands(data.len() as u64),
        choice.epoch + 1,
        loader.options().seed
    );
    let mut page = Page::new(&data.describe(), &lead);
    page.section(
        "Classes",
        &(note("Share of the labelled pixels shown below.") + &palette(classes, &remarks)),
    );
    page.section("Samples", &format!("<div class=\"cards\">\n{cards}</div>\n"));
    Ok(page.html())
}

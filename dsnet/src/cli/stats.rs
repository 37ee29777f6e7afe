//! `dsnet stats`.

use std::path::Path;

use clap::Args;
use datasets::{ClassStats, Classes, Depth, Split, class_weights};
use serde::{Deserialize, Serialize};

use super::{DataArgs, ThreadArgs, print_json};
use crate::{
    Error, Result,
    data::{self, Source},
    ui::{Align, Table, counted, out, outln, thousands},
};

/// Options of `dsnet stats`.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Where samples come from
    #[arg(long, value_enum, default_value = "synthetic")]
    data: Source,
    /// Which split
    #[arg(long, default_value = "train")]
    split: Split,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: DataArgs,
    #[command(flatten)]
    pub(super) threads: ThreadArgs,
}

/// What `--json` prints.
#[derive(Serialize, Deserialize)]
pub(super) struct StatsFile {
    data: String,
    images: u64,
    ignored_pixels: u64,
    classes: Vec<Row>,
}

/// A row of the table.
#[derive(Serialize, Deserialize)]
struct Row {
    name: String,
    pixels: u64,
    images_with: u64,
    frequency: f64,
    alpha: f64,
    gamma: u32,
}

impl StatsFile {
    /// Reads what `dsnet stats --json` printed, with the labelling scheme whose classes it has.
    ///
    /// # Errors
    /// Where the file can not be read, is something else, or has classes of no scheme known here.
    pub(super) fn read(path: &Path) -> Result<(ClassStats, Classes)> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
        let file: Self = serde_json::from_str(&text).map_err(|e| {
            Error::message(format!("{} is not what `dsnet stats --json` prints: {e}", path.display()))
        })?;
        let names: Vec<&str> = file.classes.iter().map(|row| row.name.as_str()).collect();
        let mut schemes = [Classes::cityscapes(), Classes::camvid()].into_iter();
        let classes = schemes.find(|classes| classes.names() == names).ok_or_else(|| {
            Error::message(format!("{}: its classes are of no dataset known here", path.display()))
        })?;
        let stats = ClassStats {
            dataset: file.data,
            images: file.images,
            ignored: file.ignored_pixels,
            pixels: file.classes.iter().map(|row| row.pixels).collect(),
            images_with: file.classes.iter().map(|row| row.images_with).collect(),
            classes: file.classes.into_iter().map(|row| row.name).collect(),
        };
        Ok((stats, classes))
    }
}

impl StatsArgs {
    pub(super) fn run(self) -> Result<()> {
        let dataset = self.at.spec(self.data)?.open(self.split)?;
        data::look_over(&*dataset, Depth::Headers)?;
        let stats = data::class_stats(&*dataset)?;
        let weights = class_weights(&stats.frequencies())?;
        let rows: Vec<Row> = (0..stats.classes.len())
            .map(|i| Row {
                name: stats.classes[i].clone(),
                pixels: stats.pixels[i],
                images_with: stats.images_with[i],
                frequency: weights.frequency[i],
                alpha: weights.alpha[i],
                gamma: weights.gamma[i],
            })
            .collect();
        if self.json {
            let (data, images, ignored_pixels) = (stats.dataset, stats.images, stats.ignored);
            return print_json(&StatsFile { data, images, ignored_pixels, classes: rows });
        }
        let right = |name| (name, Align::Right);
        let mut table = Table::new(&[
            ("class", Align::Left),
            right("pixels"),
            right("images"),
            right("frequency %"),
            right("α"),
            right("γ"),
        ]);
        for r in &rows {
            table.row([
                r.name.clone(),
                thousands(r.pixels),
                thousands(r.images_with),
                format!("{:.4}", 100.0 * r.frequency),
                format!("{:.4}", r.alpha),
                r.gamma.to_string(),
            ]);
        }
        let images = counted(stats.images as usize, "image");
        outln!("{}: {images}, {} pixels ignored\n", stats.dataset, thousands(stats.ignored))?;
        out!("{table}")?;
        Ok(())
    }
}

//! `dsnet stats`.

use clap::Args;
use datasets::{Depth, Split, class_weights};
use serde::Serialize;

use super::{DataArgs, ThreadArgs, print_json};
use crate::{
    Result,
    data::{self, Source},
    ui::{Align, Table, thousands},
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
    threads: ThreadArgs,
}

/// A row of the table.
#[derive(Serialize)]
struct Row {
    name: String,
    pixels: u64,
    images_with: u64,
    frequency: f64,
    alpha: f64,
    gamma: u32,
}

impl StatsArgs {
    pub(super) fn run(self) -> Result<()> {
        self.threads.apply()?;
        let dataset = self.at.spec(self.data).open(self.split)?;
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
            return print_json(&serde_json::json!({
                "data": stats.dataset,
                "images": stats.images,
                "ignored_pixels": stats.ignored,
                "classes": rows,
            }));
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
        println!("{}: {} images, {} pixels ignored\n", stats.dataset, stats.images, thousands(stats.ignored));
        print!("{table}");
        Ok(())
    }
}

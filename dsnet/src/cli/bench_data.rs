//! `dsnet bench-data`.

use std::path::PathBuf;

use clap::Args;

use super::{browse::quiet, on_threads, print_json};
use crate::{
    Error, Result,
    bench::{self, DataBench, Stage},
    train::TrainOptions,
    ui::{Align, Progress, Table, bytes, counted, out, outln},
};

/// Options of `dsnet bench-data`.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    mut_args(quiet),
    after_help = "\
Takes all options of `train`: write bench-data in place of train to see what loading costs that training.

  dsnet bench-data --config configs/cityscapes-2-train.toml --root path/to/cityscapes --loaders 1,2,4
  dsnet bench-data --config configs/cityscapes-2-train.toml --root path/to/cityscapes --cache kept --need 80"
)]
pub struct BenchDataArgs {
    #[command(flatten)]
    options: TrainOptions,
    /// File with options, as TOML; flags override it
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    config: Option<PathBuf>,
    /// Samples to load
    #[arg(long, value_name = "N", default_value_t = 48, help_heading = "Measurement")]
    count: usize,
    /// Numbers of loading threads to try
    #[arg(
        long,
        value_name = "N,N",
        value_delimiter = ',',
        default_value = "1,2",
        help_heading = "Measurement"
    )]
    loaders: Vec<usize>,
    /// Samples per second that training takes: says how many loading threads that wants
    #[arg(long, value_name = "X", help_heading = "Measurement")]
    need: Option<f64>,
    /// Print JSON
    #[arg(long, help_heading = "Measurement")]
    json: bool,
}

impl BenchDataArgs {
    pub(super) fn run(self) -> Result<()> {
        if self.count == 0
            || self.loaders.contains(&0)
            || self.need.is_some_and(|n| !(n > 0.0 && n.is_finite()))
        {
            return Err(Error::usage("count, loaders and need must be above 0"));
        }
        let file = self.config.as_deref().map(TrainOptions::read).transpose()?.unwrap_or_default();
        let options = self.options.or(file);
        let config = options.resolve()?;
        let progress = Progress::new("loading", "samples", self.count as u64);
        let tick = || progress.add(1);
        let found = on_threads(options.threads, || bench::data(&config, self.count, &self.loaders, &tick))?;
        progress.finish();
        if self.json {
            return print_json(&found);
        }
        show(&found, self.need)
    }
}

fn show(found: &DataBench, need: Option<f64>) -> Result<()> {
    let (width, height) = found.size;
    outln!(
        "{}: {} of {width}×{height}, {} of files and {} of batch each\n",
        found.data,
        counted(found.samples, "sample"),
        bytes(found.file_bytes),
        bytes(found.batch_bytes)
    )?;
    out!("{}", table(&found.stages))?;
    if let Some(cached) = &found.cached {
        let (size, left_out) = found.cache.unwrap_or_default();
        out!("\nfrom the cache, {} so far", bytes(size))?;
        outln!("{}\n", if left_out > 0 { ", which is full" } else { "" })?;
        out!("{}", table(cached))?;
    }
    outln!("")?;
    for delivery in &found.delivery {
        let one = if delivery.workers == 1 { "thread delivers" } else { "threads deliver" };
        outln!("{} loading {one} {:.1} samples/s", delivery.workers, delivery.samples_per_second)?;
    }
    let rate = found.per_core();
    if let Some(stage) = found.bottleneck() {
        let share = 100.0 * stage.ms / bench::total(found.counting());
        outln!(
            "\nthe bottleneck is {}: {share:.0} % of the time; a core delivers {rate:.1} samples/s",
            name(stage)
        )?;
    }
    if let Some(need) = need {
        outln!("for {need} samples/s, --workers {} with a core each", (need / rate).ceil())?;
    }
    Ok(())
}

fn name(stage: &Stage) -> String {
    if stage.name == "from the cache" { "reading the cache".into() } else { format!("\"{}\"", stage.name) }
}

fn table(stages: &[Stage]) -> Table {
    let columns = [
        ("stage", Align::Left),
        ("ms/sample", Align::Right),
        ("share", Align::Right),
        ("samples/s a core", Align::Right),
    ];
    let mut table = Table::new(&columns);
    let all = bench::total(stages);
    let row = |name: &str, ms: f64| {
        [
            name.to_owned(),
            format!("{ms:.2}"),
            format!("{:.0} %", 100.0 * ms / all),
            format!("{:.1}", 1e3 / ms),
        ]
    };
    stages.iter().for_each(|stage| table.row(row(&stage.name, stage.ms)));
    table.row(row("all", all));
    table
}

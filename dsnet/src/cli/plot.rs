//! `dsnet plot`: the paper's figures from one's own data.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use datasets::{Depth, Split};
use nn::checkpoint::write_atomically;

use super::{DataArgs, ThreadArgs, on_threads, stats::StatsFile};
use crate::{
    Error, Result,
    data::{self, Source},
    infer::Predictor,
    pictures::{Prediction, spread},
    report::{self, Record, chart::Svg},
    train::RunFolder,
    ui::{Progress, out, outln},
    weights,
};

/// Options of `dsnet plot`.
#[derive(Debug, Args)]
pub struct PlotArgs {
    #[command(subcommand)]
    figure: Figure,
}

#[derive(Debug, Subcommand)]
enum Figure {
    /// Class frequencies of a training set on a logarithmic axis, coloured by γ
    Fig2(Fig2),
    /// The slope of the object weighted focal loss, dOWFL/dp, for γ = 0, 1, 2
    Fig4(Fig4),
    /// Validation mIoU of each γ group over the epochs of a run
    Fig5(Fig5),
    /// Panels of input, truth and the predictions of two or more models
    Fig6(Fig6),
}

#[derive(Debug, Args)]
struct Fig2 {
    /// What `dsnet stats --json` printed, instead of counting a dataset
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["data", "split", "root", "labels", "train_images", "val_images", "scene_size"]
    )]
    stats: Option<PathBuf>,
    /// Where samples come from
    #[arg(long, value_enum, default_value = "synthetic")]
    data: Source,
    /// Which split
    #[arg(long, default_value = "train")]
    split: Split,
    #[command(flatten)]
    at: DataArgs,
    /// File to write; - for standard output
    #[arg(long, value_name = "FILE", default_value = "fig2.svg")]
    out: PathBuf,
    #[command(flatten)]
    threads: ThreadArgs,
}

#[derive(Debug, Args)]
struct Fig4 {
    /// File to write; - for standard output
    #[arg(long, value_name = "FILE", default_value = "fig4.svg")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct Fig5 {
    /// Folder of a run [default: the newest below runs/]
    #[arg(value_name = "RUN")]
    run: Option<PathBuf>,
    /// File to write; - for standard output
    #[arg(long, value_name = "FILE", default_value = "fig5.svg")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct Fig6 {
    /// Checkpoints of trained models, one column each
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    weights: Vec<PathBuf>,
    /// Heads of these columns [default: the models' names]
    #[arg(long, num_args = 1.., value_name = "NAME")]
    names: Vec<String>,
    /// Where samples come from [default: what the first model was trained on]
    #[arg(long, value_enum)]
    data: Option<Source>,
    /// Which split
    #[arg(long, default_value = "val")]
    split: Split,
    /// Number of samples, spread over the split
    #[arg(long, value_name = "N", default_value_t = 4)]
    count: usize,
    /// These samples of the split instead, numbered from 0
    #[arg(long, num_args = 1.., value_name = "N", conflicts_with = "count")]
    samples: Vec<usize>,
    #[command(flatten)]
    at: DataArgs,
    /// File to write; - for standard output
    #[arg(long, value_name = "FILE", default_value = "fig6.svg")]
    out: PathBuf,
    #[command(flatten)]
    threads: ThreadArgs,
}

fn write(svg: &Svg, out: &Path) -> Result<()> {
    if out == Path::new("-") {
        out!("{}", svg.file())?;
    } else {
        write_atomically(out, svg.file().as_bytes())?;
        outln!("{}", out.display())?;
    }
    Ok(())
}

impl PlotArgs {
    pub(super) fn run(self) -> Result<()> {
        match self.figure {
            Figure::Fig2(args) => on_threads(args.threads.threads, || args.run()),
            Figure::Fig4(args) => write(&report::loss_gradient(), &args.out),
            Figure::Fig5(args) => args.run(),
            Figure::Fig6(args) => on_threads(args.threads.threads, || args.run()),
        }
    }
}

impl Fig2 {
    fn run(self) -> Result<()> {
        let (stats, classes) = if let Some(path) = &self.stats {
            StatsFile::read(path)?
        } else {
            let spec = self.at.spec(self.data)?;
            let dataset = spec.open(self.split)?;
            data::look_over(&*dataset, Depth::Headers)?;
            (data::class_stats(&*dataset)?, spec.classes())
        };
        write(&report::class_frequencies(&stats, &classes)?, &self.out)
    }
}

impl Fig5 {
    fn run(self) -> Result<()> {
        let (folder, _) = RunFolder::reopen(self.run.as_deref())?;
        let record = Record::read(&folder)?;
        if record.best().is_none() {
            let name = folder.path().display();
            return Err(Error::message(format!("{name} was not evaluated yet: there is nothing to draw")));
        }
        write(&report::groups(&record), &self.out)
    }
}

impl Fig6 {
    fn run(self) -> Result<()> {
        if !self.names.is_empty() && self.names.len() != self.weights.len() {
            let (n, m) = (self.names.len(), self.weights.len());
            return Err(Error::usage(format!("{n} names are given for {m} weights")));
        }
        if self.count == 0 {
            return Err(Error::usage("count must be at least 1"));
        }
        let models: Vec<_> = self.weights.iter().map(|path| weights::load(path)).collect::<Result<_>>()?;
        let spec = self.at.spec(self.data.unwrap_or(models[0].info.data))?;
        let dataset = spec.open(self.split)?;
        for (model, path) in models.iter().zip(&self.weights) {
            model.info.check_classes(dataset.classes(), path, &dataset.describe())?;
        }
        let chosen: Vec<usize> = if self.samples.is_empty() {
            spread(dataset.len(), self.count).collect()
        } else {
            self.samples.clone()
        };
        if let Some(beyond) = chosen.iter().find(|&&i| i >= dataset.len()) {
            let (what, len) = (dataset.describe(), dataset.len());
            return Err(Error::usage(format!("there is no sample {beyond}: {what} has {len}, from 0 on")));
        }
        let progress = Progress::new("predicting", "images", (chosen.len() * models.len()) as u64);
        let predictors: Vec<_> =
            models.iter().map(|m| (Predictor::new(&m.net), m.info.normalization())).collect();
        let mut rows = Vec::new();
        for index in chosen {
            let mut row = Vec::new();
            for (predictor, normalization) in &predictors {
                row.push(Prediction::new(predictor, &*dataset, normalization, index)?);
                progress.add(1);
            }
            rows.push(row);
        }
        progress.finish();
        let mut names = self.names;
        if names.is_empty() {
            names = models.iter().map(|m| m.info.model.clone()).collect();
        }
        write(&report::contrast(&rows, &names, dataset.classes())?, &self.out)
    }
}

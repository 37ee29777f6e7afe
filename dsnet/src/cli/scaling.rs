//! `dsnet scaling`.

use clap::Args;
use serde::Serialize;

use super::{ThreadArgs, print_json};
use crate::{
    Error, Result, bench,
    device::{self, Precision},
    scaling::{Link, Rank, Step, Work, estimated, step},
    train::Size,
    ui::{Align, Progress, Table, bytes, counted, duration, out, outln, wrapped},
};

/// Options of `dsnet scaling`.
#[derive(Debug, Args)]
#[command(after_help = "\
A simulation. What is not given is measured here: the step of one rank, and the link between two ranks of one process.

  dsnet scaling
  dsnet scaling --sample-ms 12 --bandwidth 150 --latency 20 --loader 12 --cores 8 --ranks 1,4,64
  dsnet scaling --flops 30 --memory-bandwidth 1.5 --efficiency 0.3 --bandwidth 20 --latency 30")]
pub struct ScalingArgs {
    /// Which model
    #[arg(long, value_name = "NAME", default_value = "dsnet-1.0")]
    model: String,
    /// Number of classes
    #[arg(long, value_name = "N", default_value_t = 19)]
    classes: usize,
    /// Size of the samples
    #[arg(long, value_name = "HxW", default_value = "800x800")]
    size: Size,
    /// Samples of a rank in each step
    #[arg(long, value_name = "N", default_value_t = 4)]
    batch: usize,
    /// Numbers of ranks
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,2,4,8,16,32,64")]
    ranks: Vec<usize>,
    /// Samples of an epoch: 2975 × 8 patches of Cityscapes
    #[arg(long, value_name = "N", default_value_t = 23_800)]
    samples: usize,
    /// Where a step is measured: cpu, cuda, or cuda:N for the N-th GPU
    #[arg(long, value_name = "NAME", default_value = "cpu", help_heading = "A rank")]
    device: String,
    /// Milliseconds of forward and backward for one sample [default: measured]
    #[arg(long, value_name = "MS", help_heading = "A rank", conflicts_with = "flops")]
    sample_ms: Option<f64>,
    /// Estimate that from a device's 10¹² operations per second instead
    #[arg(long, value_name = "TERA", help_heading = "A rank", requires = "memory_bandwidth")]
    flops: Option<f64>,
    /// With --flops: its memory's TB/s
    #[arg(long, value_name = "TB/S", help_heading = "A rank", requires = "flops")]
    memory_bandwidth: Option<f64>,
    /// With --flops: the share of both that is reached [default: 0.3]
    #[arg(long, value_name = "X", help_heading = "A rank", requires = "flops")]
    efficiency: Option<f64>,
    /// Milliseconds of a step that do not depend on the batch
    #[arg(long, value_name = "MS", default_value_t = 1.0, help_heading = "A rank")]
    step_ms: f64,
    /// Samples per second that a core loads, as `dsnet bench-data` measures [default: loading is not looked at]
    #[arg(long, value_name = "X", help_heading = "A rank")]
    loader: Option<f64>,
    /// Cores that load for each rank
    #[arg(long, value_name = "N", default_value_t = 8, help_heading = "A rank")]
    cores: usize,
    /// GB/s between ranks, each way [default: measured]
    #[arg(long, value_name = "GB/S", help_heading = "Between ranks")]
    bandwidth: Option<f64>,
    /// Microseconds of a message [default: measured]
    #[arg(long, value_name = "US", help_heading = "Between ranks")]
    latency: Option<f64>,
    /// Print Markdown
    #[arg(long)]
    markdown: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    #[command(flatten)]
    pub(super) threads: ThreadArgs,
}

/// The share of a device's peaks that is reached when nothing is said.
const EFFICIENCY: f64 = 0.3;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    work: Work,
    link: Link,
    rank: Rank,
    steps: Vec<Step>,
}

impl ScalingArgs {
    pub(super) fn run(self) -> Result<()> {
        for (name, value) in [
            ("sample-ms", self.sample_ms),
            ("flops", self.flops),
            ("memory-bandwidth", self.memory_bandwidth),
            ("efficiency", self.efficiency),
            ("step-ms", Some(self.step_ms)),
            ("loader", self.loader),
            ("bandwidth", self.bandwidth),
            ("latency", self.latency),
        ] {
            if value.is_some_and(|v| !(v > 0.0 && v.is_finite())) {
                return Err(Error::usage(format!("{name} must be above 0")));
            }
        }
        let most = [self.batch, self.cores, self.samples].into_iter().chain(self.ranks.iter().copied());
        if most.clone().any(|n| n == 0 || n > 1 << 30) {
            return Err(Error::usage("batch, cores, samples and ranks must be at least 1, and at most 2³⁰"));
        }
        let work = Work::of(&self.model, self.classes)?;
        let (sample_seconds, source) = self.sample_seconds()?;
        let link = match (self.bandwidth, self.latency) {
            (Some(bandwidth), Some(latency)) => Link { bandwidth: bandwidth * 1e9, latency: latency * 1e-6 },
            (bandwidth, latency) => {
                let here = Link::measured()?;
                Link {
                    bandwidth: bandwidth.map_or(here.bandwidth, |b| b * 1e9),
                    latency: latency.map_or(here.latency, |l| l * 1e-6),
                }
            }
        };
        let loader = self.loader.map_or(f64::INFINITY, |rate| rate * self.cores as f64);
        let rank = Rank { batch: self.batch, sample_seconds, step_seconds: self.step_ms * 1e-3, loader };
        let steps: Vec<Step> = self.ranks.iter().map(|&ranks| step(&work, rank, link, ranks)).collect();
        if self.json {
            return print_json(&Report { work, link, rank, steps });
        }
        let table = self.table(&steps, &step(&work, rank, link, 1));
        let note = format!(
            "{}, {} of {} a rank, {:.1} ms each ({source}); {} of gradients in {}, {}; between \
             ranks {:.2} GB/s, {:.0} µs; {}.",
            self.model,
            counted(self.batch, "sample"),
            self.size,
            1e3 * sample_seconds,
            bytes(work.gradient_bytes() as u64),
            counted(work.buckets.len(), "bucket"),
            counted(work.norms.len(), "normalisation"),
            link.bandwidth / 1e9,
            link.latency * 1e6,
            match self.loader {
                Some(rate) if self.cores == 1 => format!("a core loads {rate} samples/s for a rank"),
                Some(rate) => format!("{} cores load {rate} samples/s each for a rank", self.cores),
                None => "loading is not looked at".into(),
            }
        );
        if self.markdown {
            outln!("{}\n{note}", table.markdown())?;
        } else {
            out!("{table}\n{}", wrapped(&note))?;
        }
        Ok(())
    }

    /// Seconds of a sample, and where that is from.
    fn sample_seconds(&self) -> Result<(f64, &'static str)> {
        if let Some(ms) = self.sample_ms {
            return Ok((ms * 1e-3, "given"));
        }
        if let (Some(flops), Some(memory)) = (self.flops, self.memory_bandwidth) {
            let (flops, memory) = (flops * 1e12, memory * 1e12);
            let efficiency = self.efficiency.unwrap_or(EFFICIENCY);
            let seconds = estimated(&self.model, self.classes, self.size, flops, memory, efficiency)?;
            return Ok((seconds, "estimated"));
        }
        const ITERS: usize = 5;
        let progress = Progress::new("measuring a step", "runs", ITERS as u64);
        let tick = || progress.add(1);
        let found = bench::training(
            &self.model,
            self.classes,
            self.size,
            self.batch,
            ITERS,
            Precision::F32,
            &device::open_for_training(&self.device, Precision::F32)?,
            &tick,
        )?;
        progress.finish();
        // The fastest: what other programs do only adds to it.
        Ok(((found.timing.min_ms * 1e-3 / self.batch as f64).max(1e-9), "measured here"))
    }

    fn table(&self, steps: &[Step], one: &Step) -> Table {
        let mut table = Table::new(
            &[
                "ranks",
                "compute ms",
                "messages ms",
                "gradients ms",
                "data ms",
                "step ms",
                "samples/s",
                "of each rank",
                "efficiency",
                "epoch",
                "bound by",
            ]
            .map(|name| (name, Align::Right)),
        );
        let rate = |s: &Step| (s.ranks * self.batch) as f64 / s.seconds();
        // Of what as many ranks would do, each alone and with all data at hand.
        let alone = self.batch as f64 / one.compute;
        for s in steps {
            let ms = |seconds: f64| format!("{:.1}", 1e3 * seconds);
            table.row([
                s.ranks.to_string(),
                ms(s.compute),
                ms(s.messages),
                ms(s.gradients),
                ms(s.data),
                ms(s.seconds()),
                format!("{:.1}", rate(s)),
                format!("{:.1}", rate(s) / s.ranks as f64),
                format!("{:.0} %", 100.0 * rate(s) / (s.ranks as f64 * alone)),
                duration(self.samples as f64 / rate(s)),
                s.bound().to_owned(),
            ]);
        }
        table
    }
}

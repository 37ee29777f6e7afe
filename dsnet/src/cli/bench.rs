//! `dsnet bench`.

use std::str::FromStr;

use clap::Args;

use super::{ThreadArgs, print_json};
use crate::{
    Error, Result,
    bench::{self, Way},
    compile::Wanted,
    device::DeviceArgs,
    train::{Size, size_pair},
    ui::{Align, Progress, Table, bytes, counted, out, outln, thousands},
};

/// Options of `dsnet bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Latency is that of the forward pass alone, over noise, from 8-bit pictures (with --eager, from normalised ones). The paper \
prints the mean of 10 × 100 images at 640x360: --iters 1000.")]
pub struct BenchArgs {
    /// Models to measure
    #[arg(long, value_name = "NAME", num_args = 1.., default_value = "dsnet-1.0")]
    model: Vec<String>,
    /// Sizes to measure, width first [default: 640x360; 480x360 with --train]
    #[arg(long, value_name = "WxH", num_args = 1..)]
    size: Vec<WidthFirst>,
    /// Images per run [default: 1; 4 with --train]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Number of classes [default: 19; 11 with --train]
    #[arg(long, value_name = "N")]
    classes: Option<usize>,
    /// Runs to measure [default: 50; 10 with --train]
    #[arg(long, value_name = "N")]
    iters: Option<usize>,
    /// Measure a training step (forward, OWFL + SEL, backward, Adam) instead of inference
    #[arg(long)]
    train: bool,
    /// Tell the best class of each pixel and not the logits of all classes
    #[arg(long, conflicts_with = "train")]
    labels: bool,
    /// Run operation by operation, without compiling
    #[arg(long, conflicts_with_all = ["train", "labels"])]
    eager: bool,
    /// Show the time of each step of the compiled model; with --train, that of each operation
    #[arg(long, conflicts_with = "eager")]
    layers: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    pub(super) threads: ThreadArgs,
}

/// A size as screens are named: `640x360`.
#[derive(Debug, Clone, Copy)]
struct WidthFirst(Size);

impl FromStr for WidthFirst {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = size_pair(text).map(|(width, height)| Self(Size { height, width }));
        size.ok_or_else(|| format!("\"{text}\" is no size; write width x height, as 640x360"))
    }
}

impl BenchArgs {
    pub(super) fn run(self) -> Result<()> {
        let (sizes, batch, classes, iters) =
            if self.train { ((360, 480), 4, 11, 10) } else { ((360, 640), 1, 19, 50) };
        let default = Size { height: sizes.0, width: sizes.1 };
        let sizes: Vec<Size> =
            if self.size.is_empty() { vec![default] } else { self.size.iter().map(|s| s.0).collect() };
        let batch = self.batch.unwrap_or(batch);
        let classes = self.classes.unwrap_or(classes);
        let iters = self.iters.unwrap_or(iters);
        if [batch, classes, iters].contains(&0) {
            return Err(Error::usage("batch, classes and iters must be at least 1"));
        }
        let device =
            if self.train || self.eager { self.device.open_for_training()? } else { self.device.open()? };
        let precision = self.device.precision();
        let runs: Vec<(&String, Size)> =
            self.model.iter().flat_map(|m| sizes.iter().map(move |&s| (m, s))).collect();
        let progress = Progress::new("measuring", "runs", (runs.len() * iters) as u64);
        let tick = || progress.add(1);
        if self.train && self.layers {
            let all: Vec<_> = runs
                .into_iter()
                .map(|(model, size)| {
                    bench::operations(model, classes, size, batch, iters, precision, &device, &tick)
                })
                .collect::<Result<_>>()?;
            progress.finish();
            if self.json { print_json(&all) } else { show_operations(&all) }
        } else if self.train {
            let all: Vec<_> = runs
                .into_iter()
                .map(|(model, size)| {
                    bench::training(model, classes, size, batch, iters, precision, &device, &tick)
                })
                .collect::<Result<_>>()?;
            progress.finish();
            if self.json { print_json(&all) } else { show_training(&all) }
        } else if self.layers {
            let all: Vec<_> = runs
                .into_iter()
                .map(|(model, size)| {
                    bench::layers(
                        model,
                        classes,
                        size,
                        batch,
                        iters,
                        self.wanted(),
                        precision,
                        &device,
                        &tick,
                    )
                })
                .collect::<Result<_>>()?;
            progress.finish();
            if self.json { print_json(&all) } else { show_layers(&all) }
        } else {
            let way = if self.eager { Way::Eager(precision) } else { Way::Plan(self.wanted(), precision) };
            let all: Vec<_> = runs
                .into_iter()
                .map(|(model, size)| {
                    bench::inference(model, classes, size, batch, iters, way, &device, &tick)
                })
                .collect::<Result<_>>()?;
            progress.finish();
            if self.json { print_json(&all) } else { show_inference(&all) }
        }
    }
}

impl BenchArgs {
    fn wanted(&self) -> Wanted {
        if self.labels { Wanted::Labels } else { Wanted::Logits }
    }
}

fn show_layers(all: &[bench::Layers]) -> Result<()> {
    for r in all {
        let mut table = Table::new(&[
            ("module", Align::Left),
            ("step", Align::Left),
            ("ms", Align::Right),
            ("GFLOP/s", Align::Right),
            ("floor ms", Align::Right),
            ("floor/time", Align::Right),
        ]);
        let row = |name: &str, step: &str, ms: f64, flops: u64, floor: f64| {
            let rate = if flops > 0 { format!("{:.0}", flops as f64 / ms / 1e6) } else { String::new() };
            let (name, step) = (name.to_owned(), step.to_owned());
            [
                name,
                step,
                format!("{ms:.3}"),
                rate,
                format!("{floor:.3}"),
                format!("{:.0} %", 100.0 * floor / ms),
            ]
        };
        for l in &r.layers {
            table.row(row(&l.path, &l.step, l.ms, l.flops, l.floor_ms));
        }
        let total = |f: fn(&bench::LayerTime) -> f64| r.layers.iter().map(f).sum::<f64>();
        let flops = r.layers.iter().map(|l| l.flops).sum();
        table.row(row("all", "", total(|l| l.ms), flops, total(|l| l.floor_ms)));
        out!("{table}")?;
        outln!(
            "\n{}, {:.0} GFLOP/s a core by {}, copies {:.1} GB/s; values take {} ({} without a plan)\n\
             a floor is that of the plain sum: Winograd's 3x3 convolutions need 4/9 of its products",
            counted(r.threads, "thread"),
            r.core_gflops,
            r.kernels,
            r.copy_gbytes,
            bytes(r.planned_bytes as u64),
            bytes(r.naive_bytes as u64)
        )?;
    }
    Ok(())
}

/// Rows of single operations that a reader will look at.
const COSTLIEST: usize = 40;

fn show_operations(all: &[bench::Operations]) -> Result<()> {
    for r in all {
        for rows in [&r.totals[..], &r.operations[..r.operations.len().min(COSTLIEST)]] {
            let mut columns = vec![("operation", Align::Left)];
            columns.extend(["uses", "ms", "share", "GFLOP/s", "GB/s"].map(|name| (name, Align::Right)));
            columns.push(("operands", Align::Left));
            let mut table = Table::new(&columns);
            for row in rows {
                let rate = |n: u64| format!("{:.0}", n as f64 / row.ms / 1e6);
                table.row([
                    row.op.clone(),
                    row.calls.to_string(),
                    format!("{:.2}", row.ms),
                    format!("{:.1} %", 100.0 * row.ms / r.step_ms),
                    rate(row.flops),
                    rate(row.bytes),
                    row.operands.clone(),
                ]);
            }
            outln!("{table}")?;
        }
        let all: f64 = r.totals.iter().map(|row| row.ms).sum();
        let (iters, threads, step) = (counted(r.iters, "step"), counted(r.threads, "thread"), r.step_ms);
        outln!(
            "{iters} of {step:.1} ms, {all:.1} of them in operations, {threads}, {}, {}",
            r.device,
            r.precision
        )?;
    }
    Ok(())
}

const TIMES: [(&str, Align); 4] = [
    ("min ms", Align::Right),
    ("median ms", Align::Right),
    ("mean ms", Align::Right),
    ("p99 ms", Align::Right),
];

fn times(t: &bench::Timing) -> [String; 4] {
    [t.min_ms, t.median_ms, t.mean_ms, t.p99_ms].map(|v| format!("{v:.1}"))
}

fn size(width: usize, height: usize, batch: usize) -> String {
    if batch == 1 { format!("{width}x{height}") } else { format!("{batch} × {width}x{height}") }
}

fn show_inference(all: &[bench::Inference]) -> Result<()> {
    let mut columns = vec![("model", Align::Left), ("input", Align::Right)];
    columns.extend(TIMES);
    columns.extend(["FPS", "parameters", "GMAC", "GMAC/s"].map(|name| (name, Align::Right)));
    let mut table = Table::new(&columns);
    for r in all {
        let mut row = vec![r.model.clone(), size(r.width, r.height, r.batch)];
        row.extend(times(&r.timing));
        row.push(format!("{:.1}", r.fps));
        row.push(thousands(r.parameters as u64));
        row.push(format!("{:.3}", r.macs as f64 / 1e9));
        row.push(format!("{:.1}", r.gmacs_per_second));
        table.row(row);
    }
    out!("{table}")?;
    footer(all.first().map(|r| (r.timing.iters, r.threads, &*r.device)))
}

fn show_training(all: &[bench::TrainingStep]) -> Result<()> {
    let mut columns = vec![("training step of", Align::Left), ("input", Align::Right)];
    columns.extend(TIMES);
    columns.extend(["images/s", "peak tensors", "peak process"].map(|name| (name, Align::Right)));
    let mut table = Table::new(&columns);
    for r in all {
        let mut row = vec![r.model.clone(), size(r.width, r.height, r.batch)];
        row.extend(times(&r.timing));
        row.push(format!("{:.2}", r.images_per_second));
        row.push(bytes(r.memory.peak_tensor_bytes as u64));
        row.push(r.memory.peak_process_bytes.map_or("?".into(), |b| bytes(b as u64)));
        table.row(row);
    }
    out!("{table}")?;
    footer(all.first().map(|r| (r.timing.iters, r.threads, &*r.device)))
}

fn footer(first: Option<(usize, usize, &str)>) -> Result<()> {
    if let Some((iters, threads, device)) = first {
        outln!("\n{}, {}, {device}", counted(iters, "run"), counted(threads, "thread"))?;
    }
    Ok(())
}

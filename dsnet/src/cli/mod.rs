//! The command line: what can be asked, and who answers.

mod adjust;
mod bench;
mod bench_data;
mod browse;
mod compare;
mod doctor;
mod draw;
mod eval;
mod plot;
mod predict;
mod report;
mod reproduce;
mod scaling;
mod stats;
mod summary;
mod train;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::{
    Error, Result,
    ui::{errln, outln},
};

/// Real-time driving-scene segmentation with DSNet, from training to benchmark
#[derive(Debug, Parser)]
#[command(name = "dsnet", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a model; without options on drawn street scenes, in about three minutes
    Train(Box<train::TrainArgs>),
    /// Score a trained model on a split: IoU of classes, groups and categories
    Eval(eval::EvalArgs),
    /// Take the weights of classes, which favour rare ones, out of a trained model
    Adjust(adjust::AdjustArgs),
    /// Segment pictures from files and folders
    Predict(predict::PredictArgs),
    /// Write the report of a run, finished or not: curves, scores, samples, time, as one HTML file
    Report(report::ReportArgs),
    /// Put several runs into one report
    Compare(compare::CompareArgs),
    /// Draw the paper's figures as SVG: class frequencies, loss slope, curves, panels
    Plot(Box<plot::PlotArgs>),
    /// Show training samples with their labels, augmented as training sees them, as one HTML file
    Browse(Box<browse::BrowseArgs>),
    /// Make a table of the paper again: train and measure its rows, print ours beside the paper's
    Reproduce(Box<reproduce::ReproduceArgs>),
    /// Write drawn street scenes to disk in the layout of Cityscapes, to rehearse on
    Draw(draw::DrawArgs),
    /// Measure time and memory of inference, or of a training step
    Bench(bench::BenchArgs),
    /// Measure loading: which of reading, decoding, augmenting and collating takes how long
    BenchData(Box<bench_data::BenchDataArgs>),
    /// Simulate training steps on more ranks, from measured compute, bytes and bandwidths
    Scaling(scaling::ScalingArgs),
    /// List a model's layers with shapes, parameters and cost
    Summary(summary::SummaryArgs),
    /// Show class frequencies of a training set, and the α and γ that the loss takes from them
    Stats(stats::StatsArgs),
    /// Show what this machine offers: processor, memory, CUDA
    Doctor(doctor::DoctorArgs),
}

/// Where the data of a command lies.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data")]
struct DataArgs {
    /// Folder of the dataset (camvid, cityscapes)
    #[arg(long, value_name = "DIR")]
    root: Option<std::path::PathBuf>,
    /// Which Cityscapes labels [default: fine]
    #[arg(long, value_enum)]
    labels: Option<crate::data::Labels>,
    /// Number of synthetic training scenes [default: 600]
    #[arg(long, value_name = "N")]
    train_images: Option<usize>,
    /// Number of synthetic validation (and test) scenes [default: 100]
    #[arg(long, value_name = "N")]
    val_images: Option<usize>,
    /// Size of synthetic scenes [default: 128x256]
    #[arg(long, value_name = "HxW")]
    scene_size: Option<crate::train::Size>,
}

impl DataArgs {
    /// The data that they name; an option of other data than `source` is an error.
    fn spec(&self, source: crate::data::Source) -> Result<crate::data::DataSpec> {
        crate::data::DataGiven {
            root: self.root.clone(),
            labels: self.labels,
            train_images: self.train_images,
            val_images: self.val_images,
            scene_size: self.scene_size,
        }
        .spec(source)
    }
}

/// Bytes of a main thread's stack, usually.
const MAIN_STACK: usize = 8 << 20;

/// How many threads compute.
#[derive(Debug, Clone, Args)]
struct ThreadArgs {
    /// Threads that compute [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Runs a command on threads of its own: `threads` of them, or one for each core.
fn on_threads<T: Send>(threads: Option<usize>, command: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if threads == Some(0) {
        return Err(Error::usage("threads must be at least 1"));
    }
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let count = threads.unwrap_or_else(cores);
    let pool = || rayon::ThreadPoolBuilder::new().num_threads(count);
    let failed = |e| Error::message(format!("the threads can not be started: {e}"));
    // The pool of threads that load ahead: they would starve in that of the command, which has no end.
    pool().build_global().map_err(failed)?;
    // One of these threads goes through the command itself. The main thread would sleep through each loop of an operation and
    // be woken after it: about a tenth of a training step.
    let pool = pool().thread_name(|i| format!("dsnet-{i}")).stack_size(MAIN_STACK).build().map_err(failed)?;
    pool.install(command)
}

/// Prints a value as JSON on standard output.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    outln!("{}", to_json(value)?)?;
    Ok(())
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|e| Error::message(format!("no JSON of this: {e}")))
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Train(args) => args.run(),
        Command::Eval(args) => on_threads(args.threads.threads, || args.run()),
        Command::Adjust(args) => on_threads(args.threads.threads, || args.run()),
        Command::Predict(args) => on_threads(args.threads.threads, || args.run()),
        Command::Report(args) => on_threads(args.threads.threads, || args.run()),
        Command::Compare(args) => args.run(),
        Command::Plot(args) => args.run(),
        Command::Browse(args) => args.run(),
        Command::Reproduce(args) => args.run(),
        Command::Draw(args) => on_threads(args.threads.threads, || args.run()),
        Command::Bench(args) => on_threads(args.threads.threads, || args.run()),
        Command::BenchData(args) => args.run(),
        Command::Scaling(args) => on_threads(args.threads.threads, || args.run()),
        Command::Summary(args) => args.run(),
        Command::Stats(args) => on_threads(args.threads.threads, || args.run()),
        Command::Doctor(args) => args.run(),
    }
}

/// Runs the program on the process's arguments. Exit code 0 on success, 2 for wrong usage, 130 or 143 where a signal
/// asked it to stop, 1 for other errors.
pub fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let head = if matches!(error, Error::Stopped { .. }) { "" } else { "error: " };
            errln!("{head}{}", error.chain());
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}

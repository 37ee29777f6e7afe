//! `dsnet reproduce`.

use std::path::PathBuf;

use clap::Args;
use nn::checkpoint::write_atomically;

use super::on_threads;
use crate::{
    Error, Result,
    data::Source,
    reproduce::{PaperTable, Request, printed, reproduce},
    train::TrainOptions,
    ui::{outln, wrapped},
};

/// Options of `dsnet reproduce`.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    after_help = "\
Trains and measures what the table needs and prints ours beside the paper's figures; the same as Markdown goes to a \
file in the folder (--out, by default runs/TABLE-DATA, runs/table8 for table 8). Every row \
is a run folder with its report. Stopped or killed, the same command goes on where it was.

On Cityscapes rows are trained as the paper says (120 epochs, batch 8, patches, poly); options of `train` change that for \
all rows. On other data the defaults of `train` hold.

  dsnet reproduce table5 --data cityscapes --root path/to/cityscapes
  dsnet reproduce table6 --data camvid --root path/to/CamVid --epochs 40
  dsnet reproduce table8"
)]
pub struct ReproduceArgs {
    /// Which table of the paper
    #[arg(value_enum)]
    table: PaperTable,
    #[command(flatten)]
    options: TrainOptions,
    /// Rows to make, by name; the others are shown where they are made already [default: all]
    #[arg(long, value_name = "ROW", value_delimiter = ',', help_heading = "Run")]
    only: Vec<String>,
    /// Images that a latency is the mean of
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Run")]
    iters: usize,
    /// File with options of `train`, as TOML; flags override it
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    config: Option<PathBuf>,
}

impl ReproduceArgs {
    pub(super) fn run(self) -> Result<()> {
        if self.iters == 0 {
            return Err(Error::usage("iters must be at least 1"));
        }
        let file = self.config.as_deref().map(TrainOptions::read).transpose()?.unwrap_or_default();
        let mut options = self.options.or(file);
        let data = format!("{:?}", options.data.unwrap_or(Source::Synthetic)).to_lowercase();
        let name = self.table.name();
        let out = options.out.take().unwrap_or_else(|| match self.table {
            PaperTable::Table8 => format!("runs/{name}").into(),
            _ => format!("runs/{name}-{data}").into(),
        });
        let request = Request { table: self.table, options, out, only: self.only, iters: self.iters };
        let rows = on_threads(request.options.threads, || reproduce(&request))?;
        let (table, note) = printed(self.table, &rows, &data);
        std::fs::create_dir_all(&request.out).map_err(|e| Error::io("make the folder", &request.out, e))?;
        let path = request.out.join(format!("{name}.md"));
        write_atomically(&path, format!("{}\n{note}\n", table.markdown()).as_bytes())?;
        outln!("\n{table}\n{}\nas Markdown    {}", wrapped(&note), path.display())?;
        Ok(())
    }
}

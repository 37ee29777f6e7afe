//! `dsnet report`.

use std::path::PathBuf;

use clap::Args;

use super::ThreadArgs;
use crate::{
    Result,
    report::{self, Record},
    train::RunFolder,
    ui::{errln, outln},
};

/// Options of `dsnet report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Folder of a run, finished or not [default: the newest below runs/]
    #[arg(value_name = "RUN")]
    run: Option<PathBuf>,
    #[command(flatten)]
    pub(super) threads: ThreadArgs,
}

impl ReportArgs {
    pub(super) fn run(self) -> Result<()> {
        let (folder, _) = RunFolder::reopen(self.run.as_deref())?;
        let record = Record::read(&folder)?;
        // The report stands without pictures where weights or data are not at hand.
        if let Err(error) = report::sample_again(&record) {
            errln!("the report has no new pictures of samples: {}", error.chain());
        }
        report::write(&record)?;
        outln!("{}", folder.report().display())?;
        Ok(())
    }
}

//! `dsnet compare`.

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use nn::checkpoint::write_atomically;

use crate::{
    Result,
    report::{Record, render_comparison},
    train::{RunFolder, Samples},
    ui::outln,
};

/// Options of `dsnet compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Folders of the runs, finished or not
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// File to write
    #[arg(long, value_name = "FILE", default_value = "compare.html")]
    out: PathBuf,
}

impl CompareArgs {
    pub(super) fn run(self) -> Result<()> {
        let mut records = Vec::new();
        let mut samples = Vec::new();
        for path in &self.runs {
            let record = Record::read(&RunFolder::reopen(Some(path))?.0)?;
            samples.push(Samples::read(&record.folder, &record.config.data.classes())?);
            records.push(record);
        }
        let names: BTreeSet<&String> = records.iter().map(|r| &r.name).collect();
        if names.len() < records.len() {
            // Runs of the same name are told apart by their paths.
            records.iter_mut().zip(&self.runs).for_each(|(r, path)| r.name = path.display().to_string());
        }
        let html = render_comparison(&records.iter().collect::<Vec<_>>(), &samples)?;
        write_atomically(&self.out, html.as_bytes())?;
        outln!("{}", self.out.display())?;
        Ok(())
    }
}

//! Tables of the paper, made again: each row is trained and measured as the paper's text says, and printed beside the figures
//! that the paper prints. A row that is done is not done again, and one that was stopped goes on.

mod print;
mod row;
mod rows;

use std::path::PathBuf;

pub use print::printed;
pub use row::{Latency, Measured};
pub use rows::{Row, rows};

use crate::{Error, Result, train::TrainOptions};

/// A table that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PaperTable {
    /// The four sizes: parameters, accuracy, speed
    Table2,
    /// The nine variants: parameters, accuracy, speed
    Table5,
    /// The four losses: accuracy of the groups of equal γ
    Table6,
    /// Accuracy after all three stages
    Table7,
    /// Latency at three sizes of images
    Table8,
}

impl PaperTable {
    /// Its name in files and commands.
    pub fn name(self) -> &'static str {
        match self {
            PaperTable::Table2 => "table2",
            PaperTable::Table5 => "table5",
            PaperTable::Table6 => "table6",
            PaperTable::Table7 => "table7",
            PaperTable::Table8 => "table8",
        }
    }

    /// Options of `train` that its rows differ in, so that they can not be given.
    fn own(self) -> &'static [&'static str] {
        match self {
            PaperTable::Table2 | PaperTable::Table5 => &["model", "init"],
            PaperTable::Table6 => &["loss", "init"],
            PaperTable::Table7 => &["init", "labels"],
            PaperTable::Table8 => &[],
        }
    }

    /// Fails where an option of `train` is given that its rows differ in, or that it has no use for.
    fn check_given(self, given: &TrainOptions) -> Result<()> {
        let mut names = given.table()?.into_iter().map(|(name, _)| name);
        let (table, trains) = (self.name(), self != PaperTable::Table8);
        if trains && let Some(name) = names.find(|name| self.own().contains(&name.as_str())) {
            return Err(Error::usage(format!(
                "--{name} can not be given for {table}: its rows differ in it"
            )));
        }
        if !trains && let Some(name) = names.find(|name| !MEASURING.contains(&name.as_str())) {
            let takes = MEASURING.map(|name| format!("--{name}")).join(", ");
            return Err(Error::usage(format!(
                "--{name} can not be given for {table}: it trains nothing, and takes {takes} and --iters"
            )));
        }
        Ok(())
    }
}

/// Options of `train` that a measurement of speed depends on.
const MEASURING: [&str; 3] = ["device", "precision", "threads"];

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which table.
    pub table: PaperTable,
    /// Options of `train` that hold for all rows; the folder of the table is no part of them.
    pub options: TrainOptions,
    /// Where rows and table go.
    pub out: PathBuf,
    /// Names of the rows to make; all where empty.
    pub only: Vec<String>,
    /// Runs that a latency is the mean of.
    pub iters: usize,
}

/// Makes the rows that are not there yet; returns all rows, with what is known of each that was made with these settings.
///
/// # Errors
/// Options that the table's rows differ in or that it does not take; a row that does not exist; a row that was made with other
/// settings; whatever ends a training, with the row in which it happened.
pub fn reproduce(request: &Request) -> Result<Vec<(Row, Option<Measured>)>> {
    request.table.check_given(&request.options)?;
    let rows = rows(request)?;
    if let Some(unknown) = request.only.iter().find(|name| rows.iter().all(|row| row.name != **name)) {
        let list: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        let what =
            format!("{} has no row \"{unknown}\"; its rows are {}", request.table.name(), list.join(", "));
        return Err(Error::usage(what));
    }
    let mut all = Vec::new();
    for row in rows {
        let wanted = request.only.is_empty() || request.only.contains(&row.name);
        let measured = if wanted {
            let place =
                format!("in row {} of {}; the same command goes on with it", row.name, request.table.name());
            Some(row::make(&row, request).map_err(|e| e.during(place))?)
        } else {
            row::stored(&row, request)?
        };
        all.push((row, measured));
    }
    Ok(all)
}

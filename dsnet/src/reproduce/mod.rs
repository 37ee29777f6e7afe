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
}

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

/// Makes the rows that are not there yet; returns all rows, with what is known of each.
///
/// # Errors
/// Options that the table's rows differ in; a row that does not exist; a row that was made with other settings; whatever
/// ends a training, with the row in which it happened.
pub fn reproduce(request: &Request) -> Result<Vec<(Row, Option<Measured>)>> {
    let given = request.options.table()?;
    if let Some(name) = request.table.own().iter().find(|name| given.contains_key(**name)) {
        return Err(Error::usage(format!(
            "--{name} can not be given for {}: its rows differ in it",
            request.table.name()
        )));
    }
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
            row::stored(&row, &request.out)?
        };
        all.push((row, measured));
    }
    Ok(all)
}

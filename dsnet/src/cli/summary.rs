//! `dsnet summary`.

use clap::Args;
use nn::Initializer;

use super::print_json;
use crate::{
    Error, Result,
    infer::STRIDE,
    model::{self, DsNet},
    summary::summarize,
    train::Size,
};

/// Options of `dsnet summary`.
#[derive(Debug, Args)]
pub struct SummaryArgs {
    /// Which model
    #[arg(long, value_name = "NAME", default_value = "dsnet-1.0")]
    model: String,
    /// Number of classes
    #[arg(long, value_name = "N", default_value_t = 19)]
    classes: usize,
    /// Size of the image, multiples of 8
    #[arg(long, value_name = "HxW", default_value = "360x640")]
    size: Size,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl SummaryArgs {
    pub(super) fn run(self) -> Result<()> {
        let Size { height, width } = self.size;
        if height % STRIDE != 0 || width % STRIDE != 0 {
            return Err(Error::usage("height and width must be multiples of 8"));
        }
        let net = DsNet::new(&model::config(&self.model, self.classes)?, &Initializer::new(0))?;
        let summary = summarize(&net, height, width)?;
        if self.json {
            return print_json(&summary);
        }
        print!("{} for {} classes\n\n{}", self.model, self.classes, summary.table());
        Ok(())
    }
}

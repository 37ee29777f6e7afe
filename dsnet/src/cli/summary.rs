//! `dsnet summary`.

use clap::Args;
use datasets::Normalization;
use nn::Initializer;

use super::print_json;
use crate::{
    Error, Result,
    compile::{Given, STRIDE, Wanted, optimized, trace},
    device::Precision,
    model::{self, DsNet},
    models,
    summary::summarize,
    train::Size,
    ui::{bytes, out, outln},
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
    /// Show the compiled graph for inference, before and after it is optimised
    #[arg(long, conflicts_with = "json", group = "graph")]
    plan: bool,
    /// With --plan or --dot: the graph as the CPU runs it in bf16
    #[arg(long, requires = "graph")]
    bf16: bool,
    /// Print the optimised graph in the DOT language, for Graphviz
    #[arg(long, conflicts_with_all = ["json", "plan"], group = "graph")]
    dot: bool,
    /// List all models with their sizes beside those that the paper prints
    #[arg(long, conflicts_with_all = ["model", "json", "plan", "dot"])]
    all: bool,
    /// With --all: as Markdown
    #[arg(long, requires = "all")]
    markdown: bool,
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
        if self.all {
            out!("{}", models::listed(self.classes, height, width, self.markdown)?)?;
            return Ok(());
        }
        let net = DsNet::new(&model::config(&self.model, self.classes)?, &Initializer::new(0))?;
        if self.plan || self.dot {
            let dims = [1, 3, height, width];
            let given = Given::Pictures(Normalization::CITYSCAPES);
            let recorded = trace(&net, &dims, given, Wanted::Labels)?;
            let (before, steps, naive) = (recorded.to_string(), recorded.nodes.len(), recorded.naive_bytes());
            let precision = if self.bf16 { Precision::Bf16 } else { Precision::F32 };
            let graph = optimized(&net, &dims, given, Wanted::Labels, precision)?;
            if self.dot {
                out!("{}", graph.dot())?;
                return Ok(());
            }
            let memory = tensor::cpu::device().plan(&graph)?.memory();
            outln!("recorded: {steps} steps, values of {}\n\n{before}", bytes(naive as u64))?;
            outln!(
                "optimised: {} steps, values of {} in an arena of {}\n\n{graph}",
                graph.nodes.len(),
                bytes(memory.naive as u64),
                bytes(memory.planned as u64)
            )?;
            return Ok(());
        }
        let summary = summarize(&net, height, width)?;
        if self.json {
            return print_json(&summary);
        }
        out!("{} for {} classes\n\n{}", self.model, self.classes, summary.table())?;
        Ok(())
    }
}

//! What a model consists of: layers, shapes, parameters, cost — read from the list of operations that one run records.

use std::collections::BTreeMap;

use autograd::Tape;
use nn::{Ctx, Module, parameters};
use serde::Serialize;
use tensor::{Cost, DType, Meta, Tensor};

use crate::{
    Result,
    model::DsNet,
    ui::{Align, Table, thousands},
};

/// One applied operation.
#[derive(Debug, Clone, Serialize)]
pub struct Layer {
    /// Path of the module that applied it.
    pub path: String,
    /// Name of the operation.
    pub op: String,
    /// Dims of its first result.
    pub output: Vec<usize>,
    /// Parameters that belong to this operation's module itself.
    pub parameters: usize,
    /// Multiply-accumulates.
    pub macs: u64,
}

/// All operations of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Dims of the input, `[N, 3, H, W]`.
    pub input: Vec<usize>,
    /// Operations in order; views, which cost nothing, left out.
    pub layers: Vec<Layer>,
    /// Trainable values.
    pub parameters: usize,
    /// Multiply-accumulates of convolutions and matrix products.
    pub macs: u64,
    /// Floating-point operations of everything.
    pub flops: u64,
}

/// Records `model` once on an image of `height` × `width`, multiples of 8, of which only the shape is known, and reads the tape.
///
/// # Errors
/// Where the size does not fit.
pub fn summarize(model: &DsNet, height: usize, width: usize) -> Result<Summary> {
    let tape = recorded(model, height, width)?;
    let mut own: BTreeMap<String, usize> = BTreeMap::new();
    for (name, param) in parameters(model) {
        let module = name.rsplit_once('.').map_or("", |(module, _)| module);
        *own.entry(module.to_owned()).or_default() += param.value().len();
    }
    let total = own.values().sum();
    let (mut macs, mut flops) = (0, 0);
    let mut layers = Vec::new();
    for record in tape.records() {
        macs += record.cost.macs;
        flops += record.cost.flops;
        if record.cost.bytes == 0 {
            continue;
        }
        layers.push(Layer {
            path: record.scope.to_string(),
            op: record.name,
            output: record.outputs[0].dims.to_vec(),
            parameters: own.remove(&*record.scope).unwrap_or(0),
            macs: record.cost.macs,
        });
    }
    Ok(Summary { input: vec![1, 3, height, width], layers, parameters: total, macs, flops })
}

/// What each operation of one run costs.
///
/// # Errors
/// As [`summarize`].
pub fn costs(model: &DsNet, height: usize, width: usize) -> Result<Vec<Cost>> {
    Ok(recorded(model, height, width)?.records().into_iter().map(|record| record.cost).collect())
}

/// One run on an image of which only the shape is known.
fn recorded(model: &DsNet, height: usize, width: usize) -> Result<Tape> {
    let tape = Tape::new();
    let ctx = Ctx::trace(&tape);
    let image = Meta::new(&[1, 3, height, width][..], DType::F32);
    model.forward(&ctx.input(Tensor::without_values(&image, &nn::device(model))), &ctx)?;
    Ok(tape)
}

impl Summary {
    /// As a table for people.
    pub fn table(&self) -> String {
        let dims = |d: &[usize]| d.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
        let mut table = Table::new(&[
            ("module", Align::Left),
            ("operation", Align::Left),
            ("output", Align::Left),
            ("parameters", Align::Right),
            ("MMAC", Align::Right),
        ]);
        for l in &self.layers {
            let parameters = if l.parameters > 0 { thousands(l.parameters as u64) } else { String::new() };
            let macs = if l.macs > 0 { format!("{:.2}", l.macs as f64 / 1e6) } else { String::new() };
            table.row([l.path.clone(), l.op.clone(), dims(&l.output), parameters, macs]);
        }
        format!(
            "{table}\ninput {}, {} parameters, {:.4} GMAC, {:.3} GFLOP\n",
            dims(&self.input),
            thousands(self.parameters as u64),
            self.macs as f64 / 1e9,
            self.flops as f64 / 1e9
        )
    }
}

//! A model made executable for images of one size: recorded once, optimised, planned.

use autograd::Tape;
use nn::{Ctx, Module};
use tensor::{DType, Graph, Ops, Plan, Tensor, graph::passes};

use crate::Result;

/// What a compiled model tells of each pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// The class logits, `[N, classes, H, W]`.
    Logits,
    /// The best class, u8 `[N, H, W]`.
    Labels,
}

/// What `model` does to images of these dims `[N, 3, H, W]`, as recorded.
///
/// # Errors
/// Where the images do not fit the model, or it applies an operation that has no form as a value.
pub fn trace(model: &dyn Module, dims: &[usize], wanted: Wanted) -> Result<Graph> {
    let tape = Tape::for_graph();
    let ctx = Ctx::trace(&tape);
    let images = ctx.input(Tensor::zeros(dims, DType::F32)?);
    let logits = model.forward(&images, &ctx)?;
    let output = match wanted {
        Wanted::Logits => logits,
        Wanted::Labels => logits.argmax(1)?.cast(DType::U8)?,
    };
    Ok(tape.graph(&[&images], &[&output])?)
}

/// `model` compiled for images of these dims on the CPU.
///
/// # Errors
/// As [`trace`].
pub fn compile(model: &dyn Module, dims: &[usize], wanted: Wanted) -> Result<Box<dyn Plan>> {
    let mut graph = trace(model, dims, wanted)?;
    passes::optimize(&mut graph)?;
    Ok(tensor::cpu::device().plan(&graph)?)
}

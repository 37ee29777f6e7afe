//! Chapter 4: a layer is a function, and a list of names.

use autograd::{Ops, Tape, Var};
use nn::{
    BatchNorm2d, BatchNormConfig, Collect, Conv2d, Conv2dConfig, Ctx, Init, Initializer, Module, Param,
    Result, Sequential, Visitor, parameter_count, visit_child,
};
use tensor::{DType, Tensor};

/// `x + scale·relu(norm(conv(x)))`, with a scale for each channel that starts at 0: a block that starts as the identity.
struct Residual {
    conv: Conv2d,
    norm: BatchNorm2d,
    /// `[C, 1, 1]`.
    scale: Param,
}

impl Residual {
    fn new(channels: usize, init: &Initializer) -> Result<Self> {
        Ok(Self {
            conv: Conv2dConfig::new(channels, channels, 3).same().build(&init.scope("conv"))?,
            norm: BatchNormConfig::new(channels).relu(true).build(&init.scope("norm"))?,
            scale: init.param("scale", &[channels, 1, 1], Init::ZEROS)?,
        })
    }
}

impl Module for Residual {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let y = ctx.call("conv", &self.conv, x)?;
        let y = ctx.call("norm", &self.norm, &y)?;
        Ok(x.add(&y.mul(&ctx.var(&self.scale))?)?)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visit_child(visitor, "conv", &self.conv);
        visit_child(visitor, "norm", &self.norm);
        visitor.param("scale", &self.scale);
    }
}

fn main() -> Result<()> {
    let init = Initializer::new(1);
    let net = Sequential::new()
        .with(Conv2dConfig::new(3, 4, 3).stride(2).padding(1).bias(true).build(&init.scope("0"))?)
        .with(Residual::new(4, &init.scope("1"))?);
    println!("{} parameters", parameter_count(&net));
    for entry in Collect::of(&net) {
        println!("  {:<20} {:?}", entry.name, entry.value().dims());
    }

    // What runs, under whose name, and what it costs: read off the tape.
    let tape = Tape::new();
    let ctx = Ctx::trace(&tape);
    let image = ctx.input(Tensor::ones(&[1, 3, 8, 8], DType::F32)?);
    let out = net.forward(&image, &ctx)?;
    println!("\n{:?} becomes {:?}", image.dims(), out.dims());
    for record in tape.records() {
        let dims = format!("{:?}", &record.outputs[0].dims[..]);
        println!("  {:<7} {:<21} {dims:<12} {:>5} MACs", record.scope, record.name, record.cost.macs);
    }

    // The same names tell where something went wrong.
    let grey = ctx.input(Tensor::ones(&[1, 1, 8, 8], DType::F32)?);
    println!("\na grey image: {}", net.forward(&grey, &ctx).unwrap_err());
    Ok(())
}

//! Chapter 8: from a tape to a graph, from a graph to a plan.

use autograd::{Ops, Tape, Var};
use nn::{
    BatchNorm2d, BatchNormConfig, ChannelShuffle, Conv2d, Conv2dConfig, Ctx, Initializer, Module, Result,
    Visitor, visit_child,
};
use tensor::{DType, Meta, Tensor, cpu, graph::passes, ops::Distribution, rng::Key};

/// Half of the channels each go through a convolution; the right half is also added to what comes out of it. Then the
/// channels are mixed.
struct Block {
    left: (Conv2d, BatchNorm2d),
    right: (Conv2d, BatchNorm2d),
}

impl Module for Block {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let halves = x.split(&[8, 8], 1)?;
        let run = |name: &str, (conv, norm): &(Conv2d, BatchNorm2d), x: &Var| {
            ctx.scope(name, || norm.forward(&conv.forward(x, ctx)?, ctx))
        };
        let left = run("left", &self.left, &halves[0])?.relu()?;
        let right = run("right", &self.right, &halves[1])?.add(&halves[1])?.relu()?;
        ChannelShuffle { groups: 2 }.forward(&Var::cat(&[&left, &right], 1)?, ctx)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        for (name, (conv, norm)) in [("left", &self.left), ("right", &self.right)] {
            visit_child(visitor, name, conv);
            visit_child(visitor, name, norm);
        }
    }
}

fn main() -> Result<()> {
    let pair = |name: &str| -> Result<(Conv2d, BatchNorm2d)> {
        let init = Initializer::new(2).scope(name);
        Ok((Conv2dConfig::new(8, 8, 3).same().build(&init)?, BatchNormConfig::new(8).build(&init)?))
    };
    let block = Block { left: pair("left")?, right: pair("right")? };
    let head = Conv2dConfig::new(16, 5, 1).bias(true).build(&Initializer::new(2).scope("head"))?;
    let run = |x: &Var, ctx: &Ctx| -> Result<Var> {
        let features = ctx.call("second", &block, &ctx.call("first", &block, x)?)?;
        Ok(ctx.call("head", &head, &features)?.argmax(1)?)
    };

    // Recorded on a tensor without values: shapes are inferred and checked, nothing is computed.
    let dims = [1, 16, 64, 64];
    let tape = Tape::for_graph();
    let ctx = Ctx::trace(&tape);
    let image = ctx.input(Tensor::without_values(&Meta::new(&dims[..], DType::F32), &cpu::device()));
    let classes = run(&image, &ctx)?;
    let mut graph = tape.graph(&[&image], &[&classes])?;
    println!(
        "as recorded: {} steps, {} KiB of values\n{graph}",
        graph.nodes.len(),
        graph.naive_bytes() / 1024
    );
    for (name, pass) in passes::ALL {
        let before = graph.to_string();
        pass(&mut graph)?;
        if graph.to_string() != before {
            println!("{name}: {} steps, {} KiB", graph.nodes.len(), graph.naive_bytes() / 1024);
        }
    }
    println!("\nafter all passes\n{graph}");

    let plan = cpu::device().plan(&graph)?;
    println!("an arena of {} KiB is enough", plan.memory().planned / 1024);
    let x =
        Tensor::random(Distribution::Uniform { low: -1.0, high: 1.0 }, &dims, DType::F32, Key::new(1, 1))?;
    let (found, want) = (plan.run(&[&x])?.remove(0), run(&Var::new(x), &Ctx::eval())?.into_tensor());
    let same = found.equal(&want)?.cast(DType::F32)?.mean_all()?.item()?;
    println!("the same classes as layer by layer: {:.1} %", 100.0 * same);
    Ok(())
}

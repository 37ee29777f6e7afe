//! Chapter 3: a gradient check that fails, and why.

use std::rc::Rc;

use autograd::{
    Context, CustomOp, Ops, Result, Var, apply_custom,
    gradcheck::{Error, Options, gradcheck},
};
use tensor::Tensor;

/// Swish, x·σ(x), with the derivative that one writes down on a Friday, or the right one.
#[derive(Debug, Clone, Copy)]
struct Swish {
    right: bool,
}

impl CustomOp for Swish {
    fn name(&self) -> &str {
        "swish"
    }

    fn forward(&self, ins: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![ins[0].mul(&ins[0].sigmoid()?)?])
    }

    fn backward(&self, cx: &Context<'_>) -> Result<Vec<Option<Var>>> {
        let (x, s) = (cx.input(0)?, cx.input(0)?.sigmoid()?);
        let slope = if self.right {
            // (x·σ)′ = σ + x·σ·(1 − σ)
            s.add(&x.mul(&s)?.mul(&s.neg()?.add_scalar(1.0)?)?)?
        } else {
            s // the other half of the product rule is missing
        };
        Ok(vec![Some(cx.grad(0)?.mul(&slope)?)])
    }
}

fn main() -> Result<(), Error> {
    let x = [Tensor::from_vec(vec![-2.0, 0.0, 1.5], &[3])?];
    let told = |what: &str, result: Result<(), Error>| match result {
        Ok(()) => println!("{what}\n    agrees"),
        Err(e) => println!("{what}\n    {e}"),
    };
    for right in [false, true] {
        let swish = |x: &[Var]| apply_custom(Rc::new(Swish { right }), &[&x[0]]);
        told(if right { "swish, put right" } else { "swish" }, gradcheck(&x, swish, &Options::default()));
    }

    // Right derivatives fail too, where the question is wrong: at a kink there is no slope to agree with …
    let relu = |x: &[Var]| Ok(vec![x[0].relu()?]);
    told("relu, with an input at its kink", gradcheck(&x, relu, &Options::default()));
    let off = [x[0].add_scalar(0.01)?];
    told("relu, a little beside", gradcheck(&off, relu, &Options::default()));

    // … and with a step that is too long (curvature) or too short (rounding).
    let cube = |x: &[Var]| Ok(vec![x[0].square()?.mul(&x[0])?]);
    for eps in [1e-1, 1e-5, 1e-13] {
        told(&format!("cube, step {eps:e}"), gradcheck(&x, cube, &Options { eps, ..Options::default() }));
    }
    told("cube, in f32", gradcheck(&[x[0].cast(tensor::DType::F32)?], cube, &Options::default()));
    Ok(())
}

//! Resizing is linear; the operation and its adjoint are each other's derivatives.

use tensor::{
    Ops,
    ops::{Resize2d, Resize2dInput},
};

use super::{Gradients, single};
use crate::{Context, Var};

pub(super) fn resize2d(resize: &Resize2d, cx: &Context<'_>) -> Gradients {
    let dims = &cx.input_meta(0).dims;
    let back = Resize2dInput { resize: resize.clone(), input: [dims[2], dims[3]] };
    single(Var::apply1(back.into(), &[&cx.grad(0)?])?)
}

pub(super) fn resize2d_input(op: &Resize2dInput, cx: &Context<'_>) -> Gradients {
    single(Var::apply1(op.resize.clone().into(), &[&cx.grad(0)?])?)
}

//! The gradient checks of `autograd`, all of them, with operands on the emulated GPU: fewer draws of each.

#[path = "../../../autograd/tests/ops/case.rs"]
mod case;
#[path = "../../../autograd/tests/ops/draw.rs"]
mod draw;
#[path = "../../../autograd/tests/ops/image.rs"]
mod image;
#[path = "../../../autograd/tests/ops/list.rs"]
mod list;
#[path = "../../../autograd/tests/ops/mixed.rs"]
mod mixed;
#[path = "../../../autograd/tests/ops/movement.rs"]
mod movement;
#[path = "../../../autograd/tests/ops/norm.rs"]
mod norm;
#[path = "../../../autograd/tests/ops/pointwise.rs"]
mod pointwise;
#[path = "../emulated/support.rs"]
#[allow(dead_code)] // the other tests' part of it
mod support;

use tensor::Tensor;

/// Draws of which first, and second, derivatives are checked.
const DRAWS: [u32; 2] = [6, 1];

/// An operand on the device that is checked.
fn placed(t: &Tensor) -> Tensor {
    t.to_device(&support::device()).expect("the emulated GPU takes a tensor")
}

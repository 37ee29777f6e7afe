//! Checks the derivatives of every operation: first and second, in 64 bits, every input used twice, in row-major,
//! channels-last and scattered memory, for drawn shapes, strides, paddings, dilations and groups. An operation
//! without a check fails `every_operation_is_checked`; a row of the pointwise table without one, its family's.

mod case;
mod draw;
mod image;
mod list;
mod mixed;
mod movement;
mod norm;
mod pointwise;

use tensor::Tensor;

/// Draws of which first, and second, derivatives are checked.
const DRAWS: [u32; 2] = [64, 16];

/// An operand on the device that is checked.
fn placed(t: &Tensor) -> Tensor {
    t.clone()
}

//! Pointwise operations that no convolution took up.

use super::*;

#[test]
fn what_no_convolution_takes_up_is_one_step() {
    let mut b = Builder::new();
    let x = b.image([2, 4, 6, 5]);
    let slope = b.random(&[4, 1, 1]);
    let y = b.push(Binary::Prelu, &[x, slope]);
    let y = b.norm(y, true);
    // One number for each channel of each image, made while the graph runs.
    let means = b.push(AvgPool2d { window: whole([6, 5]), count_padding: true }, &[x]);
    let gate = b.push(Unary::Sigmoid, &[means]);
    let y = b.push(Binary::Mul, &[gate, y]);
    let y = b.push(Binary::Sub, &[x, y]);
    let graph = b.finish(&[y]);
    assert_eq!(
        graph.to_string(),
        "%0 = input f32[2, 4, 6, 5]
%2 = prelu(%0, const [4, 1, 1]) -> f32[2, 4, 6, 5]
%7 = batch_norm_apply_relu(%2, const [4], const [4], const [4], const [4]) -> f32[2, 4, 6, 5]
%8 = avg_pool2d(%0) -> f32[2, 4, 1, 1]
%9 = sigmoid(%8) -> f32[2, 4, 1, 1]
%10 = mul(%9, %7) -> f32[2, 4, 6, 5]
%11 = sub(%0, %10) -> f32[2, 4, 6, 5]
return %11
"
    );
    assert_eq!(
        optimized(&graph).to_string(),
        "%0 = input f32[2, 4, 6, 5]
%8 = avg_pool2d(%0) -> f32[2, 4, 1, 1]
%9 = sigmoid(%8) -> f32[2, 4, 1, 1]
%11 = chain(%0, prelu(_, const [4, 1, 1]), batch_norm_apply_relu(_, const [4], const [4], const [4], const [4]), \
         mul(%9, _), sub(%0, _)) -> f32[2, 4, 6, 5]
return %11
"
    );
    check(&graph);
}

fn whole(kernel: [usize; 2]) -> Window {
    Window { kernel, stride: kernel, padding: [0, 0] }
}

#[test]
fn chains_take_operands_of_any_shape() {
    let mut b = Builder::new();
    let x = b.image([2, 3, 40, 50]);
    let (row, column, scalar) = (b.random(&[1, 50]), b.random(&[40, 1]), b.random(&[]));
    let mut y = b.push(Unary::Tanh, &[x]);
    for other in [scalar, row, column] {
        y = b.push(Binary::Add, &[y, other]);
    }
    let graph = b.finish(&[y]);
    let text = optimized(&graph).to_string();
    assert!(text.contains("chain(%0, tanh(_), add(_, const []), add(_, const [1, 50]), "), "{text}");
    check(&graph);
}

#[test]
fn a_value_that_is_used_elsewhere_ends_a_chain() {
    let mut b = Builder::new();
    let x = b.image([1, 2, 3, 4]);
    let y = b.push(Unary::Tanh, &[x]);
    let y = b.push(Unary::Neg, &[y]);
    let squared = b.push(Binary::Mul, &[y, y]);
    let z = b.push(Unary::Exp, &[squared]);
    let graph = b.finish(&[y, z]);
    assert_eq!(
        optimized(&graph).to_string(),
        "%0 = input f32[1, 2, 3, 4]
%2 = chain(%0, tanh(_), neg(_)) -> f32[1, 2, 3, 4]
%4 = chain(%2, mul(_, _), exp(_)) -> f32[1, 2, 3, 4]
return %2, %4
"
    );
    check(&graph);
}

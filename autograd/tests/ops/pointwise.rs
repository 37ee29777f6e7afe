//! Every row of the pointwise table.

use proptest::prelude::*;
use tensor::{
    Op,
    ops::{Binary, Compare, Select, Unary},
};

use crate::{
    case::{Case, Cases, check, check_constant},
    draw::{self, Values},
};

/// The row of a name, with parameters, and where to look at it: an interval and the kinks in it.
fn unary_sample(name: &str) -> (Unary, [f64; 2], &'static [f64]) {
    use Unary::*;
    let all = [-2.0, 2.0];
    let positive = [0.1, 2.0];
    match name {
        "Neg" => (Neg, all, &[]),
        "Abs" => (Abs, all, &[0.0]),
        "Sign" => (Sign, all, &[0.0]),
        "Step" => (Step, all, &[0.0]),
        "Exp" => (Exp, all, &[]),
        "ExpM1" => (ExpM1, all, &[]),
        "Log" => (Log, positive, &[]),
        "Log1p" => (Log1p, [-0.8, 2.0], &[]),
        "Sqrt" => (Sqrt, positive, &[]),
        "Square" => (Square, all, &[]),
        "Recip" => (Recip, [0.3, 2.0], &[]),
        "Sin" => (Sin, all, &[]),
        "Cos" => (Cos, all, &[]),
        "Tanh" => (Tanh, all, &[]),
        "Sigmoid" => (Sigmoid, all, &[]),
        "Softplus" => (Softplus, all, &[]),
        "Relu" => (Relu, all, &[0.0]),
        "LeakyRelu" => (LeakyRelu(0.3), all, &[0.0]),
        "Floor" => (Floor, all, &[-1.0, 0.0, 1.0]),
        "Round" => (Round, all, &[-1.5, -0.5, 0.5, 1.5]),
        "AddScalar" => (AddScalar(0.7), all, &[]),
        "MulScalar" => (MulScalar(-1.3), all, &[]),
        "PowScalar" => (PowScalar(2.4), positive, &[]),
        "Clamp" => (Clamp(-0.5, 1.1), all, &[-0.5, 1.1]),
        other => panic!("Unary::{other} has no check: add a line here"),
    }
}

fn unary_cases(name: &str) -> Cases {
    let (f, [low, high], kinks) = unary_sample(name);
    (draw::dims(0..=4, 3), draw::seed())
        .prop_map(move |(dims, seed)| Case::new(f, vec![Values::new(seed).avoiding(&dims, low, high, kinks)]))
        .boxed()
}

pub fn unary() {
    for name in Unary::VARIANTS {
        let (f, ..) = unary_sample(name);
        match f {
            Unary::Sign | Unary::Step | Unary::Floor | Unary::Round => check_constant(unary_cases(name)),
            _ => check(unary_cases(name)),
        }
    }
}

fn binary_row(name: &str) -> Binary {
    use Binary::*;
    match name {
        "Add" => Add,
        "Sub" => Sub,
        "Mul" => Mul,
        "Div" => Div,
        "Pow" => Pow,
        "Maximum" => Maximum,
        "Minimum" => Minimum,
        "Prelu" => Prelu,
        "ReluGrad" => ReluGrad,
        other => panic!("Binary::{other} has no check: add a line here"),
    }
}

/// Dims of two operands that broadcast.
fn two() -> impl Strategy<Value = (Vec<usize>, Vec<usize>, u64)> {
    draw::dims(0..=4, 3)
        .prop_flat_map(|dims| {
            (draw::narrower(&dims), draw::narrower(&dims), Just(dims), any::<bool>(), draw::seed())
        })
        .prop_map(|(a, b, dims, full, seed)| if full { (a, dims, seed) } else { (dims, b, seed) })
}

fn binary_cases(name: &str) -> Cases {
    let f = binary_row(name);
    two()
        .prop_map(move |(a, b, seed)| {
            let mut draw = Values::new(seed);
            let (x, y) = match f {
                Binary::Add | Binary::Sub | Binary::Mul => (draw.any(&a), draw.any(&b)),
                Binary::Div => (draw.any(&a), draw.uniform(&b, 0.4, 2.0)),
                Binary::Pow => (draw.uniform(&a, 0.3, 2.0), draw.any(&b)),
                Binary::Maximum | Binary::Minimum => (draw.distinct(&a, 0.0), draw.distinct(&b, 0.03)),
                Binary::Prelu | Binary::ReluGrad => (draw.avoiding(&a, -1.0, 1.0, &[0.0]), draw.any(&b)),
            };
            Case::new(f, vec![x, y])
        })
        .boxed()
}

pub fn binary() {
    for name in Binary::VARIANTS {
        check(binary_cases(name));
    }
}

pub fn compare() {
    let cases = two().prop_map(|(a, b, seed)| {
        let mut draw = Values::new(seed);
        Case::new(Compare::Less, vec![draw.any(&a), draw.any(&b)])
    });
    check_constant(cases.boxed());
}

pub fn select() {
    let cases = draw::dims(0..=4, 3)
        .prop_flat_map(|dims| {
            let narrower = || draw::narrower(&dims);
            (narrower(), narrower(), narrower(), Just(dims.clone()), 0..3_usize, draw::seed())
        })
        .prop_map(|(a, b, c, dims, full, seed)| {
            let mut draw = Values::new(seed);
            let mut shapes = [a, b, c];
            shapes[full] = dims;
            let [condition, a, b] = shapes;
            Case::new(Op::Select(Select), vec![draw.mask(&condition), draw.any(&a), draw.any(&b)])
        });
    check(cases.boxed());
}

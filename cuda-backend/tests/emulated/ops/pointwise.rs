//! Functions of single elements, row by row of the table.

use tensor::ops::{Binary, Compare, Select, Unary};
use tensor::{DType, Ops};

use super::{ALL, FLOATS};
use crate::support::{check, integers, normal};

const UNARY: [Unary; 24] = [
    Unary::Neg,
    Unary::Abs,
    Unary::Sign,
    Unary::Step,
    Unary::Exp,
    Unary::ExpM1,
    Unary::Log,
    Unary::Log1p,
    Unary::Sqrt,
    Unary::Square,
    Unary::Recip,
    Unary::Sin,
    Unary::Cos,
    Unary::Tanh,
    Unary::Sigmoid,
    Unary::Softplus,
    Unary::Relu,
    Unary::LeakyRelu(0.1),
    Unary::Floor,
    Unary::Round,
    Unary::AddScalar(0.7),
    Unary::MulScalar(-1.3),
    Unary::PowScalar(1.5),
    Unary::Clamp(-0.5, 0.8),
];

pub fn unary() {
    assert_eq!(UNARY.len(), Unary::VARIANTS.len());
    for f in UNARY {
        for dtype in FLOATS {
            check(f, &[&normal(&[2, 3, 5, 9], dtype, 1)]);
        }
        if f.takes_integers() {
            check(f, &[&integers(&[2, 3, 5, 9], DType::I64, 50, 2)]);
            check(f, &[&integers(&[2, 3, 5, 9], DType::U8, 10, 2)]);
        }
    }
    check(Unary::Exp, &[&normal(&[0, 4], DType::F32, 1)]);
}

pub fn binary() {
    use Binary::{Add, Div, Maximum, Minimum, Mul, Pow, Prelu, ReluGrad, Sub};
    let all = [Add, Sub, Mul, Div, Pow, Maximum, Minimum, Prelu, ReluGrad];
    assert_eq!(all.len(), Binary::VARIANTS.len());
    for f in all {
        for dtype in FLOATS {
            let a = normal(&[2, 3, 5, 9], dtype, 3).abs().unwrap();
            check(f, &[&a, &normal(&[2, 3, 5, 9], dtype, 4)]);
            check(f, &[&a, &normal(&[3, 1, 1], dtype, 5)]);
            check(f, &[&normal(&[1, 3, 1, 9], dtype, 6).abs().unwrap(), &normal(&[2, 1, 5, 1], dtype, 7)]);
        }
        if f.takes_integers() {
            check(f, &[&integers(&[4, 7], DType::I64, 50, 2), &integers(&[7], DType::I64, 50, 3)]);
        }
    }
}

pub fn compare() {
    use Compare::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
    for f in [Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual] {
        for dtype in ALL {
            let a = integers(&[2, 3, 5, 9], dtype, 3, 8);
            check(f, &[&a, &integers(&[2, 3, 5, 9], dtype, 3, 9)]);
            check(f, &[&a, &integers(&[5, 1], dtype, 3, 10)]);
        }
    }
}

pub fn select() {
    for dtype in ALL {
        let c = integers(&[2, 3, 5, 9], DType::U8, 2, 11);
        let (a, b) = (integers(&[3, 1, 1], dtype, 9, 12), integers(&[2, 3, 5, 9], dtype, 9, 13));
        check(Select, &[&c, &a, &b]);
    }
}

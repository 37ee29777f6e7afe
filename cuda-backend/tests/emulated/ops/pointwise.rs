//! Functions of single elements, row by row of the table.

use tensor::ops::{Binary, Compare, Select, Unary};
use tensor::{DType, Ops};

use super::{ALL, FLOATS};
use crate::support::{check, integers, normal};

pub fn unary() {
    for f in Unary::all(1.5, 2.4) {
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
    for &f in Binary::ALL {
        for dtype in FLOATS {
            let a = normal(&[2, 3, 5, 9], dtype, 3).abs().unwrap();
            check(f, &[&a, &normal(&[2, 3, 5, 9], dtype, 4)]);
            check(f, &[&a, &normal(&[3, 1, 1], dtype, 5)]);
            check(f, &[&normal(&[1, 3, 1, 9], dtype, 6).abs().unwrap(), &normal(&[2, 1, 5, 1], dtype, 7)]);
        }
        if f.takes_integers() {
            for dtype in [DType::I64, DType::U8] {
                let a = integers(&[4, 7], dtype, 10, 2);
                check(f, &[&a, &integers(&[4, 7], dtype, 10, 3)]);
                check(f, &[&a, &integers(&[7], dtype, 10, 4)]);
            }
        }
    }
}

pub fn compare() {
    for &f in Compare::ALL {
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

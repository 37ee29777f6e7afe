//! The CUDA kernels' table of pointwise functions is that of `tensor`: `kernels/pointwise_table.cuh` is written from it.

use std::{fmt::Write, path::Path};

use tensor::ops::{Binary, Compare, Unary};

/// One of each, in order.
const UNARY: &[Unary] = &[
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
    Unary::LeakyRelu(0.0),
    Unary::Floor,
    Unary::Round,
    Unary::AddScalar(0.0),
    Unary::MulScalar(0.0),
    Unary::PowScalar(0.0),
    Unary::Clamp(0.0, 0.0),
];
const BINARY: &[Binary] = &[
    Binary::Add,
    Binary::Sub,
    Binary::Mul,
    Binary::Div,
    Binary::Pow,
    Binary::Maximum,
    Binary::Minimum,
    Binary::Prelu,
    Binary::ReluGrad,
];
const COMPARE: &[Compare] = &[
    Compare::Equal,
    Compare::NotEqual,
    Compare::Less,
    Compare::LessEqual,
    Compare::Greater,
    Compare::GreaterEqual,
];

fn table(out: &mut String, name: &str, what: &str, rows: impl Iterator<Item = (&'static str, &'static str)>) {
    write!(out, "\n/// {what}\n#define {name}(ROW)").unwrap();
    for (id, (function, expression)) in rows.enumerate() {
        write!(out, " \\\n    ROW({id}, {function}, {expression})").unwrap();
    }
    out.push('\n');
}

#[test]
fn the_kernels_have_the_functions_of_the_table() {
    let names: Vec<String> = UNARY.iter().map(|f| format!("{f:?}")).collect();
    let names: Vec<&str> = names.iter().map(|n| n.split('(').next().unwrap()).collect();
    assert_eq!(names, Unary::VARIANTS, "add the new function to this test");
    let names: Vec<String> = BINARY.iter().map(|f| format!("{f:?}")).collect();
    assert_eq!(names, Binary::VARIANTS, "add the new function to this test");

    let mut text = String::from(
        "// Written from the table of `tensor` (ops/pointwise/table.rs); `WRITE=1 cargo test -p cuda-backend --test\n\
         // pointwise_table` writes it anew. Rows: number, name, expression.\n#pragma once\n",
    );
    macro_rules! row {
        ($f:expr) => {{
            let row = $f.row();
            (row.name, row.cuda)
        }};
    }
    table(&mut text, "UNARY_TABLE", "Of x, with parameters p and q.", UNARY.iter().map(|f| row!(f)));
    table(&mut text, "BINARY_TABLE", "Of x and y.", BINARY.iter().map(|f| row!(f)));
    table(&mut text, "COMPARE_TABLE", "Of x and y, 0 or 1.", COMPARE.iter().map(|f| row!(f)));

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/pointwise_table.cuh");
    if std::env::var_os("WRITE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(held == text, "{} is not up to date: run this test with WRITE=1", path.display());
}

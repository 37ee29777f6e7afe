//! The CUDA kernels' table of pointwise functions is that of `tensor`: `kernels/pointwise_table.cuh` is written from it.

use std::{fmt::Write, path::Path};

use tensor::ops::{Binary, Compare, Unary};

fn table(out: &mut String, name: &str, what: &str, rows: impl Iterator<Item = (&'static str, &'static str)>) {
    write!(out, "\n/// {what}\n#define {name}(ROW)").unwrap();
    for (id, (function, expression)) in rows.enumerate() {
        write!(out, " \\\n    ROW({id}, {function}, {expression})").unwrap();
    }
    out.push('\n');
}

#[test]
fn the_kernels_have_the_functions_of_the_table() {
    assert!(
        Unary::all(0.0, 0.0).iter().enumerate().all(|(i, f)| f.number() == i),
        "the backend passes numbers"
    );
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
    table(
        &mut text,
        "UNARY_TABLE",
        "Of x, with parameters p and q.",
        Unary::all(0.0, 0.0).iter().map(|f| row!(f)),
    );
    table(&mut text, "BINARY_TABLE", "Of x and y.", Binary::ALL.iter().map(|f| row!(f)));
    table(&mut text, "COMPARE_TABLE", "Of x and y, 0 or 1.", Compare::ALL.iter().map(|f| row!(f)));

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/pointwise_table.cuh");
    if std::env::var_os("WRITE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(held == text, "{} is not up to date: run this test with WRITE=1", path.display());
}

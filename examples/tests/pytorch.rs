//! `docs/pytorch.md` is complete and true: every operation, layer, loss and optimiser has a row, no operation's row is left
//! over, and the example values are computed here.

use std::{collections::BTreeSet, fs, path::Path};

use autograd::{Tape, Var};
use nn::{
    loss::{CrossEntropy, bce_with_logits},
    schedule::Curve,
};
use tensor::{
    DType, Op, Ops, Result, Tensor,
    ops::{self, Binary, Distribution, Unary, Window},
    rng::Key,
};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The rows of a section: the names in the first column, and the whole row.
fn rows(section: &str) -> Vec<(Vec<String>, String)> {
    let page = read("docs/pytorch.md");
    let start = page.find(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("no section {section}"));
    let body = page[start + 4..].split("\n## ").next().unwrap_or_default().to_owned();
    let table = body.lines().filter(|line| line.starts_with("| `"));
    let names = |line: &str| {
        let first = line.split(" | ").next().unwrap_or_default().to_owned();
        first.split('`').skip(1).step_by(2).map(String::from).collect()
    };
    table.map(|line| (names(line), line.to_owned())).collect()
}

fn names(section: &str) -> BTreeSet<String> {
    rows(section).into_iter().flat_map(|(names, _)| names).collect()
}

/// Fails where the section lacks one of `wanted`.
fn check(section: &str, wanted: &BTreeSet<String>) {
    let missing: Vec<_> = wanted.difference(&names(section)).cloned().collect();
    assert!(missing.is_empty(), "docs/pytorch.md, {section}: no row for {missing:?}");
}

/// The names that a module of `nn` makes public, but for those that `but` says are none of the section's.
fn public(module: &str, but: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let text = read(module);
    let uses = text.split("pub use ").skip(1).filter_map(|line| line.split(';').next());
    let list = uses.filter_map(|path| path.split_once("::")).flat_map(|(_, names)| {
        let names = names.trim_matches(['{', '}']).split(',').map(|n| n.trim().to_owned());
        names.collect::<Vec<_>>()
    });
    let found: BTreeSet<String> = list.filter(|name| !name.is_empty() && !but(name)).collect();
    assert!(found.len() > 3, "{module}: {found:?}");
    found
}

#[test]
fn every_operation_has_a_row() {
    let all = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names("Operations"), all(Op::VARIANTS));
    assert_eq!(names("Pointwise functions"), &all(Unary::VARIANTS) | &all(Binary::VARIANTS));
}

#[test]
fn every_layer_loss_and_optimiser_has_a_row() {
    check("Layers", &public("nn/src/layers/mod.rs", |name| name.ends_with("Config")));
    // What describes a choice among losses, or counts labels, is no loss.
    let others = [
        "ClassBalance",
        "Criterion",
        "LossSpec",
        "LossValue",
        "PixelLoss",
        "Reduction",
        "class_counts",
        "class_presence",
    ];
    check("Losses", &public("nn/src/loss/mod.rs", |name| others.contains(&name)));
    // The machinery around the rules.
    let others = ["Gradient", "Hyper", "Optimizer", "Proposal", "Rule", "State", "check_finite", "gradients"];
    check("Optimisers", &public("nn/src/optim/mod.rs", |name| others.contains(&name)));
    let curve = read("nn/src/schedule/curve.rs");
    let body = curve.split("pub enum Curve {").nth(1).and_then(|t| t.split("\n}").next()).unwrap();
    let variants = body.lines().filter_map(|line| line.strip_prefix("    "));
    let variants = variants.filter(|line| line.starts_with(char::is_uppercase));
    let curves: BTreeSet<String> = variants.map(|v| v.trim_end_matches([' ', '{', ',']).to_owned()).collect();
    assert!(curves.contains("Poly"), "{curves:?}");
    check("Schedules", &curves);
}

fn floats(values: &[f64], dims: &[usize]) -> Tensor {
    Tensor::from_slice(values, dims).unwrap()
}

fn apply(op: impl Into<Op>, ins: &[&Tensor]) -> Vec<Tensor> {
    Tensor::apply(op.into(), ins).unwrap().into_iter().collect()
}

/// Values as the page writes them.
fn text(tensor: &Tensor) -> String {
    let values = tensor.to_f64_vec().unwrap();
    let number = |v: f64| format!("{}", (v * 1e4).round() / 1e4);
    match (&values[..], tensor.dims()) {
        ([value], []) => format!("`{}`", number(*value)),
        _ => format!("`[{}]`", values.iter().map(|&v| number(v)).collect::<Vec<_>>().join(", ")),
    }
}

/// Section, row, and what the row must say.
fn claims() -> Result<Vec<(&'static str, &'static str, String)>> {
    let (ops, pointwise) = ("Operations", "Pointwise functions");
    let integers = |values: &[i64]| Tensor::from_slice(values, &[values.len()]);
    let uniform = Distribution::Uniform { low: 0.0, high: 1.0 };
    let grid = Tensor::arange(16, DType::F64)?.reshape(&[1, 1, 4, 4])?;
    let (_, places) = grid.max_pool2d(Window::square(2))?;
    let row = Window { kernel: [1, 2], stride: [1, 1], padding: [0, 0] };
    let (maxima, index) = floats(&[0.0, 5.0, 0.0], &[1, 1, 1, 3]).max_pool2d(row)?;
    let six = Tensor::arange(6, DType::F64)?.reshape(&[1, 6, 1, 1])?;
    let pairs = [floats(&[0.0, 1.0], &[1, 2]), floats(&[2.0, 3.0], &[1, 2])];
    let wide = floats(&[0.0, 1.0], &[1, 1, 1, 2]).resize2d(ops::Interpolation::Nearest, false, [1, 82])?;
    let (one, zero) = (floats(&[1.0], &[1]), floats(&[0.0], &[1]));
    let norm =
        apply(ops::BatchNorm { eps: 1e-5, relu: false }, &[&floats(&[1.0, 3.0], &[2, 1]), &one, &zero]);
    let nothing = CrossEntropy::default()
        .forward(&Var::new(floats(&[1.0, 2.0], &[1, 2, 1])), &Tensor::from_slice(&[255_u8], &[1, 1])?);
    let bce = bce_with_logits(&Var::new(zero.clone()), &Var::new(one.clone()));
    let poly = Tensor::scalar(Curve::Poly { power: 0.9 }.factor(5, 10));
    let tape = Tape::new();
    let equals = [tape.leaf(Tensor::scalar(2.0)), tape.leaf(Tensor::scalar(2.0))];
    let grads = equals[0].maximum(&equals[1]).and_then(|y| y.backward()).unwrap();
    let equals = equals.map(|leaf| grads.get(&leaf).unwrap().reshape(&[1]).unwrap());
    let of = |x: &[f64]| floats(x, &[x.len()]);
    Ok(vec![
        (ops, "Random", text(&Tensor::random(uniform, &[3], DType::F32, Key::new(1, 0))?)),
        (ops, "Cast", text(&of(&[300.7, -1.5]).cast(DType::U8)?)),
        (ops, "Compare", text(&of(&[1.0, 2.0]).less(&of(&[2.0, 2.0]))?)),
        (ops, "Reduce", text(&of(&[1.0, 2.0]).sum(&[], false)?)),
        (ops, "ArgReduce", text(&of(&[3.0, 3.0, 1.0]).argmax(0)?)),
        (ops, "Bincount", text(&apply(ops::Bincount { bins: 4 }, &[&integers(&[0, 2, 2])?])[0])),
        (
            ops,
            "Histogram",
            text(
                &apply(
                    ops::Histogram { bins: 2, low: 0.0, high: 1.0 },
                    &[&of(&[0.0, 0.5, 1.0, 2.0, f64::NAN])],
                )[0],
            ),
        ),
        (ops, "ScatterAdd", text(&of(&[1.0, 2.0, 3.0]).scatter_add(0, &integers(&[0, 1, 0])?, 2)?)),
        (ops, "MaxPool2d", text(&places)),
        (ops, "MaxUnpool2d", text(&maxima.max_unpool2d(&index, row, [1, 3])?)),
        (ops, "Resize2d", text(&wide.narrow(3, 41, 1)?.reshape(&[])?)),
        (ops, "ChannelShuffle", text(&six.channel_shuffle(2)?)),
        (ops, "Interleave", text(&Tensor::interleave(&[&pairs[0], &pairs[1]])?)),
        (ops, "BatchNorm", text(&Tensor::cat(&[&norm[1], &norm[2]], 0)?)),
        (pointwise, "Step", text(&of(&[-1.0, 0.0, 2.0]).step()?)),
        (pointwise, "Round", text(&of(&[0.5, 1.5, 2.5, -0.5]).round()?)),
        (pointwise, "Maximum", text(&Tensor::cat(&[&equals[0], &equals[1]], 0)?)),
        ("Losses", "CrossEntropy", text(nothing.unwrap().tensor())),
        ("Losses", "bce_with_logits", text(bce.unwrap().tensor())),
        ("Schedules", "Poly", text(&poly)),
    ])
}

#[test]
fn example_values_are_what_is_computed() {
    for (section, name, value) in claims().unwrap() {
        let all = rows(section);
        let (_, row) = all.iter().find(|(names, _)| names.iter().any(|n| n == name)).unwrap();
        assert!(
            row.contains(&value),
            "docs/pytorch.md, {section}: {name} gives {value}, but the row says\n{row}"
        );
    }
}

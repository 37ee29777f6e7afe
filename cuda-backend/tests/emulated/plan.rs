//! Graphs recorded and replayed, against the interpreter on the CPU.

use tensor::graph::{Graph, interpret, passes};
use tensor::ops::{ArgReduce, BatchNormApply, Binary, Cast, Conv2d, ConvTranspose2d, Extremum, Unary};
use tensor::{Backend, DType, Meta, Ops, Plan, Tensor};

use crate::support::{assert_close, gpu, normal};

/// Two convolutions with bias and ReLU, a residual, and a 1×1 convolution.
fn graph() -> Graph {
    let mut g = Graph::new();
    let x = g.input(Meta::new(&[2, 4, 9, 11][..], DType::F32));
    let conv = Conv2d { padding: [1, 1], ..Conv2d::default() };
    let mut y = x;
    for seed in 0..2 {
        let w = g.constant(normal(&[4, 4, 3, 3], DType::F32, seed));
        let b = g.constant(normal(&[4], DType::F32, 10 + seed));
        y = g.push(conv.clone().into(), &[y, w, b], "conv").unwrap()[0];
        if seed == 0 {
            y = g.push(Unary::Relu.into(), &[y], "relu").unwrap()[0];
        }
    }
    y = g.push(Binary::Add.into(), &[y, x], "add").unwrap()[0];
    y = g.push(Unary::Relu.into(), &[y], "relu").unwrap()[0];
    let (w, b) = (normal(&[5, 4, 1, 1], DType::F32, 20), normal(&[5], DType::F32, 21));
    let (w, b) = (g.constant(w), g.constant(b));
    let logits = g.push(Conv2d::default().into(), &[y, w, b], "head").unwrap()[0];
    g.outputs.extend([y, logits]);
    g
}

fn runs_like_the_interpreter(graph: &Graph, plan: &dyn Plan) {
    for seed in 0..3 {
        let x = normal(&[2, 4, 9, 11], DType::F32, 30 + seed);
        let want = interpret(graph, &[&x]).unwrap();
        let device: tensor::Device = gpu();
        // The first run warms up and records, the others replay.
        let got = plan.run(&[&x.to_device(&device).unwrap()]).unwrap();
        for (got, want) in got.iter().zip(&want) {
            assert_close(&got.to_device(&tensor::cpu::device()).unwrap(), want, &format!("run {seed}"));
        }
    }
}

#[test]
fn replays_tell_what_the_interpreter_tells() {
    let plain = graph();
    runs_like_the_interpreter(&plain, &*gpu().plan(&plain).unwrap());
    let mut fused = graph();
    passes::optimize(&mut fused).unwrap();
    assert!(fused.nodes.len() < plain.nodes.len(), "{fused}");
    let plan = gpu().plan(&fused).unwrap();
    runs_like_the_interpreter(&plain, &*plan);
    assert!(plan.memory().planned > 0);
}

#[test]
fn bytes_are_looked_up_and_chains_are_run() {
    let mut g = Graph::new();
    let bytes = g.input(Meta::new(&[2, 3, 8, 10][..], DType::U8));
    let x = g.push(Cast { dtype: DType::F32 }.into(), &[bytes], "").unwrap()[0];
    let mean = g.constant(normal(&[3, 1, 1], DType::F32, 1));
    let x = g.push(Binary::Mul.into(), &[x, mean], "").unwrap()[0];
    let x = g.push(Unary::AddScalar(-0.5).into(), &[x], "").unwrap()[0];
    let w = g.constant(normal(&[4, 3, 3, 3], DType::F32, 2));
    let conv = Conv2d { padding: [1, 1], ..Conv2d::default() };
    let y = g.push(conv.into(), &[x, w], "").unwrap()[0];
    let y = g.push(Unary::Tanh.into(), &[y], "").unwrap()[0];
    let y = g.push(Unary::Neg.into(), &[y], "").unwrap()[0];
    g.outputs.push(y);
    let x = normal(&[2, 3, 8, 10], DType::F32, 3).mul_scalar(50.0).unwrap().abs().unwrap();
    let x = x.cast(DType::U8).unwrap();
    let want = interpret(&g, &[&x]).unwrap();
    passes::optimize(&mut g).unwrap();
    let text = g.to_string();
    assert!(text.contains("3x3(lookup(%0))") && text.contains("chain("), "{text}");
    let plan = gpu().plan(&g).unwrap();
    for run in ["first", "replayed"] {
        let got = plan.run(&[&x]).unwrap();
        assert_close(&got[0].to_device(&tensor::cpu::device()).unwrap(), &want[0], run);
    }
}

#[test]
fn values_handed_out_survive_the_next_run() {
    let g = graph();
    let plan = gpu().plan(&g).unwrap();
    let (a, b) = (normal(&[2, 4, 9, 11], DType::F32, 1), normal(&[2, 4, 9, 11], DType::F32, 2));
    let first = plan.run(&[&a]).unwrap();
    let before = first[1].to_vec::<f32>().unwrap();
    plan.run(&[&b]).unwrap();
    assert_eq!(first[1].to_vec::<f32>().unwrap(), before);
    assert_eq!(plan.run(&[&a]).unwrap()[1].to_vec::<f32>().unwrap(), before, "the same to the bit");
    drop(plan);
    assert_eq!(first[1].to_vec::<f32>().unwrap(), before);
}

#[test]
fn steps_are_timed_one_by_one() {
    let g = graph();
    let plan = gpu().plan(&g).unwrap();
    let mut ticks = Vec::new();
    let x = normal(&[2, 4, 9, 11], DType::F32, 1);
    let out = plan.run_timed(&[&x], &mut |i, _| ticks.push(i)).unwrap();
    assert_eq!(ticks, (0..g.nodes.len()).collect::<Vec<_>>());
    assert_close(
        &out[1].to_device(&tensor::cpu::device()).unwrap(),
        &interpret(&g, &[&x]).unwrap()[1],
        "timed",
    );
    let wrong = Tensor::zeros(&[1, 4, 9, 11], DType::F32).unwrap();
    let error = plan.run(&[&wrong]).unwrap_err().to_string();
    assert!(error.contains("was made for inputs [f32[2, 4, 9, 11]], got [f32[1, 4, 9, 11]]"), "{error}");
}

#[test]
fn plans_in_half_precision_are_near() {
    let mut g = graph();
    // A normalisation that no convolution takes in, for the residual is before it.
    let [mean, beta, gamma] = [22, 23, 24].map(|seed| g.constant(normal(&[4], DType::F32, seed)));
    let var = g.constant(normal(&[4], DType::F32, 25).square().unwrap().add_scalar(0.5).unwrap());
    let norm = BatchNormApply { eps: 1e-3, relu: true };
    g.outputs[1] = g.push(norm.into(), &[g.outputs[0], mean, var, gamma, beta], "norm").unwrap()[0];
    // A device of its own: the type is set for all plans of a device.
    let gpu = cuda_backend::CudaBackend::open(&crate::support::environment(), 0).unwrap();
    let x = normal(&[2, 4, 9, 11], DType::F32, 5);
    let want = interpret(&g, &[&x]).unwrap();
    for (dtype, tol) in [(DType::F16, 0.005), (DType::BF16, 0.04)] {
        gpu.set_plan_dtype(dtype).unwrap();
        let got = gpu.plan(&g).unwrap().run(&[&x]).unwrap();
        assert_eq!(got[1].dtype(), DType::F32);
        let (a, b) = (got[1].to_vec::<f32>().unwrap(), want[1].to_vec::<f32>().unwrap());
        let largest = b.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let error = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest;
        assert!(error > 0.0 && error < tol, "{dtype}: {error}");
    }
    assert!(gpu.set_plan_dtype(DType::I64).is_err());
}

/// A transposed convolution with bias and ReLU, which no library does in one call; the best class after a 1×1 and after a 3×3
/// convolution, as maps of labels.
fn heads(dtype: DType) -> Graph {
    let mut g = Graph::new();
    let x = g.input(Meta::new(&[1, 4, 5, 6][..], dtype));
    let constant = |dims: &[usize], seed| normal(dims, dtype, seed);
    let (w, b) = (constant(&[4, 6, 2, 2], 1), constant(&[6], 2));
    let (head, near, bias) = (constant(&[19, 6, 1, 1], 3), constant(&[7, 6, 3, 3], 4), constant(&[19], 5));
    let [w, b, head, near, bias] = [w, b, head, near, bias].map(|t| g.constant(t));
    let up = ConvTranspose2d { conv: Conv2d { stride: [2, 2], ..Conv2d::default() }, output_padding: [0, 0] };
    let y = g.push(up.into(), &[x, w, b], "up").unwrap()[0];
    let y = g.push(Unary::Relu.into(), &[y], "relu").unwrap()[0];
    let logits = [
        g.push(Conv2d::default().into(), &[y, head, bias], "head").unwrap()[0],
        g.push(Conv2d { padding: [1, 1], ..Conv2d::default() }.into(), &[y, near], "near").unwrap()[0],
    ];
    g.outputs.push(y);
    for logits in logits {
        let best = ArgReduce { kind: Extremum::Max, axis: 1, keep: false };
        let best = g.push(best.into(), &[logits], "best").unwrap()[0];
        let labels = g.push(Cast { dtype: DType::U8 }.into(), &[best], "labels").unwrap()[0];
        g.outputs.push(labels);
    }
    g
}

#[test]
fn what_follows_a_convolution_in_every_type() {
    let gpu = cuda_backend::CudaBackend::open(&crate::support::environment(), 0).unwrap();
    for (dtype, plans) in [
        (DType::F32, DType::F32),
        (DType::F64, DType::F32),
        (DType::F32, DType::F16),
        (DType::F32, DType::BF16),
    ] {
        let plain = heads(dtype);
        let mut fused = heads(dtype);
        passes::optimize(&mut fused).unwrap();
        assert!(fused.nodes.len() <= 3, "{fused}");
        gpu.set_plan_dtype(plans).unwrap();
        let x = normal(&[1, 4, 5, 6], dtype, 9);
        let want = interpret(&plain, &[&x]).unwrap();
        let got = gpu.plan(&fused).unwrap().run(&[&x]).unwrap();
        let tol = if plans == DType::F32 { 1e-5 } else { 0.1 };
        let pairs = got[0].to_f64_vec().unwrap().into_iter().zip(want[0].to_f64_vec().unwrap());
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < tol), "{plans}");
        for (got, want) in got[1..].iter().zip(&want[1..]) {
            let (a, b) = (got.to_vec::<u8>().unwrap(), want.to_vec::<u8>().unwrap());
            // Rounding decides between classes that are all but equal.
            let other = a.iter().zip(&b).filter(|(a, b)| a != b).count();
            assert!(
                other * 20 <= if plans == DType::F32 { 0 } else { a.len() },
                "{plans}: {other} of {}",
                a.len()
            );
        }
    }
}

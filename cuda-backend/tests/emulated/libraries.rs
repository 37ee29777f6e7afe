//! What the libraries do not take as it is, and the ways around: operands that start anywhere in their memory, problems that
//! they refuse when they are asked or when they are called. The emulated ones refuse some on purpose; real ones need not.

use cuda_backend::CudaBackend;
use tensor::graph::{Graph, interpret, passes};
use tensor::ops::{Binary, Conv2d, Conv2dWeight, ConvTranspose2d, Unary};
use tensor::{Backend, DType, Device, Meta, Ops, Tensor, cpu};

use crate::ops::FLOATS;
use crate::support::{assert_close, check, device, environment, gpu, normal};

fn back(t: &Tensor) -> Tensor {
    t.to_device(&cpu::device()).unwrap()
}

#[test]
fn products_take_views_that_start_anywhere() {
    for dtype in FLOATS {
        let (a, b) = (normal(&[4, 6, 7], dtype, 1), normal(&[4, 7, 5], dtype, 2));
        for start in 0..3 {
            let views = |a: &Tensor, b: &Tensor| {
                let (a, b) = (a.narrow(1, start, 3).unwrap(), b.narrow(0, start, 1).unwrap());
                // One matrix; a batch whose matrices lie an odd number of elements apart; the second factor transposed.
                let one = a.narrow(0, 1, 1).unwrap().matmul(&b).unwrap();
                let turned = b.transpose(1, 2).unwrap().matmul(&a.transpose(1, 2).unwrap()).unwrap();
                [one, a.matmul(&b).unwrap(), turned]
            };
            let moved = [&a, &b].map(|t| t.to_device(&device()).unwrap());
            for (got, want) in views(&moved[0], &moved[1]).iter().zip(views(&a, &b)) {
                assert_close(&back(got), &want, &format!("{dtype} from {start}"));
            }
        }
    }
}

#[test]
fn convolutions_take_views_that_start_anywhere() {
    for dtype in [DType::F32, DType::F16] {
        let (x, w) = (normal(&[3, 3, 5, 5], dtype, 1), normal(&[4, 3, 3, 3], dtype, 2));
        let conv = |x: &Tensor, w: &Tensor| {
            let (x, w) = (x.narrow(0, 1, 2).unwrap(), w.narrow(0, 1, 3).unwrap());
            x.conv2d(&w, None, &Conv2d::default()).unwrap()
        };
        let [mx, mw] = [&x, &w].map(|t| t.to_device(&device()).unwrap());
        assert_close(&back(&conv(&mx, &mw)), &conv(&x, &w), &dtype.to_string());
    }
}

/// `relu(conv(x) + bias)`, then the same with `x` added before the ReLU where the channels allow it.
fn with_epilogue(filters: usize, kernel: usize) -> (Graph, Graph) {
    let mut g = Graph::new();
    let x = g.input(Meta::new(&[2, 4, 5, 6][..], DType::F32));
    let padding = [kernel / 2; 2];
    let w = g.constant(normal(&[filters, 4, kernel, kernel], DType::F32, 1));
    // Not at the start of its memory.
    let b = g.constant(normal(&[filters + 3], DType::F32, 2).narrow(0, 1, filters).unwrap());
    let conv = Conv2d { padding, ..Conv2d::default() };
    let mut y = g.push(conv.into(), &[x, w, b], "conv").unwrap()[0];
    if filters == 4 {
        y = g.push(Binary::Add.into(), &[y, x], "add").unwrap()[0];
    }
    y = g.push(Unary::Relu.into(), &[y], "relu").unwrap()[0];
    g.outputs.push(y);
    let mut fused = g.clone();
    passes::optimize(&mut fused).unwrap();
    (g, fused)
}

#[test]
fn plans_go_on_where_a_library_refuses_what_follows_a_convolution() {
    let x = normal(&[2, 4, 5, 6], DType::F32, 3);
    for (filters, kernel) in [(1, 1), (2, 1), (3, 1), (4, 1), (3, 3), (4, 3)] {
        let (plain, fused) = with_epilogue(filters, kernel);
        assert!(fused.nodes.len() == 1, "{fused}");
        let plan = gpu().plan(&fused).unwrap();
        let want = interpret(&plain, &[&x]).unwrap();
        for run in ["first", "replayed"] {
            let got = plan.run(&[&x]).unwrap();
            assert_close(&back(&got[0]), &want[0], &format!("{filters} filters of {kernel}x{kernel}, {run}"));
        }
    }
}

#[test]
fn weights_that_are_not_finite_are_seen_in_what_a_plan_computes() {
    let x = normal(&[1, 4, 5, 6], DType::F32, 3);
    for (kernel, wrong) in [(1, f32::NAN), (3, f32::NAN), (1, f32::INFINITY), (3, f32::NEG_INFINITY)] {
        let mut g = Graph::new();
        let input = g.input(x.meta());
        let mut values = normal(&[4, 4, kernel, kernel], DType::F32, 1).to_vec::<f32>().unwrap();
        values[kernel] = wrong;
        let w = g.constant(Tensor::from_vec(values, &[4, 4, kernel, kernel]).unwrap());
        let b = g.constant(normal(&[4], DType::F32, 2));
        // Without padding: whether it is multiplied with is everybody's own choice.
        let y = g.push(Conv2d::default().into(), &[input, w, b], "conv").unwrap()[0];
        let y = g.push(Unary::Relu.into(), &[y], "relu").unwrap()[0];
        g.outputs.push(y);
        let numbers = |t: &Tensor| t.to_vec::<f32>().unwrap();
        let want = numbers(&interpret(&g, &[&x]).unwrap()[0]);
        assert!(want.iter().any(|v| !v.is_finite()));
        passes::optimize(&mut g).unwrap();
        let got = numbers(&gpu().plan(&g).unwrap().run(&[&x]).unwrap()[0]);
        // An algorithm that works in tiles may spread what is not finite, but none hides it.
        let hidden = got.iter().zip(&want).filter(|(got, want)| got.is_finite() && !want.is_finite()).count();
        assert_eq!(hidden, 0, "{wrong} in {kernel}x{kernel}");
    }
}

#[test]
fn our_own_kernels_do_what_is_not_even_measured() {
    let conv = Conv2d { padding: [2, 2], ..Conv2d::default() };
    let (x, w) = (normal(&[1, 2, 6, 7], DType::F32, 1), normal(&[3, 2, 5, 5], DType::F32, 2));
    let y = normal(&[1, 3, 6, 7], DType::F32, 3);
    check(conv.clone(), &[&x, &w]);
    check(ConvTranspose2d { conv: conv.clone(), output_padding: [0, 0] }, &[&y, &w]);
    check(Conv2dWeight { conv, kernel: [5, 5] }, &[&x, &y]);
}

/// The numbers in the file are those of the emulated library.
#[test]
fn a_remembered_algorithm_that_does_not_serve_any_more_gives_way() {
    if std::env::var_os("DSNET_TEST_GPU").is_some() {
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let env = environment().with("DSNET_CACHE", cache.path().as_os_str());
    let conv = Conv2d { stride: [2, 2], ..Conv2d::default() };
    let (x, w) = (normal(&[1, 2, 9, 9], DType::F32, 1), normal(&[3, 2, 3, 3], DType::F32, 2));
    let run = || {
        let device: Device = CudaBackend::open(&env, 0).unwrap();
        let [x_there, w_there] = [&x, &w].map(|t| t.to_device(&device).unwrap());
        let y = x_there.conv2d(&w_there, None, &conv).unwrap();
        assert_close(&back(&y), &x.conv2d(&w, None, &conv).unwrap(), "stride 2");
    };
    run();
    let mut files = std::fs::read_dir(cache.path().join("convolutions")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    let written = std::fs::read_to_string(&file).unwrap();
    // The first answer was refused when it was called; without TF32, f32 is multiplied as it is.
    let key = written.strip_prefix("1 3 ").unwrap_or_else(|| panic!("{written}"));
    assert!(key.starts_with("2: Forward x 1x2x9x9"), "{key}");
    // Refused at the call; in arithmetic that rounds; in one that nobody knows; an algorithm that nobody knows; the form before.
    for start in ["5 3 ", "4 0 ", "1 9 ", "99 3 ", "5 "] {
        std::fs::write(&file, format!("{start}{key}")).unwrap();
        run();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), written, "after {start:?}");
    }
}

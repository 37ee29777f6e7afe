//! `batch_norm.cu`, `softmax.cu`, `focal_loss.cu`, `epilogue.cu`: kernels over [pixels, channels].

use tensor::{
    DType, Format, Op, Ops, Tensor, execute,
    ops::{
        BatchNorm, BatchNormApply, BatchNormInput, BatchNormReduce, BatchNormStats, FocalLoss,
        FocalLossInput, LogSoftmax, Softmax,
    },
};

use crate::{
    host::{Memory, schedules},
    near::{FLOATS, equal, near, normal, whole},
};

const ROW: Format = Format::Contiguous;
const NULL: u64 = 0;

fn cpu(op: impl Into<Op>, ins: &[&Tensor]) -> Vec<Tensor> {
    execute(&op.into(), ins).unwrap().into_vec()
}

#[test]
fn batch_normalisation() {
    schedules(|host| {
        for dtype in FLOATS {
            for (pixels, channels, piece) in [(203, 5, 64), (40, 16, 40), (1000, 40, 300), (2, 3, 1)] {
                let (eps, dims, wide) = (1e-3, [pixels, channels], dtype.wide());
                let x = normal(&dims, dtype, 1).add_scalar(3.0).unwrap();
                let [g, r] = [2, 3].map(|s| normal(&dims, dtype, s));
                let [gamma, beta] = [4, 5].map(|s| normal(&[channels], wide, s));
                let pieces = pixels.div_ceil(piece);
                let grid = [channels.div_ceil(32) as u32, pieces as u32, 1];
                let (n, c, p, l) = ((pixels * channels) as i64, channels as i32, pixels as i64, piece as i64);
                let [mx, mg, mr, mgamma, mbeta] = [&x, &g, &r, &gamma, &beta].map(|t| Memory::of(t, ROW));
                let (mean, var) = (Memory::new(channels, wide), Memory::new(channels, wide));
                let parts = Memory::new(2 * pieces * channels, DType::F64);
                let k = Memory::new(6 * channels, wide);
                let named = |name: &str| format!("bn_{name}_{dtype}");
                host.launch(&named("stats_parts"), grid, [32, 8, 1], &[&mx, &parts, &p, &c, &l]);
                host.over(
                    &named("stats_finish"),
                    channels,
                    &[&parts, &mean, &var, &mgamma, &mbeta, &k, &p, &c, &l, &eps],
                );
                let stats = cpu(BatchNormStats, &[&x]);
                let (mean_t, var_t) = (mean.read(&[channels], wide, ROW), var.read(&[channels], wide, ROW));
                near(&mean_t, &stats[0], 2.0, 1.0, "mean");
                // Of halves, the squares are few and coarse, and what is rounded off is alike.
                let steps = if dtype.is_half() { 16.0 } else { 4.0 };
                near(&var_t, &stats[1], steps, 1.0, "variance");

                for relu in [false, true] {
                    // As one operation: with the statistics as they are computed in.
                    let want = &cpu(BatchNorm { eps, relu }, &[&x, &gamma, &beta])[0];
                    let y = Memory::new(x.len(), dtype);
                    let flag = i32::from(relu);
                    host.over(&named("apply"), x.len(), &[&mx, &NULL, &y, &k, &n, &c, &flag]);
                    near(&y.read(&dims, dtype, ROW), want, 8.0, 4.0, "batch_norm");

                    // From given statistics.
                    let (m, v) = (&stats[0], &stats[1]);
                    let [mm, mv] = [m, v].map(|t| Memory::of(t, ROW));
                    let sums = cpu(BatchNormReduce { eps, relu }, &[&x, &g, m, v, &gamma, &beta]);
                    let [ms, mp] = [&sums[0], &sums[1]].map(|t| Memory::of(t, ROW));
                    let (k, count) = (Memory::new(6 * channels, wide), pixels as f64);
                    host.over(
                        &named("coefficients"),
                        channels,
                        &[&mm, &mv, &mgamma, &mbeta, &ms, &mp, &k, &c, &eps, &count],
                    );
                    let want = &cpu(BatchNormApply { eps, relu }, &[&x, m, v, &gamma, &beta])[0];
                    host.over(&named("apply"), x.len(), &[&mx, &NULL, &y, &k, &n, &c, &flag]);
                    near(&y.read(&dims, dtype, ROW), want, 1.0, 1.0, "batch_norm_apply");
                    if dtype == wide {
                        let plain = BatchNormApply { eps, relu: false };
                        let want = cpu(plain, &[&x, m, v, &gamma, &beta])[0].add(&r).unwrap();
                        let want = if relu { want.relu().unwrap() } else { want };
                        host.over(&named("apply"), x.len(), &[&mx, &mr, &y, &k, &n, &c, &flag]);
                        near(&y.read(&dims, dtype, ROW), &want, 1.0, 1.0, "with a residual");
                    }

                    let (sum, product) = (Memory::new(channels, wide), Memory::new(channels, wide));
                    let parts = Memory::new(2 * pieces * channels, DType::F64);
                    host.launch(
                        &named("reduce_parts"),
                        grid,
                        [32, 8, 1],
                        &[&mx, &mg, &k, &parts, &p, &c, &l, &flag],
                    );
                    host.over(
                        &named("reduce_finish"),
                        channels,
                        &[&parts, &k, &sum, &product, &c, &(pieces as i32)],
                    );
                    near(&sum.read(&[channels], wide, ROW), &sums[0], 2.0, count, "sum");
                    near(&product.read(&[channels], wide, ROW), &sums[1], 4.0, count, "product");

                    let op = BatchNormInput { eps, relu, count: pixels };
                    let ins = [&x, &g, m, v, &gamma, &beta, &sums[0], &sums[1]];
                    host.over(&named("input"), x.len(), &[&mx, &mg, &y, &k, &n, &c, &flag]);
                    near(&y.read(&dims, dtype, ROW), &cpu(op, &ins)[0], 2.0, 1.0, "batch_norm_input");
                }
            }
        }
    });
}

#[test]
fn softmaxes() {
    schedules(|host| {
        for dtype in FLOATS {
            for (rows, k) in [(1, 1), (77, 19), (5, 300), (40, 32)] {
                let x = normal(&[rows, k], dtype, 1).mul_scalar(4.0).unwrap();
                let turned = x.transpose(0, 1).unwrap();
                let (mx, mt) = (Memory::of(&x, ROW), Memory::of(&turned, ROW));
                for log in [false, true] {
                    let want = if log {
                        cpu(LogSoftmax { axis: 1 }, &[&x])
                    } else {
                        cpu(Softmax { axis: 1 }, &[&x])
                    };
                    let (y, flag) = (Memory::new(x.len(), dtype), i32::from(log));
                    let (r, kk) = (rows as i64, k as i32);
                    host.over(&format!("softmax_rows_{dtype}"), 2 * rows, &[&mx, &y, &r, &kk, &flag]);
                    near(&y.read(&[rows, k], dtype, ROW), &want[0], 4.0, 1.0, "softmax of rows");
                    let name = format!("softmax_lines_{dtype}");
                    host.over(&name, rows, &[&mt, &y, &r, &kk, &(rows as i32), &flag]);
                    let got = y.read(&[k, rows], dtype, ROW).transpose(0, 1).unwrap();
                    near(&got, &want[0], 4.0, 1.0, "softmax of lines");
                }
            }
        }
    });
}

#[test]
fn focal_losses() {
    schedules(|host| {
        for dtype in FLOATS {
            for label in [DType::U8, DType::I64] {
                let (pixels, classes, ignore) = (900, 7, 255_i64);
                let x = normal(&[pixels, classes], dtype, 1).mul_scalar(3.0).unwrap();
                let mut truth = whole(&[pixels], classes, DType::I64, 2).to_vec::<i64>().unwrap();
                truth.iter_mut().step_by(9).for_each(|t| *t = ignore);
                let labels = Tensor::from_slice(&truth, &[pixels]).unwrap().cast(label).unwrap();
                let wide = dtype.wide();
                let per_class = |v: [f64; 7]| Tensor::from_slice(&v, &[7]).unwrap().cast(wide).unwrap();
                let alpha = per_class([1.0, 0.5, 2.0, 1.25, 0.25, 1.0, 3.0]);
                let gamma = per_class([0.0, 1.0, 2.0, 2.5, 0.0, 1.5, 5.0]);
                let weight = Tensor::scalar(0.75_f64).cast(wide).unwrap();
                let sums = cpu(FocalLoss { ignore }, &[&x, &labels, &alpha, &gamma]);
                let gradient = &cpu(FocalLossInput { ignore }, &[&x, &labels, &alpha, &gamma, &weight])[0];

                let [mx, ml, ma, mg, mw] = [&x, &labels, &alpha, &gamma, &weight].map(|t| Memory::of(t, ROW));
                let (parts, dz) = (Memory::new(2 * 3, DType::F64), Memory::new(x.len(), dtype));
                let fault = Memory::new(1, DType::I64);
                let kernel = format!("focal_loss_{dtype}_{label}");
                let (n, k) = (pixels as i64, classes as i32);
                host.launch(
                    &kernel,
                    [3, 1, 1],
                    [256, 1, 1],
                    &[&mx, &ml, &ma, &mg, &mw, &dz, &parts, &n, &k, &ignore, &fault, &9_u32],
                );
                let (sum, count) = (Memory::new(1, wide), Memory::new(1, wide));
                let finish = format!("focal_loss_finish_{wide}");
                host.launch(&finish, [1, 1, 1], [256, 1, 1], &[&parts, &sum, &count, &3_i32]);
                near(&sum.read(&[], wide, ROW), &sums[0], 16.0, 1.0, &kernel);
                equal(&count.read(&[], wide, ROW), &sums[1], "labelled pixels");
                near(&dz.read(&[pixels, classes], dtype, ROW), gradient, 16.0, 0.1, &kernel);
                assert_eq!(fault.values::<i64>(), [-1]);
                // One after the other is the same.
                let again = Memory::new(x.len(), dtype);
                host.launch(
                    &kernel,
                    [2, 1, 1],
                    [256, 1, 1],
                    &[&mx, &ml, &ma, &mg, &mw, &again, &NULL, &n, &k, &ignore, &fault, &9_u32],
                );
                equal(&again.read(x.dims(), dtype, ROW), &dz.read(x.dims(), dtype, ROW), "alone");
            }
        }
    });
}

#[test]
fn unknown_labels_and_exponents_are_reported() {
    schedules(|host| {
        let (x, a) = (Memory::zeros(12, DType::F32), Memory::with(&[1_f32; 3]));
        let fault = |labels: &[u8; 4], gamma: &[f32; 3]| {
            let (l, g, fault) = (Memory::with(labels), Memory::with(gamma), Memory::new(1, DType::I64));
            let parts = Memory::new(2, DType::F64);
            host.launch(
                "focal_loss_f32_u8",
                [1, 1, 1],
                [256, 1, 1],
                &[&x, &l, &a, &g, &NULL, &NULL, &parts, &4_i64, &3_i32, &255_i64, &fault, &2_u32],
            );
            fault.values::<i64>()[0]
        };
        assert_eq!(fault(&[0, 255, 2, 1], &[0.0, 1.0, 2.0]), -1);
        assert_eq!(fault(&[0, 255, 3, 7], &[0.0, 1.0, 2.0]), 2 << 40 | 2);
        assert_eq!(fault(&[0, 255, 2, 1], &[0.0, 0.5, 2.0]), 2 << 40 | (4 + 1));
    });
}

#[test]
fn epilogues_and_the_last_layer() {
    schedules(|host| {
        for dtype in FLOATS {
            let (pixels, channels) = (61, 12);
            let (x, r) = (normal(&[pixels, channels], dtype, 1), normal(&[pixels, channels], dtype, 2));
            let bias = normal(&[channels], dtype, 3);
            let [mx, mr, mb] = [&x, &r, &bias].map(|t| Memory::of(t, ROW));
            let (n, c, y) = (x.len() as i64, channels as i32, Memory::new(x.len(), dtype));
            host.over(&format!("epilogue_{dtype}"), x.len(), &[&mx, &mb, &mr, &y, &n, &c, &1, &1]);
            let up = |t: &Tensor| t.cast(dtype.wide()).unwrap();
            let want = up(&x).add(&up(&bias)).unwrap().relu().unwrap().add(&up(&r)).unwrap().relu().unwrap();
            equal(&y.read(x.dims(), dtype, ROW), &want.cast(dtype).unwrap(), "epilogue");
            for (channels, classes) in [(12, 5), (70, 19), (64, 33)] {
                let (x, w) = (normal(&[300, channels], dtype, 4), normal(&[classes, channels], dtype, 5));
                let bias = normal(&[classes], dtype, 6);
                let logits = up(&x).matmul(&up(&w).transpose(0, 1).unwrap()).unwrap();
                let want = logits.add(&up(&bias)).unwrap().argmax(1).unwrap().cast(DType::U8).unwrap();
                let [mx, mw, mb] = [&x, &w, &bias].map(|t| Memory::of(t, ROW));
                let y = Memory::new(300, DType::U8);
                let name = format!("head_labels_{dtype}");
                let (c, k) = (channels as i32, classes as i32);
                host.launch(&name, [2, 1, 1], [256, 1, 1], &[&mx, &mw, &mb, &y, &300_i64, &c, &k]);
                equal(&y.read(&[300], DType::U8, ROW), &want, &name);
            }
        }
    });
}

//! `pool.cu`, `resize.cu`, `conv.cu`: kernels over NHWC maps.

use tensor::{
    DType, Format, Op, Ops, Tensor, execute,
    ops::{
        AvgPool2d, AvgPool2dInput, Conv2d, Conv2dWeight, ConvTranspose2d, Interpolation, MaxPool2d,
        MaxUnpool2d, PoolGather, Resize2d, Resize2dInput, Window,
    },
};

use crate::{
    host::{Arg, Host, Memory, schedules},
    near::{FLOATS, equal, near, normal, whole},
    structs::{Conv, Pool, Resize},
};

const NHWC: Format = Format::ChannelsLast;

fn cpu(op: impl Into<Op>, ins: &[&Tensor]) -> Vec<Tensor> {
    execute(&op.into(), ins).unwrap().into_vec()
}

/// Runs a kernel whose arguments are pointers, a struct, the number of elements of the result, and more.
fn run(host: &Host, kernel: &str, before: &[&dyn Arg], want: &Tensor, steps: f64, after: &[&dyn Arg]) {
    let (y, n) = (Memory::new(want.len(), want.dtype()), want.len() as i64);
    let (pointers, geometry) = before.split_at(before.len() - 1);
    let args: Vec<&dyn Arg> = pointers
        .iter()
        .copied()
        .chain([&y as &dyn Arg, geometry[0], &n])
        .chain(after.iter().copied())
        .collect();
    host.over(kernel, want.len(), &args);
    near(&y.read(want.dims(), want.dtype(), NHWC), want, steps, 1.0, kernel);
}

#[test]
fn pools() {
    let windows = [
        ([2, 2], [2, 2], [0, 0], [7, 8]),
        ([3, 3], [2, 2], [1, 1], [9, 7]),
        ([3, 2], [1, 3], [0, 1], [5, 8]),
        ([1, 1], [2, 2], [0, 0], [4, 5]),
    ];
    schedules(|host| {
        for dtype in FLOATS {
            for ((kernel, stride, padding, size), c) in windows.into_iter().flat_map(|w| [(w, 5), (w, 8)]) {
                let window = Window { kernel, stride, padding };
                // Few values: ties; and a NaN.
                let mut values = whole(&[2, c, size[0], size[1]], 9, dtype, 1).to_f64_vec().unwrap();
                values[17] = f64::NAN;
                let dims = [2, c, size[0], size[1]];
                let x = Tensor::from_slice(&values, &dims).unwrap().cast(dtype).unwrap();
                let pooled = cpu(MaxPool2d { window }, &[&x]);
                let [oh, ow] = window.output_size(size).unwrap();
                let sizes = [2, c, size[0], size[1], oh, ow, kernel[0], kernel[1], stride[0], stride[1]];
                let mut all = [0; 12];
                sizes.iter().chain(&padding).zip(&mut all).for_each(|(&s, to)| *to = s as i32);
                let (geometry, from) = (Pool(all), Memory::of(&x, NHWC));
                let (y, index) =
                    (Memory::new(pooled[0].len(), dtype), Memory::new(pooled[0].len(), DType::U8));
                let n = pooled[0].len();
                host.over(&format!("max_pool_{dtype}"), n, &[&from, &y, &index, &geometry, &(n as i64)]);
                equal(&y.read(pooled[0].dims(), dtype, NHWC), &pooled[0], "max_pool");
                equal(&index.read(pooled[0].dims(), DType::U8, NHWC), &pooled[1], "places");

                let fault = Memory::new(1, DType::I64);
                let more: [&dyn Arg; 2] = [&fault, &3_u32];
                let gathered = &cpu(PoolGather { window }, &[&x, &pooled[1]])[0];
                run(host, &format!("pool_gather_{dtype}"), &[&from, &index, &geometry], gathered, 0.0, &more);
                let g = normal(pooled[0].dims(), dtype, 2);
                let mg = Memory::of(&g, NHWC);
                let unpooled = &cpu(MaxUnpool2d { window, size }, &[&g, &pooled[1]])[0];
                run(host, &format!("max_unpool_{dtype}"), &[&mg, &index, &geometry], unpooled, 1.0, &[]);
                host.over("check_pool_index", n, &[&index, &geometry, &(n as i64), &fault, &3_u32]);
                assert_eq!(fault.values::<i64>(), [-1]);

                let x = normal(&dims, dtype, 3);
                let from = Memory::of(&x, NHWC);
                for count_padding in [false, true] {
                    let pool = AvgPool2d { window, count_padding };
                    let flag = i32::from(count_padding);
                    let want = &cpu(pool.clone(), &[&x])[0];
                    run(host, &format!("avg_pool_{dtype}"), &[&from, &geometry], want, 2.0, &[&flag]);
                    let want = &cpu(AvgPool2dInput { pool, size }, &[&g])[0];
                    run(host, &format!("avg_pool_input_{dtype}"), &[&mg, &geometry], want, 2.0, &[&flag]);
                }
            }
        }
        // A place outside of the window, and one in the padding.
        let geometry = Pool([1, 1, 4, 4, 2, 2, 3, 3, 2, 2, 1, 1]);
        let index = Memory::with(&[4_u8, 0, 9, 5]);
        let fault = Memory::new(1, DType::I64);
        host.over("check_pool_index", 4, &[&index, &geometry, &4_i64, &fault, &1_u32]);
        assert_eq!(fault.values::<i64>(), [1 << 40 | 1]);
    });
}

#[test]
fn resizing() {
    let sizes = [
        ([4, 5], [8, 10]),
        ([7, 3], [5, 11]),
        ([6, 6], [6, 6]),
        ([1, 4], [5, 1]),
        ([9, 2], [1, 82]),
        ([16, 12], [3, 4]),
    ];
    schedules(|host| {
        for dtype in FLOATS {
            for ((from, to), c) in sizes.into_iter().flat_map(|s| [(s, 3), (s, 8)]) {
                for (mode, align_corners) in [
                    (Interpolation::Bilinear, false),
                    (Interpolation::Bilinear, true),
                    (Interpolation::Nearest, false),
                    (Interpolation::Nearest, true),
                ] {
                    let scale = [0, 1].map(|a| match (align_corners, to[a] - 1) {
                        (false, _) => from[a] as f64 / to[a] as f64,
                        (true, 0) => 0.0,
                        (true, last) => (from[a] - 1) as f64 / last as f64,
                    });
                    let sizes = [2, c, from[0], from[1], to[0], to[1]].map(|s| s as i32);
                    let bilinear = i32::from(mode == Interpolation::Bilinear);
                    let geometry = Resize { sizes, bilinear, align_corners: align_corners.into(), scale };
                    let resize = Resize2d { mode, align_corners, size: to };
                    let (x, g) = (
                        normal(&[2, c, from[0], from[1]], dtype, 1),
                        normal(&[2, c, to[0], to[1]], dtype, 2),
                    );
                    let (mx, mg) = (Memory::of(&x, NHWC), Memory::of(&g, NHWC));
                    let want = &cpu(resize.clone(), &[&x])[0];
                    run(host, &format!("resize_{dtype}"), &[&mx, &geometry], want, 2.0, &[]);
                    let want = &cpu(Resize2dInput { resize, input: from }, &[&g])[0];
                    // Sums of many terms: an f32 adds them in the order of the CPU, but products differ.
                    run(host, &format!("resize_input_{dtype}"), &[&mg, &geometry], want, 8.0, &[]);
                }
            }
        }
    });
}

#[test]
fn convolutions() {
    let cases = [
        // c, k, groups, kernel, stride, padding, dilation, size
        (6, 4, 1, [3, 3], [1, 1], [1, 1], [1, 1], [7, 9]),
        (6, 9, 3, [3, 1], [2, 1], [2, 0], [2, 1], [9, 6]),
        (8, 8, 8, [3, 3], [2, 2], [4, 4], [4, 4], [10, 11]),
        (5, 7, 1, [1, 1], [1, 1], [0, 0], [1, 1], [4, 3]),
    ];
    schedules(|host| {
        for dtype in FLOATS {
            for (c, k, groups, kernel, stride, padding, dilation, size) in cases {
                let conv = Conv2d { stride, padding, dilation, groups };
                let [oh, ow] = conv.output_size(size, kernel).unwrap();
                let x = normal(&[2, c, size[0], size[1]], dtype, 1);
                let w = normal(&[k, c / groups, kernel[0], kernel[1]], dtype, 2);
                let (g, bias) = (normal(&[2, k, oh, ow], dtype, 3), normal(&[k], dtype, 4));
                let all = [2, c, size[0], size[1], k, oh, ow, kernel[0], kernel[1]];
                let rest = [stride, padding, dilation].concat();
                let mut sizes = [0; 16];
                all.iter().chain(&rest).chain([&groups]).zip(&mut sizes).for_each(|(&s, to)| *to = s as i32);
                // The weight as cuDNN wants it: channels last.
                let at = tensor::Layout::dense(w.dims(), NHWC);
                let mut steps = [0; 4];
                at.strides().iter().zip(&mut steps).for_each(|(&s, to)| *to = s as i64);
                let geometry = Conv { sizes, steps };
                // The CPU sums in another order, some of it by Winograd's method; halves are rounded once.
                let steps = if dtype.is_half() { 2.0 } else { 100.0 };
                let (mx, mw, mg, mb) = (
                    Memory::of(&x, NHWC),
                    Memory::of(&w, NHWC),
                    Memory::of(&g, NHWC),
                    Memory::of(&bias, Format::Contiguous),
                );
                let want = &cpu(conv.clone(), &[&x, &w, &bias])[0];
                run(host, &format!("conv_{dtype}"), &[&mx, &mw, &mb, &geometry], want, steps, &[]);
                let output_padding = [0, 1].map(|a| {
                    let full = (g.dims()[2 + a] - 1) * stride[a] + dilation[a] * (kernel[a] - 1) + 1;
                    size[a] + 2 * padding[a] - full
                });
                let none = 0_u64;
                let want = &cpu(ConvTranspose2d { conv: conv.clone(), output_padding }, &[&g, &w])[0];
                run(host, &format!("conv_input_{dtype}"), &[&mg, &mw, &none, &geometry], want, steps, &[]);
                let want = &cpu(Conv2dWeight { conv, kernel }, &[&x, &g])[0];
                let (y, name) = (Memory::new(w.len(), dtype), format!("conv_weight_{dtype}"));
                host.launch(&name, [3, 1, 1], [256, 1, 1], &[&mx, &mg, &y, &geometry]);
                near(&y.read(w.dims(), dtype, NHWC), want, steps, 1.0, &name);
            }
        }
    });
}

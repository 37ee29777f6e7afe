//! `reduce.cu`, `arg_reduce.cu`, `counting.cu`.

use tensor::{
    DType, Format, Ops, Tensor, execute,
    ops::{ArgReduce, Bincount, Extremum, Histogram, Reduce, Reduction},
};

use crate::{
    host::{Host, Memory, schedules},
    near::{FLOATS, equal, near, normal, whole},
    structs::Walk,
};

const ROW: Format = Format::Contiguous;

/// The dtype of partial results.
fn parts_of(sum: bool, dtype: DType) -> DType {
    match (sum, dtype) {
        (true, DType::U8) => DType::I64,
        (true, DType::F32) if sum => DType::F64,
        (true, d) if d.is_half() => DType::F64,
        (false, d) if d.is_half() => DType::F32,
        (_, d) => d,
    }
}

/// Reduces the axes of `x` both ways that kernels can, in pieces, and compares with the CPU.
fn reduce(host: &Host, x: &Tensor, axes: &[usize], piece: usize) {
    let dtype = x.dtype();
    let kept: Vec<usize> = (0..x.dims().len()).filter(|a| !axes.contains(a)).collect();
    let walk = |axes: &[usize]| {
        let pick = |v: &[usize]| axes.iter().map(|&a| v[a]).collect::<Vec<_>>();
        (Walk::new(&pick(x.dims()), [&pick(x.layout().strides())]), pick(x.dims()).iter().product::<usize>())
    };
    let ((kept, results), (reduced, count)) = (walk(&kept), walk(axes));
    let pieces = count.div_ceil(piece);
    let from = Memory::of(x, ROW);
    for (kind, name) in
        [(Reduction::Sum, "sum"), (Reduction::Mean, "sum"), (Reduction::Max, "max"), (Reduction::Min, "min")]
    {
        if kind == Reduction::Mean && !dtype.is_float() {
            continue;
        }
        let op = Reduce { kind, axes: axes.iter().copied().collect(), keep: false };
        let want = execute(&op.into(), &[x]).unwrap().remove(0);
        let sum = name == "sum";
        let scale = if sum && kind == Reduction::Sum { count as f64 } else { 1.0 };
        for (way, grid, block) in [
            ("rows", results.min(5) as u32, [256, 1, 1]),
            ("columns", (results.div_ceil(32)).min(2) as u32, [32, 8, 1]),
        ] {
            let parts = Memory::new(pieces * results, parts_of(sum, dtype));
            let y = Memory::new(results, want.dtype());
            let kernel = format!("reduce_{way}_{name}_{dtype}");
            let (n, c, p) = (results as i64, count as i64, piece as i64);
            let args: [&dyn crate::host::Arg; 7] = [&from, &parts, &kept, &reduced, &n, &c, &p];
            host.launch(&kernel, [grid, pieces as u32, 1], block, &args);
            let divisor = if kind == Reduction::Mean { count as f64 } else { 1.0 };
            let finish = format!("reduce_finish_{name}_{dtype}");
            host.over(&finish, results, &[&parts, &y, &n, &(pieces as i32), &divisor]);
            near(&y.read(want.dims(), want.dtype(), ROW), &want, if sum { 1.0 } else { 0.0 }, scale, &kernel);
        }
    }
}

#[test]
fn sums_and_extrema() {
    schedules(|host| {
        for dtype in DType::ALL {
            let x = normal(&[6, 35, 9], dtype, 1);
            reduce(host, &x, &[1], 64);
            reduce(host, &x, &[0, 2], 16);
            reduce(host, &x, &[0, 1, 2], 700);
            reduce(host, &normal(&[3, 1000], dtype, 2), &[1], 400);
            reduce(host, &normal(&[1], dtype, 3), &[0], 1);
        }
        let mut odd: Vec<f32> = (0..300).map(|i| i as f32).collect();
        odd[7] = f32::NAN;
        odd[200] = f32::NEG_INFINITY;
        reduce(host, &Tensor::from_slice(&odd, &[3, 100]).unwrap(), &[1], 30);
    });
}

#[test]
fn places_of_extrema() {
    schedules(|host| {
        for dtype in DType::ALL {
            // Few different values: ties. And NaN.
            let mut all = whole(&[5 * 700], 50, dtype, 4).to_f64_vec().unwrap();
            if dtype.is_float() {
                for i in [3, 710, 1500, 1501] {
                    all[i] = f64::NAN;
                }
            }
            let x = Tensor::from_slice(&all, &[5, 700]).unwrap().cast(dtype).unwrap();
            let from = Memory::of(&x, ROW);
            for axis in [0, 1] {
                let (len, n, steps) = (x.dims()[axis], x.dims()[1 - axis], [700, 1]);
                let kept = Walk::new(&[n], [&[steps[1 - axis]]]);
                let step = steps[axis] as i64;
                for (kind, name) in [(Extremum::Max, "max"), (Extremum::Min, "min")] {
                    let op = ArgReduce { kind, axis, keep: false };
                    let want = execute(&op.into(), &[&x]).unwrap().remove(0);
                    for (long, blocks) in [("", 2), ("long_", 3)] {
                        let y = Memory::new(n, DType::I64);
                        let kernel = format!("arg_{name}_{long}{dtype}");
                        let args: [&dyn crate::host::Arg; 6] =
                            [&from, &y, &kept, &(n as i64), &(len as i32), &step];
                        host.launch(&kernel, [blocks, 1, 1], [256, 1, 1], &args);
                        equal(&y.read(&[n], DType::I64, ROW), &want, &kernel);
                    }
                    if kind == Extremum::Max && axis == 0 && dtype.is_float() {
                        let y = Memory::new(n, DType::U8);
                        let args: [&dyn crate::host::Arg; 6] =
                            [&from, &y, &kept, &(n as i64), &(len as i32), &step];
                        host.over(&format!("labels_{dtype}"), n, &args);
                        equal(&y.read(&[n], DType::U8, ROW), &want.cast(DType::U8).unwrap(), "labels");
                    }
                }
            }
        }
    });
}

#[test]
fn counts() {
    schedules(|host| {
        for (dtype, bins) in [(DType::U8, 19), (DType::I64, 19), (DType::I64, 3000)] {
            let x = whole(&[2000], bins, dtype, 5);
            let (from, y) = (Memory::of(&x, ROW), Memory::zeros(bins, DType::I64));
            let fault = Memory::new(1, DType::I64);
            host.over(
                &format!("bincount_{dtype}"),
                2000,
                &[&from, &y, &2000_i64, &(bins as i32), &fault, &7_u32],
            );
            let want = execute(&Bincount { bins }.into(), &[&x]).unwrap().remove(0);
            equal(&y.read(&[bins], DType::I64, ROW), &want, "bincount");
            assert_eq!(fault.values::<i64>(), [-1]);
            // With fewer bins, the first of those outside is reported.
            let (few, y) = (bins / 2, Memory::zeros(bins / 2, DType::I64));
            host.over(
                &format!("bincount_{dtype}"),
                2000,
                &[&from, &y, &2000_i64, &(few as i32), &fault, &7_u32],
            );
            let values = x.cast(DType::I64).unwrap().to_vec::<i64>().unwrap();
            let first = values.iter().position(|&v| v >= few as i64).unwrap() as i64;
            assert_eq!(fault.values::<i64>(), [7 << 40 | first]);
        }
        for dtype in FLOATS {
            let x = normal(&[2000], dtype, 6);
            let (low, high, bins) = (-2.0, 2.5, 13);
            let (from, y) = (Memory::of(&x, ROW), Memory::zeros(bins, DType::I64));
            let kernel = format!("histogram_{dtype}");
            host.over(&kernel, 2000, &[&from, &y, &2000_i64, &(bins as i32), &low, &high]);
            let want = execute(&Histogram { bins, low, high }.into(), &[&x]).unwrap().remove(0);
            equal(&y.read(&[bins], DType::I64, ROW), &want, &kernel);
        }
    });
}

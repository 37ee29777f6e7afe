//! `pointwise.cu` and `cast.cu`.

use tensor::{
    DType, Format, Op, Ops, Tensor, execute,
    ops::{Binary, Compare, Select, Unary},
};

use crate::{
    host::{Host, Memory, schedules},
    near::{equal, near, normal, whole},
    structs::Walk,
};

const ROW: Format = Format::Contiguous;

fn cpu(op: impl Into<Op>, ins: &[&Tensor]) -> Tensor {
    execute(&op.into(), ins).unwrap().remove(0)
}

/// Numbers of all kinds: small, large, at the edges, and (for floats) zeros of both signs, infinities, NaN.
fn numbers(n: usize, dtype: DType, stream: u64) -> Tensor {
    let edges = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -3.5, 90.0, -90.0, 255.0, 256.0, 1e4, -1e4];
    let special = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let mut all = normal(&[n], dtype, stream).to_f64_vec().unwrap();
    for (to, from) in all.iter_mut().skip(3).zip(edges.iter().chain(&special)) {
        *to = *from;
    }
    Tensor::from_slice(&all, &[n]).unwrap().cast(dtype).unwrap()
}

const SIZES: [usize; 4] = [0, 1, 37, 1333];

#[test]
fn functions_of_one_operand() {
    let functions = Unary::all(1.7, 2.4);
    schedules(|host| {
        for dtype in DType::ALL {
            for f in functions.iter().filter(|f| dtype.is_float() || f.takes_integers()) {
                let (id, [p, q]) = (f.number() as i32, f.parameters());
                for n in SIZES {
                    let (x, what) = (numbers(n, dtype, 1), format!("{f:?} {dtype}"));
                    let want = cpu(*f, &[&x]);
                    // Two mathematical libraries may differ by a rounding or two.
                    let steps = if dtype.is_half() { 1.0 } else { 3.0 };
                    for shift in [0, dtype.size()] {
                        let (a, y) =
                            (Memory::shifted_of(&x, ROW, shift), Memory::shifted(n * dtype.size(), shift));
                        host.over(&format!("unary_{dtype}"), n, &[&id, &a, &y, &(n as i64), &p, &q]);
                        near(&y.read(&[n], dtype, ROW), &want, steps, 0.0, &what);
                    }
                    let (a, y) = (Memory::of(&x, ROW), Memory::new(n, dtype));
                    let walk = Walk::over([x.layout()]);
                    host.over(
                        &format!("unary_strided_{dtype}"),
                        n,
                        &[&id, &a, &y, &walk, &(n as i64), &p, &q],
                    );
                    near(&y.read(&[n], dtype, ROW), &want, steps, 0.0, &what);
                }
            }
        }
    });
}

/// Runs a kernel of two operands, dense where they are alike, and with one broadcast.
fn two(host: &Host, kernel: &str, id: i32, dtype: DType, result: DType, op: &Op, steps: f64) {
    for n in SIZES {
        let (a, b) = (numbers(n, dtype, 2), numbers(n, dtype, 9).permute(&[0]).unwrap());
        let (ma, mb, y) = (Memory::of(&a, ROW), Memory::of(&b, ROW), Memory::new(n, result));
        host.over(&format!("{kernel}_{dtype}"), n, &[&id, &ma, &mb, &y, &(n as i64)]);
        let want = execute(op, &[&a, &b]).unwrap().remove(0);
        near(&y.read(&[n], result, ROW), &want, steps, 0.0, &format!("{op:?} {dtype}"));
    }
    let (a, b) = (numbers(5 * 7 * 6, dtype, 3), numbers(7, dtype, 4));
    let a = a.reshape(&[5, 7, 6]).unwrap().permute(&[2, 0, 1]).unwrap();
    let wide = b.broadcast_to(&[6, 5, 7]).unwrap();
    let (ma, mb) = (Memory::of(&a.permute(&[1, 2, 0]).unwrap(), ROW), Memory::of(&b, ROW));
    let (y, walk, n) = (Memory::new(210, result), Walk::over([a.layout(), wide.layout()]), 210_i64);
    host.over(&format!("{kernel}_strided_{dtype}"), 210, &[&id, &ma, &mb, &y, &walk, &n]);
    let want = execute(op, &[&a, &b]).unwrap().remove(0).to_format(ROW).unwrap();
    near(&y.read(&[6, 5, 7], result, ROW), &want, steps, 0.0, &format!("{op:?} {dtype} broadcast"));
}

#[test]
fn functions_of_two_operands() {
    schedules(|host| {
        for dtype in DType::ALL {
            for f in Binary::ALL.iter().filter(|f| dtype.is_float() || f.takes_integers()) {
                let steps = if *f == Binary::Pow { 2.0 } else { 0.0 };
                two(host, "binary", *f as i32, dtype, dtype, &(*f).into(), steps);
            }
            for f in Compare::ALL {
                two(host, "compare", *f as i32, dtype, DType::U8, &(*f).into(), 0.0);
            }
        }
    });
}

#[test]
fn selection() {
    schedules(|host| {
        for dtype in DType::ALL {
            let (c, a) = (whole(&[6, 7], 2, DType::U8, 5), numbers(42, dtype, 6).reshape(&[6, 7]).unwrap());
            let b = numbers(7, dtype, 7);
            let wide = b.broadcast_to(&[6, 7]).unwrap();
            let memory = [&c, &a, &b].map(|t| Memory::of(t, ROW));
            let (y, walk) = (Memory::new(42, dtype), Walk::over([c.layout(), a.layout(), wide.layout()]));
            let kernel = format!("select_b{}", dtype.size());
            host.over(&kernel, 42, &[&memory[0], &memory[1], &memory[2], &y, &walk, &42_i64]);
            equal(&y.read(&[6, 7], dtype, ROW), &cpu(Select, &[&c, &a, &b]), &kernel);
        }
    });
}

#[test]
fn conversions() {
    schedules(|host| {
        for from in DType::ALL {
            for to in DType::ALL.into_iter().filter(|to| *to != from) {
                for n in SIZES {
                    let (x, kernel) = (numbers(n, from, 8), format!("cast_{from}_{to}"));
                    let want = x.cast(to).unwrap();
                    for shift in [0, from.size()] {
                        let (a, y) = (Memory::shifted_of(&x, ROW, shift), Memory::new(n, to));
                        host.over(&kernel, n, &[&a, &y, &(n as i64)]);
                        equal(&y.read(&[n], to, ROW), &want, &kernel);
                    }
                }
            }
        }
    });
}

#[test]
fn halves_round_to_nearest_even() {
    // Every half, the numbers halfway between neighbours, and those just beside these.
    let halves: Vec<u16> = (0..=u16::MAX).collect();
    let exact: Vec<f32> = halves.iter().map(|&h| half::f16::from_bits(h).to_f32()).collect();
    let mut all = exact.clone();
    for pair in exact[..0x7c00].windows(2) {
        let middle = (pair[0] + pair[1]) / 2.0;
        all.extend([middle, middle.next_up(), middle.next_down(), -middle]);
    }
    let (n, x) = (all.len(), Memory::with(&all));
    let host = Host::get();
    for (dtype, want) in [
        (DType::F16, all.iter().map(|&v| half::f16::from_f32(v).to_f64()).collect::<Vec<_>>()),
        (DType::BF16, all.iter().map(|&v| half::bf16::from_f32(v).to_f64()).collect()),
    ] {
        let y = Memory::new(n, dtype);
        host.over(&format!("cast_f32_{dtype}"), n, &[&x, &y, &(n as i64)]);
        let got = y.read(&[n], dtype, ROW).to_f64_vec().unwrap();
        for ((g, w), v) in got.iter().zip(&want).zip(&all) {
            assert!(g == w || (g.is_nan() && w.is_nan()), "{v} became {g}, not {w} as {dtype}");
        }
    }
}

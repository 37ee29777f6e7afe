//! `create.cu`.

use tensor::{
    DType, Format, Tensor, execute_on,
    ops::{Arange, Distribution, Full, Random},
    rng::Key,
};

use crate::{
    host::{Memory, schedules},
    near::{FLOATS, equal, near},
};

const SIZES: [usize; 4] = [0, 1, 5, 3001];

fn read(y: &Memory, n: usize, dtype: DType) -> Tensor {
    y.read(&[n], dtype, Format::Contiguous)
}

fn cpu(op: impl Into<tensor::Op>) -> Tensor {
    execute_on(&tensor::cpu::device(), &op.into(), &[]).unwrap().remove(0)
}

#[test]
fn constants_and_ranges() {
    schedules(|host| {
        for dtype in DType::ALL {
            for n in SIZES {
                for value in [0.0, 1.0, -2.7, 300.0, 65519.0, 65520.0, 2.98e-8, 1e300, f64::NAN] {
                    let y = Memory::new(n, dtype);
                    host.over(&format!("full_{dtype}"), n, &[&y, &(n as i64), &value]);
                    let want = cpu(Full { dims: [n].into_iter().collect(), value, dtype });
                    equal(&read(&y, n, dtype), &want, &format!("full {value} {dtype}"));
                }
                let (y, start, step) = (Memory::new(n, dtype), -1.0, 0.37);
                host.over(&format!("arange_{dtype}"), n, &[&y, &(n as i64), &start, &step]);
                let want = cpu(Arange { start, step, len: n, dtype });
                equal(&read(&y, n, dtype), &want, &format!("arange {dtype}"));
            }
        }
    });
}

#[test]
fn random_numbers() {
    schedules(|host| {
        for dtype in FLOATS {
            for n in SIZES {
                for (name, distribution, a, b) in [
                    ("uniform", Distribution::Uniform { low: -2.0, high: 3.0 }, -2.0, 3.0),
                    ("normal", Distribution::Normal { mean: 0.5, std: 2.0 }, 0.5, 2.0),
                    ("bernoulli", Distribution::Bernoulli { p: 0.3 }, 0.3, 0.0),
                ] {
                    let (key, y) = (Key::new(u64::MAX - 3, 1 << 40), Memory::new(n, dtype));
                    let kernel = format!("random_{name}_{dtype}");
                    let shift = Memory::with(&[5_i64]);
                    host.over(&kernel, n, &[&y, &(n as i64), &key.seed, &(key.stream - 5), &shift, &a, &b]);
                    let want = cpu(Random { dims: [n].into_iter().collect(), dtype, distribution, key });
                    // The angle's sine and cosine may round otherwise.
                    let steps = if name == "normal" { 4.0 } else { 0.0 };
                    near(&read(&y, n, dtype), &want, steps, 1.0, &kernel);
                }
            }
        }
    });
}

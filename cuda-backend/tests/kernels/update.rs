//! `optimizer.cu`.

use tensor::{DType, Format, Ops, Tensor};

use crate::{
    host::{Arg, Host, Memory, schedules},
    near::{FLOATS, near, normal},
};

const ROW: Format = Format::Contiguous;

/// `Slice` of `optimizer.cu`: addresses before and after, and the length.
#[repr(C)]
struct Slice([*mut u8; 7], i64);

/// `Squares` of the same.
#[repr(C)]
struct Squares(*mut u8, [i64; 2]);

const DTYPES: [DType; 2] = [DType::F32, DType::F64];

/// Several parameters with their gradients and state.
struct Params {
    dtype: DType,
    /// Parameter, gradient, first and second state of each.
    all: Vec<[Tensor; 4]>,
    before: Vec<[Memory; 4]>,
    after: Vec<[Memory; 3]>,
}

impl Params {
    fn new(dtype: DType) -> Self {
        let all: Vec<[Tensor; 4]> = [1_usize, 700, 33]
            .iter()
            .map(|&n| {
                let make = |s| normal(&[n], dtype, n as u64 + s);
                [make(1), make(2), make(3), make(4).square().unwrap()]
            })
            .collect();
        let before = all.iter().map(|p| p.each_ref().map(|t| Memory::of(t, ROW))).collect();
        let after = all.iter().map(|t| [0, 1, 2].map(|_| Memory::new(t[0].len(), dtype))).collect();
        Self { dtype, all, before, after }
    }

    /// As the kernels take them, with as many states.
    fn slices(&self, states: usize) -> Memory {
        let slices: Vec<Slice> = (0..self.all.len())
            .map(|i| {
                let ([p, g, m, v], [q, n, w]) = (&self.before[i], &self.after[i]);
                let state =
                    |k: usize, m: &Memory| if k < states { m.address() } else { std::ptr::null_mut() };
                let from = [p.address(), g.address(), state(0, m), state(1, v)];
                let to = [q.address(), state(0, n), state(1, w)];
                Slice([from[0], from[1], from[2], from[3], to[0], to[1], to[2]], self.all[i][0].len() as i64)
            })
            .collect();
        Memory::structs(&slices)
    }

    /// Compares parameter and states with those that `rule` makes of parameter, gradient times `factor` and states, in f64.
    fn check(&self, states: usize, factor: f64, rule: impl Fn([f64; 4]) -> [f64; 3]) {
        for (old, new) in self.all.iter().zip(&self.after) {
            let old = old.each_ref().map(|t| t.to_f64_vec().unwrap());
            let n = old[0].len();
            let want: Vec<[f64; 3]> =
                (0..n).map(|i| rule([old[0][i], old[1][i] * factor, old[2][i], old[3][i]])).collect();
            for k in 0..=states {
                let column: Vec<f64> = want.iter().map(|w| w[k]).collect();
                let want = Tensor::from_slice(&column, &[n]).unwrap().cast(self.dtype).unwrap();
                let label = format!("state {k} {}", self.dtype);
                near(&new[k].read(&[n], self.dtype, ROW), &want, 8.0, 1.0, &label);
            }
        }
    }
}

fn launch(host: &Host, kernel: &str, args: &[&dyn Arg]) {
    host.launch(kernel, [2, 3, 1], [256, 1, 1], args);
}

#[test]
fn gradient_descent() {
    schedules(|host| {
        for dtype in DTYPES {
            for (states, nesterov) in [(0, 0), (1, 0), (1, 1)] {
                let (params, factor) = (Params::new(dtype), 0.125);
                let numbers = Memory::with(&[[0.1_f64, 0.01, 0.9]; 3].concat());
                let (at, by, found) =
                    (params.slices(states), Memory::with(&[factor]), Memory::zeros(1, DType::F32));
                launch(host, &format!("sgd_{dtype}"), &[&at, &numbers, &nesterov, &by, &found]);
                params.check(states, factor, |[p, g, b, _]| {
                    let g = g + 0.01 * p;
                    let b = 0.9 * b + g;
                    let step = if states == 0 {
                        g
                    } else if nesterov == 1 {
                        g + 0.9 * b
                    } else {
                        b
                    };
                    [p - 0.1 * step, b, 0.0]
                });
            }
        }
    });
}

#[test]
fn adam() {
    schedules(|host| {
        for dtype in DTYPES {
            let params = Params::new(dtype);
            let (size, root, eps, keep, decay) = (0.01, 0.3, 1e-8, 0.99, 0.02);
            let numbers = [0.9, 1.0 - 0.9, 0.999, 1.0 - 0.999, size, root, eps, keep, decay];
            let (numbers, at) = (Memory::with(&[numbers; 3].concat()), params.slices(2));
            let (by, found) = (Memory::with(&[1_f64]), Memory::zeros(1, DType::F32));
            launch(host, &format!("adam_{dtype}"), &[&at, &numbers, &by, &found]);
            params.check(2, 1.0, |[p, g, m, v]| {
                let (p, g) = (p * keep, g + decay * p);
                let (m, v) = (0.9 * m + (1.0 - 0.9) * g, 0.999 * v + (1.0 - 0.999) * g * g);
                [p - size * m / (v.sqrt() / root + eps), m, v]
            });
        }
    });
}

#[test]
fn running_average() {
    schedules(|host| {
        for dtype in DTYPES {
            let (params, by) = (Params::new(dtype), Memory::with(&[1_f64]));
            let (numbers, at) = (Memory::with(&[[0.75_f64, 0.25]; 3].concat()), params.slices(0));
            launch(host, &format!("average_{dtype}"), &[&at, &numbers, &by, &Memory::zeros(1, DType::F32)]);
            params.check(0, 1.0, |[p, g, ..]| [0.75 * p + 0.25 * g, 0.0, 0.0]);
        }
    });
}

#[test]
fn infinite_gradients_stop_the_step() {
    schedules(|host| {
        for dtype in DTYPES {
            for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0] {
                let mut params = Params::new(dtype);
                let mut gradient = params.all[1][1].to_f64_vec().unwrap();
                gradient[601] = bad;
                let gradient = Tensor::from_slice(&gradient, &[700]).unwrap().cast(dtype).unwrap();
                params.before[1][1] = Memory::of(&gradient, ROW);
                let (at, found) = (params.slices(2), Memory::zeros(1, DType::F32));
                launch(host, &format!("check_finite_{dtype}"), &[&at, &found]);
                let stopped = found.values::<f32>() == [1.0];
                assert_eq!(stopped, bad != 0.0, "{bad} {dtype}");
                if stopped {
                    let (numbers, by) = (Memory::with(&[0.5_f64; 27]), Memory::with(&[1_f64]));
                    launch(host, &format!("sgd_{dtype}"), &[&at, &numbers, &0, &by, &found]);
                    params.check(1, 1.0, |[p, _, b, _]| [p, b, 0.0]);
                    launch(host, &format!("adam_{dtype}"), &[&at, &numbers, &by, &found]);
                    params.check(2, 1.0, |[p, _, m, v]| [p, m, v]);
                    launch(host, &format!("average_{dtype}"), &[&at, &numbers, &by, &found]);
                    params.check(0, 1.0, |[p, ..]| [p, 0.0, 0.0]);
                }
            }
        }
    });
}

#[test]
fn squares_of_many() {
    schedules(|host| {
        for dtype in FLOATS {
            // Lengths about the size of a piece (16384 elements).
            let all = [1_usize, 0, 16384, 40_000, 300].map(|n| normal(&[n], dtype, n as u64));
            let want: f64 = all.iter().flat_map(|t| t.to_f64_vec().unwrap()).map(|v| v * v).sum();
            let memory = all.each_ref().map(|t| Memory::of(t, ROW));
            let mut first = 0;
            let slices = [0, 1, 2, 3, 4].map(|i| {
                let slice = Squares(memory[i].address(), [all[i].len() as i64, first]);
                first += all[i].len().div_ceil(16384) as i64;
                slice
            });
            let (at, sums) = (Memory::structs(&slices), Memory::new(first as usize, DType::F64));
            host.launch(&format!("square_sum_{dtype}"), [2, 5, 1], [256, 1, 1], &[&at, &sums]);
            let y = Memory::new(1, DType::F64);
            host.launch("square_sum_finish", [1, 1, 1], [256, 1, 1], &[&sums, &y, &first]);
            let got = y.values::<f64>()[0];
            assert!((got - want).abs() < 1e-9 * want, "{dtype}: {got}, not {want}");
        }
    });
}

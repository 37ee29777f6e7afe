//! `optimizer.cu` and `image.cu`.

use tensor::{DType, Format, Ops, Tensor};

use crate::{
    host::{Arg, Host, Memory, schedules},
    near::{FLOATS, near, normal},
    structs::Crop,
};

const ROW: Format = Format::Contiguous;
const NULL: u64 = 0;

/// `Slice` of `optimizer.cu`: addresses before and after, and the length.
#[repr(C)]
struct Slice([*mut u8; 8], i64);

/// Several parameters with their gradients and state.
struct Params {
    dtype: DType,
    wide: DType,
    /// Parameter, gradient, first and second state of each.
    all: Vec<[Tensor; 4]>,
    before: Vec<[Memory; 4]>,
    after: Vec<[Memory; 4]>,
}

impl Params {
    /// Gradients of `dtype`, the rest f32 or f64.
    fn new(dtype: DType) -> Self {
        let wide = if dtype.is_half() { DType::F32 } else { dtype };
        let all: Vec<[Tensor; 4]> = [1_usize, 700, 33]
            .iter()
            .map(|&n| {
                let make = |dtype, s| normal(&[n], dtype, n as u64 + s);
                [make(wide, 1), make(dtype, 2), make(wide, 3), make(wide, 4).square().unwrap()]
            })
            .collect();
        let before = all.iter().map(|p| p.each_ref().map(|t| Memory::of(t, ROW))).collect();
        let new = |t: &[Tensor; 4]| {
            let n = t[0].len();
            [Memory::new(n, wide), Memory::new(n, wide), Memory::new(n, wide), Memory::new(n, dtype)]
        };
        let after = all.iter().map(new).collect();
        Self { dtype, wide, all, before, after }
    }

    /// As the kernels take them, with as many states.
    fn slices(&self, states: usize) -> Memory {
        let slices: Vec<Slice> = (0..self.all.len())
            .map(|i| {
                let (b, a) = (&self.before[i], &self.after[i]);
                let state =
                    |k: usize, m: &Memory| if k < states { m.address() } else { std::ptr::null_mut() };
                let [p, g, m, v] = [&b[0], &b[1], &b[2], &b[3]];
                let from = [p.address(), g.address(), state(0, m), state(1, v)];
                let to = [a[0].address(), state(0, &a[1]), state(1, &a[2]), a[3].address()];
                Slice([from[0], from[1], from[2], from[3], to[0], to[1], to[2], to[3]], self.all[i].len_of())
            })
            .collect();
        Memory::structs(&slices)
    }

    /// Compares parameter and states with those that `rule` makes of parameter, unscaled gradient and states, in f64.
    fn check(&self, states: usize, scale: f64, rule: impl Fn([f64; 4]) -> [f64; 3]) {
        for (old, new) in self.all.iter().zip(&self.after) {
            let old = old.each_ref().map(|t| t.to_f64_vec().unwrap());
            let n = old[0].len();
            let want: Vec<[f64; 3]> =
                (0..n).map(|i| rule([old[0][i], old[1][i] / scale, old[2][i], old[3][i]])).collect();
            for k in 0..=states {
                let column: Vec<f64> = want.iter().map(|w| w[k]).collect();
                let want = Tensor::from_slice(&column, &[n]).unwrap().cast(self.wide).unwrap();
                near(
                    &new[k].read(&[n], self.wide, ROW),
                    &want,
                    8.0,
                    1.0,
                    &format!("state {k} {}", self.dtype),
                );
            }
            let copy = new[0].read(&[n], self.wide, ROW).cast(self.dtype).unwrap();
            near(&new[3].read(&[n], self.dtype, ROW), &copy, 0.0, 0.0, "the copy");
        }
    }
}

trait LenOf {
    fn len_of(&self) -> i64;
}
impl LenOf for [Tensor; 4] {
    fn len_of(&self) -> i64 {
        self[0].len() as i64
    }
}

fn launch(host: &Host, kernel: &str, args: &[&dyn Arg]) {
    host.launch(kernel, [2, 3, 1], [256, 1, 1], args);
}

#[test]
fn gradient_descent() {
    schedules(|host| {
        for dtype in FLOATS {
            for (states, nesterov) in [(0, 0), (1, 0), (1, 1)] {
                let (params, scale) = (Params::new(dtype), 8.0);
                let numbers = Memory::with(&[[0.1_f64, 0.01, 0.9]; 3].concat());
                let (at, by) = (params.slices(states), Memory::with(&[scale]));
                launch(host, &format!("sgd_{dtype}"), &[&at, &numbers, &nesterov, &by, &NULL]);
                params.check(states, scale, |[p, g, b, _]| {
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
        for dtype in FLOATS {
            let params = Params::new(dtype);
            let (size, root, eps, keep, decay) = (0.01, 0.3, 1e-8, 0.99, 0.02);
            let numbers = [0.9, 1.0 - 0.9, 0.999, 1.0 - 0.999, size, root, eps, keep, decay];
            let (numbers, at) = (Memory::with(&[numbers; 3].concat()), params.slices(2));
            launch(host, &format!("adam_{dtype}"), &[&at, &numbers, &NULL, &NULL]);
            params.check(2, 1.0, |[p, g, m, v]| {
                let (p, g) = (p * keep, g + decay * p);
                let (m, v) = (0.9 * m + (1.0 - 0.9) * g, 0.999 * v + (1.0 - 0.999) * g * g);
                [p - size * m / (v.sqrt() / root + eps), m, v]
            });
        }
    });
}

#[test]
fn infinite_gradients_stop_the_step() {
    schedules(|host| {
        for dtype in FLOATS {
            for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0] {
                let mut params = Params::new(dtype);
                let mut gradient = params.all[1][1].to_f64_vec().unwrap();
                gradient[601] = bad;
                let gradient = Tensor::from_slice(&gradient, &[700]).unwrap().cast(dtype).unwrap();
                params.before[1][1] = Memory::of(&gradient, ROW);
                let (at, found) = (params.slices(1), Memory::zeros(1, DType::F32));
                launch(host, &format!("check_finite_{dtype}"), &[&at, &found]);
                let word = u32::from_le_bytes(found.bytes().try_into().unwrap());
                assert_eq!(word == 1, bad != 0.0, "{bad} {dtype}");
                if word == 1 {
                    let numbers = Memory::with(&[[0.1_f64, 0.01, 0.9]; 3].concat());
                    launch(host, &format!("sgd_{dtype}"), &[&at, &numbers, &0, &NULL, &found]);
                    params.check(1, 1.0, |[p, _, b, _]| [p, b, 0.0]);
                }
            }
        }
    });
}

#[test]
fn images() {
    let (h, w) = (7_usize, 9_usize);
    let pixels: Vec<u8> = (0..h * w * 3).map(|i| (i * 37 % 256) as u8).collect();
    let (mean, deviation) = ([0.4_f32, 0.5, 0.6], [0.2_f32, 0.25, 0.3]);
    // scaled size, crop, corner, mirrored
    for (scaled, crop, corner, flip) in
        [([7, 9], [7, 9], [0, 0], 0), ([14, 12], [6, 8], [3, -2], 1), ([3, 20], [5, 5], [1, 17], 1)]
    {
        let sizes = [h as i32, w as i32, scaled[0], scaled[1], crop[0], crop[1], corner[0], corner[1]];
        let geometry = Crop { sizes, flip, mean, deviation };
        let at = |y: usize, x: usize, c: usize| f64::from(pixels[(y * w + x) * 3 + c]);
        let mut want = Vec::new();
        for oh in 0..crop[0] {
            for ow in 0..crop[1] {
                let (y, x) = (oh + corner[0], if flip == 1 { crop[1] - 1 - ow } else { ow } + corner[1]);
                for c in 0..3 {
                    if y < 0 || x < 0 || y >= scaled[0] || x >= scaled[1] {
                        want.push(0.0);
                        continue;
                    }
                    let between = |i: i32, from: usize, to: i32| {
                        let at = (f64::from(i) + 0.5) * from as f64 / f64::from(to) - 0.5;
                        let at = at.clamp(0.0, from as f64 - 1.0);
                        (at as usize, (at as usize + 1).min(from - 1), at.fract())
                    };
                    let ((a, b, v), (d, e, u)) = (between(y, h, scaled[0]), between(x, w, scaled[1]));
                    let row = |y: usize| at(y, d, c) * (1.0 - u) + at(y, e, c) * u;
                    let value = (row(a) * (1.0 - v) + row(b) * v) / 255.0;
                    want.push((value - f64::from(mean[c])) / f64::from(deviation[c]));
                }
            }
        }
        schedules(|host| {
            let from = Memory::with(&pixels);
            for dtype in [DType::F32, DType::F16, DType::BF16] {
                let y = Memory::new(want.len(), dtype);
                host.over(&format!("image_{dtype}"), want.len(), &[&from, &y, &geometry]);
                let want = Tensor::from_slice(&want, &[want.len()]).unwrap().cast(dtype).unwrap();
                near(&y.read(want.dims(), dtype, ROW), &want, 8.0, 1.0, "image");
            }
        });
    }
}

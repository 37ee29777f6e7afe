//! Arrays in f64, tensors of every layout made of them, and comparisons.

use proptest::prelude::*;
use tensor::{
    DType, Op, Ops, Tensor,
    cpu::simd::{Isa, with_isa},
    ops::Span,
    rng::{Key, Stream},
};

/// A row-major array.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    pub dims: Vec<usize>,
    pub values: Vec<f64>,
}

impl Array {
    pub fn zeros(dims: &[usize]) -> Self {
        Self { dims: dims.to_vec(), values: vec![0.0; dims.iter().product()] }
    }

    /// Standard normal values.
    pub fn random(dims: &[usize], seed: u64) -> Self {
        let mut stream = Stream::new(Key::new(seed, dims.len() as u64));
        Self { dims: dims.to_vec(), values: (0..dims.iter().product()).map(|_| stream.normal()).collect() }
    }

    pub fn of(t: &Tensor) -> Self {
        Self { dims: t.dims().to_vec(), values: t.to_f64_vec().unwrap() }
    }

    /// Values that the element type can hold exactly.
    pub fn rounded(mut self, dtype: DType) -> Self {
        if dtype == DType::F32 {
            self.values.iter_mut().for_each(|v| *v = *v as f32 as f64);
        }
        self
    }

    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { dims: self.dims.clone(), values: self.values.iter().map(|&v| f(v)).collect() }
    }

    fn position(&self, index: &[usize]) -> usize {
        index.iter().zip(&self.dims).fold(0, |at, (i, d)| at * d + i)
    }

    pub fn get(&self, index: &[usize]) -> f64 {
        self.values[self.position(index)]
    }

    pub fn set(&mut self, index: &[usize], v: f64) {
        let at = self.position(index);
        self.values[at] = v;
    }

    pub fn add(&mut self, index: &[usize], v: f64) {
        let at = self.position(index);
        self.values[at] += v;
    }

    pub fn dot(&self, other: &Self) -> f64 {
        assert_eq!(self.dims, other.dims);
        self.values.iter().zip(&other.values).map(|(a, b)| a * b).sum()
    }

    /// As a tensor of another type, in some layout.
    pub fn tensor(&self, dtype: DType, place: Place) -> Tensor {
        let rank = self.dims.len();
        match place {
            Place::RowMajor => dense(&self.values, &self.dims, dtype),
            Place::ChannelsLast => {
                // Axis 1 moved to the end, and the view moved back.
                let order: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
                let back: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
                let moved: Vec<usize> = order.iter().map(|&a| self.dims[a]).collect();
                let mut values = Vec::with_capacity(self.values.len());
                for_each_index(&moved, |at| {
                    let index: Vec<usize> = back.iter().map(|&a| at[a]).collect();
                    values.push(self.get(&index));
                });
                dense(&values, &moved, dtype).permute(&back).unwrap()
            }
            Place::Strided => {
                // Every other element of a larger array, which starts at one.
                let larger: Vec<usize> = self.dims.iter().map(|d| 2 * d + 1).collect();
                let mut around = Array { values: vec![9.0; larger.iter().product()], dims: larger };
                for_each_index(&self.dims, |at| {
                    let index: Vec<usize> = at.iter().map(|i| 2 * i + 1).collect();
                    around.set(&index, self.get(at));
                });
                let spans: Vec<Span> = self.dims.iter().map(|&len| Span { start: 1, len, step: 2 }).collect();
                dense(&around.values, &around.dims, dtype).slice(&spans).unwrap()
            }
        }
    }
}

fn dense(values: &[f64], dims: &[usize], dtype: DType) -> Tensor {
    match dtype {
        DType::F32 => Tensor::from_vec(values.iter().map(|&v| v as f32).collect(), dims),
        DType::F64 => Tensor::from_slice(values, dims),
        DType::BF16 => {
            Tensor::from_vec(values.iter().map(|&v| v as f32).collect(), dims).and_then(|t| t.cast(dtype))
        }
        DType::U8 => Tensor::from_vec(values.iter().map(|&v| v as u8).collect(), dims),
        DType::I64 => Tensor::from_vec(values.iter().map(|&v| v as i64).collect(), dims),
        other => panic!("no tensors of {other} here"),
    }
    .unwrap()
}

/// Calls `f` for every index of an array of `dims`, in row-major order.
pub fn for_each_index(dims: &[usize], mut f: impl FnMut(&[usize])) {
    let mut index = vec![0; dims.len()];
    for _ in 0..dims.iter().product() {
        f(&index);
        for a in (0..dims.len()).rev() {
            index[a] += 1;
            if index[a] < dims[a] {
                break;
            }
            index[a] = 0;
        }
    }
}

/// How a tensor lies in memory.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    RowMajor,
    ChannelsLast,
    Strided,
}

pub fn place() -> impl Strategy<Value = Place> {
    prop_oneof![Just(Place::RowMajor), Just(Place::ChannelsLast), Just(Place::Strided)]
}

pub fn float() -> impl Strategy<Value = DType> {
    prop_oneof![Just(DType::F32), Just(DType::F64)]
}

/// Bound of the relative error of a few operations.
pub fn tolerance(dtype: DType) -> f64 {
    if dtype == DType::F32 { 1e-5 } else { 1e-12 }
}

#[track_caller]
pub fn assert_close(got: &Tensor, want: &Array, tolerance: f64) {
    assert_eq!(got.dims(), want.dims);
    for (i, (got, want)) in got.to_f64_vec().unwrap().into_iter().zip(&want.values).enumerate() {
        let close = (got - want).abs() <= tolerance * (1.0 + want.abs()) || got.is_nan() && want.is_nan();
        assert!(close, "element {i}: got {got}, want {want}");
    }
}

pub fn apply(op: impl Into<Op>, ins: &[&Tensor]) -> Vec<Tensor> {
    Tensor::apply(op.into(), ins).unwrap().into_vec()
}

/// Runs `f` on one thread and on several, and without special instructions, and compares bits.
pub fn same_for_any_threads(f: impl Fn() -> Vec<Tensor> + Sync) {
    let bytes = || -> Vec<Vec<u8>> { f().iter().map(|t| t.to_bytes().unwrap()).collect() };
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        (pool.install(bytes), pool)
    };
    let (alone, pool) = run(1);
    assert!(run(2).0 == alone, "two threads give other bits than one");
    assert!(run(3).0 == alone, "three threads give other bits than one");
    // The choice of instructions is the thread's own, and the only thread of the pool runs everything.
    let portable = pool.install(|| with_isa(Isa::Portable, bytes)).unwrap();
    assert!(portable == alone, "the portable version gives other bits");
}

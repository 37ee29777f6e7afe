//! Tensors of random dims and layouts (permuted, sliced, repeated), with their elements as f64.

use proptest::prelude::*;
use tensor::{DType, Layout, Ops, Tensor, ops::Span};

/// A tensor and its elements in row-major order, read by strides from what it was made of.
#[derive(Debug, Clone)]
pub struct Sample {
    pub tensor: Tensor,
    pub values: Vec<f64>,
}

/// How the memory of a sample is arranged.
#[derive(Debug, Clone)]
pub struct Arrangement {
    /// Order of the axes in memory.
    pub axes: Vec<usize>,
    /// First element, step, and whether the axis is repeated, for each axis.
    pub spans: Vec<(usize, usize, bool)>,
    pub seed: u64,
}

pub fn arrangement(rank: usize) -> impl Strategy<Value = Arrangement> {
    let axes = prop_oneof![
        2 => Just((0..rank).collect::<Vec<_>>()).prop_shuffle(),
        1 => Just((0..rank).collect::<Vec<_>>()),
        1 => Just(if rank == 4 { vec![0, 2, 3, 1] } else { (0..rank).rev().collect() }),
    ];
    let span = prop_oneof![
        4 => Just((0, 1, false)),
        1 => (0usize..3, 1usize..4).prop_map(|(start, step)| (start, step, false)),
        1 => Just((0, 1, true)),
    ];
    let plain = Just(vec![(0, 1, false); rank]);
    let spans = prop_oneof![proptest::collection::vec(span, rank), plain];
    (axes, spans, any::<u64>()).prop_map(|(axes, spans, seed)| Arrangement { axes, spans, seed })
}

/// Dims of up to five axes; now and then one is empty, or the whole is large enough for several tasks.
pub fn dims() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        12 => proptest::collection::vec(1usize..7, 0..=5),
        4 => proptest::collection::vec(1usize..9, 4),
        1 => proptest::collection::vec(0usize..3, 1..=4),
        1 => (1usize..4, 1usize..20, 30usize..60, 30usize..60).prop_map(|(a, b, c, d)| vec![a, b, c, d]),
        1 => (30_000usize..80_000).prop_map(|n| vec![n]),
    ]
}

/// Small multiples of 1/4 (of 1 for integers; not negative for u8): exact in every type.
fn value(seed: u64, i: usize, dtype: DType) -> f64 {
    let h = (seed ^ i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let v = ((h >> 40) % 33) as f64 - 16.0;
    match dtype {
        DType::U8 => v.abs(),
        DType::I64 => v,
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 => v / 4.0,
    }
}

pub fn from_f64(values: &[f64], dims: &[usize], dtype: DType) -> Tensor {
    let made = match dtype {
        DType::F16 => Tensor::from_vec(values.iter().map(|&v| half::f16::from_f64(v)).collect(), dims),
        DType::BF16 => Tensor::from_vec(values.iter().map(|&v| half::bf16::from_f64(v)).collect(), dims),
        DType::F32 => Tensor::from_vec(values.iter().map(|&v| v as f32).collect(), dims),
        DType::F64 => Tensor::from_slice(values, dims),
        DType::I64 => Tensor::from_vec(values.iter().map(|&v| v as i64).collect(), dims),
        DType::U8 => Tensor::from_vec(values.iter().map(|&v| v as u8).collect(), dims),
    };
    made.unwrap()
}

impl Arrangement {
    pub fn sample(&self, dims: &[usize], dtype: DType) -> Sample {
        let base: Vec<usize> = dims
            .iter()
            .zip(&self.spans)
            .map(|(&d, &(start, step, repeat))| if repeat && d > 0 { 1 } else { start + d * step })
            .collect();
        let memory: Vec<usize> = self.axes.iter().map(|&a| base[a]).collect();
        let elements: Vec<f64> = (0..memory.iter().product()).map(|i| value(self.seed, i, dtype)).collect();
        let mut back = vec![0; dims.len()];
        self.axes.iter().enumerate().for_each(|(i, &a)| back[a] = i);
        let spans: Vec<Span> = dims
            .iter()
            .zip(&self.spans)
            .map(
                |(&len, &(start, step, repeat))| {
                    if repeat && len > 0 { Span::all(1) } else { Span { start, len, step } }
                },
            )
            .collect();
        let tensor = from_f64(&elements, &memory, dtype).permute(&back).unwrap();
        let tensor = tensor.slice(&spans).unwrap().broadcast_to(dims).unwrap();
        let values = indices(dims).map(|i| elements[place(tensor.layout(), &i)]).collect();
        Sample { tensor, values }
    }
}

/// A sample of given dims.
pub fn sample_of(dims: Vec<usize>, dtype: DType) -> impl Strategy<Value = Sample> {
    arrangement(dims.len()).prop_map(move |a| a.sample(&dims, dtype))
}

pub fn any_dtype() -> impl Strategy<Value = DType> {
    proptest::sample::select(DType::ALL.to_vec())
}

pub fn float() -> impl Strategy<Value = DType> {
    proptest::sample::select(vec![DType::F32, DType::F64, DType::F16, DType::BF16])
}

/// All index tuples, in row-major order.
pub fn indices(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let dims = dims.to_vec();
    (0..dims.iter().product()).map(move |mut i| {
        let mut index = vec![0; dims.len()];
        for axis in (0..dims.len()).rev() {
            index[axis] = i % dims[axis];
            i /= dims[axis];
        }
        index
    })
}

/// Row-major number of an index.
pub fn number(dims: &[usize], index: &[usize]) -> usize {
    dims.iter().zip(index).fold(0, |n, (d, i)| n * d + i)
}

fn place(layout: &Layout, index: &[usize]) -> usize {
    layout.offset() + layout.strides().iter().zip(index).map(|(s, i)| s * i).sum::<usize>()
}

/// Runs `f` on a pool of `threads` threads.
pub fn on_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

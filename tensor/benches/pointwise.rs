//! Memory-bound operations on activations of a DSNet training step, in bytes read and written per second.
//!
//! `cargo bench -p tensor --bench pointwise` runs criterion; `… -- --table [FILTER]` prints the best time of each in half a
//! minute. `memcpy` (all cores) is what the machine can do.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};
use rayon::prelude::*;
use tensor::{
    DType, Format, Ops, Tensor,
    ops::{ArgReduce, Binary, Distribution, Extremum, Reduction, Unslice},
    rng::Key,
};

/// Batch 4 of half-size maps: 18 MiB.
const DIMS: [usize; 4] = [4, 64, 90, 200];

fn random(dims: &[usize], format: Format) -> Tensor {
    let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
    let x = Tensor::random(normal, dims, DType::F32, Key::new(1, 2));
    x.and_then(|x| x.to_format(format)).expect("memory suffices")
}

fn bytes(values: &[&Tensor]) -> u64 {
    values.iter().map(|t| (t.len() * t.dtype().size()) as u64).sum()
}

/// Where the times go: to criterion, or to a table of the best of many runs.
enum Report {
    Criterion(Box<Criterion>),
    Table(String),
}

impl Report {
    /// Times `f`, which reads and writes `bytes`.
    fn time<R>(&mut self, name: &str, bytes: u64, mut f: impl FnMut() -> R) {
        match self {
            Self::Criterion(c) => {
                let mut group = c.benchmark_group("memory");
                group.sample_size(20).warm_up_time(Duration::from_millis(200));
                group.measurement_time(Duration::from_secs(1)).throughput(Throughput::Bytes(bytes));
                group.bench_function(name, |b| b.iter(|| black_box(f())));
                group.finish();
            }
            Self::Table(filter) if name.contains(filter.as_str()) => {
                let (start, mut best) = (Instant::now(), f64::INFINITY);
                while start.elapsed() < Duration::from_millis(400) {
                    let run = Instant::now();
                    black_box(f());
                    best = best.min(run.elapsed().as_secs_f64());
                }
                println!("{name:28} {:9.3} ms {:7.2} GB/s", best * 1e3, bytes as f64 / best * 1e-9);
            }
            Self::Table(_) => {}
        }
    }
}

/// Times `f`, counting its operands and its result.
fn bench(c: &mut Report, name: &str, ins: &[&Tensor], f: impl Fn() -> tensor::Result<Tensor>) {
    let y = f().expect("the benchmark's operands fit");
    c.time(name, bytes(ins) + bytes(&[&y]), || f().expect("the operation runs"));
}

fn copies(c: &mut Report) {
    let (last, planes) = (random(&DIMS, Format::ChannelsLast), random(&DIMS, Format::Contiguous));
    let (from, mut to) = (vec![1.0f32; last.len()], vec![0.0f32; last.len()]);
    c.time("memcpy", 2 * bytes(&[&last]), || {
        let pieces = to.par_chunks_mut(1 << 16).zip(from.par_chunks(1 << 16));
        pieces.for_each(|(to, from)| to.copy_from_slice(from));
    });
    bench(c, "copy nhwc", &[&last], || last.copy(Format::ChannelsLast));
    bench(c, "nchw to nhwc", &[&planes], || planes.copy(Format::ChannelsLast));
    bench(c, "nhwc to nchw", &[&last], || last.copy(Format::Contiguous));
    let image = random(&[4, 3, 360, 480], Format::Contiguous);
    bench(c, "image to nhwc", &[&image], || image.copy(Format::ChannelsLast));
    bench(c, "cast to bf16", &[&last], || last.cast(DType::BF16));
    bench(c, "cast to f16", &[&last], || last.cast(DType::F16));
    let half = random(&[4, 32, 90, 200], Format::ChannelsLast);
    bench(c, "cat", &[&half, &half], || Tensor::cat(&[&half, &half], 1));
    bench(c, "shuffle by 2", &[&last], || last.channel_shuffle(2));
    bench(c, "shuffle by 32", &[&last], || last.channel_shuffle(32));
    let part = last.narrow(1, 32, 32).expect("32 of 64 channels");
    bench(c, "copy channels 32..64", &[&part], || part.copy(Format::ChannelsLast));
    let spans: Vec<_> = DIMS
        .iter()
        .enumerate()
        .map(|(a, &d)| tensor::ops::Span {
            start: if a == 1 { 32 } else { 0 },
            len: if a == 1 { 32 } else { d },
            step: 1,
        })
        .collect();
    let put = Unslice { dims: DIMS[..].into(), spans: spans[..].into() };
    bench(c, "unslice channels", &[&half], || Tensor::apply1(put.clone().into(), &[&half]));
    bench(c, "full", &[], || Tensor::full(1.0, &DIMS, DType::F32));
}

fn pointwise(c: &mut Report) {
    let (x, y) = (random(&DIMS, Format::ChannelsLast), random(&DIMS, Format::ChannelsLast));
    let planes = random(&DIMS, Format::Contiguous);
    let channel = random(&[64, 1, 1], Format::Contiguous);
    let scalar = Tensor::scalar(0.25f32);
    bench(c, "relu", &[&x], || x.relu());
    bench(c, "exp", &[&x], || x.exp());
    bench(c, "sigmoid", &[&x], || x.sigmoid());
    bench(c, "add", &[&x, &y], || x.add(&y));
    bench(c, "add mixed formats", &[&x, &planes], || x.add(&planes));
    bench(c, "mul channel nhwc", &[&x], || x.mul(&channel));
    bench(c, "mul channel nchw", &[&planes], || planes.mul(&channel));
    bench(c, "mul scalar", &[&x], || x.mul(&scalar));
    bench(c, "prelu", &[&x], || x.prelu(&channel));
    bench(c, "relu grad", &[&x, &y], || Tensor::apply1(Binary::ReluGrad.into(), &[&x, &y]));
    let mask = x.greater(&y).expect("the operands fit");
    bench(c, "greater", &[&x, &y], || x.greater(&y));
    bench(c, "select", &[&mask, &x, &y], || mask.select(&x, &y));
    let small =
        [random(&[1, 64, 45, 80], Format::ChannelsLast), random(&[1, 64, 45, 80], Format::ChannelsLast)];
    bench(c, "add 230k", &[&small[0], &small[1]], || small[0].add(&small[1]));
    let key = Key::new(3, 4);
    bench(c, "random uniform", &[], || {
        Tensor::random(Distribution::Uniform { low: 0.0, high: 1.0 }, &DIMS, DType::F32, key)
    });
    bench(c, "random normal", &[], || {
        Tensor::random(Distribution::Normal { mean: 0.0, std: 1.0 }, &DIMS, DType::F32, key)
    });
}

fn reductions(c: &mut Report) {
    let (last, planes) = (random(&DIMS, Format::ChannelsLast), random(&DIMS, Format::Contiguous));
    for (name, x) in [("nhwc", &last), ("nchw", &planes)] {
        bench(c, &format!("sum all {name}"), &[x], || x.sum_all());
        bench(c, &format!("sum per channel {name}"), &[x], || x.sum(&[0, 2, 3], true));
        bench(c, &format!("sum over channels {name}"), &[x], || x.sum(&[1], true));
        bench(c, &format!("max per channel {name}"), &[x], || x.reduce(Reduction::Max, &[0, 2, 3], true));
        bench(c, &format!("mean over images {name}"), &[x], || x.mean(&[2, 3], true));
    }
    let narrow = random(&[4, 16, 180, 240], Format::ChannelsLast);
    bench(c, "sum per channel 16 nhwc", &[&narrow], || narrow.sum(&[0, 2, 3], true));
    let scores = random(&[4, 19, 180, 240], Format::ChannelsLast);
    let op = ArgReduce { kind: Extremum::Max, axis: 1, keep: false };
    bench(c, "argmax 19 nhwc", &[&scores], || Tensor::apply1(op.clone().into(), &[&scores]));
    let planes = scores.copy(Format::Contiguous).expect("memory suffices");
    bench(c, "argmax 19 nchw", &[&planes], || Tensor::apply1(op.clone().into(), &[&planes]));
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let table = arguments.iter().position(|a| a == "--table");
    let mut report = match table {
        Some(at) => {
            let filter = arguments[at + 1..].iter().find(|a| !a.starts_with("--"));
            Report::Table(filter.cloned().unwrap_or_default())
        }
        None => Report::Criterion(Box::new(Criterion::default().configure_from_args())),
    };
    copies(&mut report);
    pointwise(&mut report);
    reductions(&mut report);
    if let Report::Criterion(c) = report {
        c.final_summary();
    }
}

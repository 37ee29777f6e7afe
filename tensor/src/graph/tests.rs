//! Passes leave results as they are: text before and after of small graphs, and random graphs run by the interpreter and as a
//! plan.

mod bytes;
mod pointwise;
mod random;

use proptest::prelude::*;

use super::*;
use crate::{
    DType, Ops, cpu,
    ops::{
        ArgReduce, AvgPool2d, BatchNormApply, Binary, Cast, Cat, ChannelShuffle, Conv2d, ConvTranspose2d,
        Distribution, Extremum, Interleave, MaxPool2d, MaxUnpool2d, Slice, Span, Unary, Window,
    },
    rng::Key,
};

/// Builds graphs and draws constants.
struct Builder {
    graph: Graph,
    key: u64,
}

impl Builder {
    fn new() -> Self {
        Self { graph: Graph::new(), key: 0 }
    }

    fn image(&mut self, dims: [usize; 4]) -> ValueId {
        self.graph.input(Meta::new(&dims[..], DType::F32))
    }

    fn noise(&mut self, dims: &[usize]) -> Tensor {
        self.key += 1;
        let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
        Tensor::random(normal, dims, DType::F32, Key::new(7, self.key)).unwrap()
    }

    fn random(&mut self, dims: &[usize]) -> ValueId {
        let noise = self.noise(dims);
        self.graph.constant(noise)
    }

    fn push(&mut self, op: impl Into<Op>, ins: &[ValueId]) -> ValueId {
        self.graph.push(op.into(), ins, "").unwrap()[0]
    }

    fn channels(&self, x: ValueId) -> usize {
        self.graph.meta(x).dims[1]
    }

    fn conv(&mut self, x: ValueId, out: usize, kernel: usize, conv: Conv2d) -> ValueId {
        let c = self.channels(x) / conv.groups;
        let weight = self.random(&[out, c, kernel, kernel]);
        self.push(conv, &[x, weight])
    }

    fn same(&mut self, x: ValueId, out: usize, kernel: usize) -> ValueId {
        self.conv(x, out, kernel, Conv2d { padding: [kernel / 2; 2], ..Conv2d::default() })
    }

    fn norm(&mut self, x: ValueId, relu: bool) -> ValueId {
        let c = self.channels(x);
        let (mean, gamma, beta) = (self.random(&[c]), self.random(&[c]), self.random(&[c]));
        let variance = self.noise(&[c]).square().unwrap();
        let variance = self.graph.constant(variance);
        self.push(BatchNormApply { eps: 1e-3, relu }, &[x, mean, variance, gamma, beta])
    }

    fn slice(&mut self, x: ValueId, start: usize, len: usize) -> ValueId {
        let mut spans: SmallVec<[Span; 4]> = self.graph.meta(x).dims.iter().map(|&d| Span::all(d)).collect();
        spans[1] = Span { start, len, step: 1 };
        self.push(Slice { spans }, &[x])
    }

    fn finish(mut self, outputs: &[ValueId]) -> Graph {
        self.graph.outputs = outputs.to_vec();
        self.graph
    }
}

fn optimized(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    passes::optimize(&mut graph).unwrap();
    graph
}

/// How near results have to be to those of the graph as it is.
#[derive(Clone, Copy)]
enum Nearness {
    /// Each number within f32's rounding.
    Each,
    /// Nearly all within bf16's. A sum that lies on the border of two roundings may go either way and, at a maximum, be put to
    /// another place.
    Most,
}

impl Nearness {
    fn check(self, found: &[Tensor], wanted: &[Tensor], graphs: &[&Graph]) {
        let text = || graphs.iter().map(|graph| format!("\n{graph}")).collect::<String>();
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(wanted) {
            assert_eq!(found.meta(), wanted.meta(), "{}", text());
            let (found, wanted) = (found.to_f64_vec().unwrap(), wanted.to_f64_vec().unwrap());
            let size = wanted.iter().fold(1e-3, |a: f64, b| a.max(b.abs()));
            let error = |(f, w): (&f64, &f64)| (f - w).abs() / size;
            let mut errors = found.iter().zip(&wanted).map(error);
            match self {
                Self::Each => {
                    if let Some(i) = errors.position(|error| error.is_nan() || error > 1e-4) {
                        panic!("element {i} is {}, should be {}{}", found[i], wanted[i], text());
                    }
                }
                Self::Most => {
                    let same = errors.filter(|&error| error <= 1.0 / 128.0).count();
                    assert!(20 * same >= 19 * wanted.len(), "{same} of {} are equal{}", wanted.len(), text());
                }
            }
        }
    }
}

/// Compares an optimised graph in bf16 with its plan.
fn check_half(fused: &Graph, inputs: &[&Tensor]) {
    let mut graph = fused.clone();
    passes::lower_precision(&mut graph).unwrap();
    let wanted = interpret(&graph, inputs).unwrap();
    let plan = cpu::device().plan(&graph).unwrap();
    for found in [plan.run(inputs).unwrap(), plan.run(inputs).unwrap()] {
        Nearness::Most.check(&found, &wanted, &[&graph]);
    }
}

/// Numbers for the inputs of a graph.
fn inputs(graph: &Graph) -> Vec<Tensor> {
    let draw = |(&id, i): (&ValueId, u64)| {
        let Meta { dims, dtype } = graph.meta(id);
        let (distribution, dtype_drawn) = match dtype {
            DType::U8 => (Distribution::Uniform { low: 0.0, high: 256.0 }, DType::F32),
            _ => (Distribution::Normal { mean: 0.0, std: 1.0 }, *dtype),
        };
        Tensor::random(distribution, dims, dtype_drawn, Key::new(3, i)).unwrap().cast(*dtype).unwrap()
    };
    graph.inputs.iter().zip(100..).map(draw).collect()
}

/// Compares a graph as it is, optimised, and planned.
fn check(graph: &Graph) {
    check_to(Nearness::Each, graph);
}

fn check_to(nearness: Nearness, graph: &Graph) {
    let inputs = inputs(graph);
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let wanted = interpret(graph, &inputs).unwrap();
    let fused = optimized(graph);
    check_half(&fused, &inputs);
    let plan = cpu::device().plan(&fused).unwrap();
    // Twice: the second run finds the first one's values in memory.
    for found in [interpret(&fused, &inputs).unwrap(), plan.run(&inputs).unwrap(), plan.run(&inputs).unwrap()]
    {
        nearness.check(&found, &wanted, &[graph, &fused]);
    }
}

#[test]
fn batch_norm_relu_and_addition_go_into_the_convolution() {
    let mut b = Builder::new();
    let x = b.image([1, 4, 5, 6]);
    let left = b.push(Unary::Sigmoid, &[x]);
    let y = b.same(x, 4, 3);
    let y = b.norm(y, false);
    let sum = b.push(Binary::Add, &[left, y]);
    let out = b.push(Unary::Relu, &[sum]);
    let graph = b.finish(&[out]);
    assert_eq!(
        graph.to_string(),
        "%0 = input f32[1, 4, 5, 6]
%1 = sigmoid(%0) -> f32[1, 4, 5, 6]
%3 = conv2d(%0, const [4, 4, 3, 3]) -> f32[1, 4, 5, 6]
%8 = batch_norm_apply(%3, const [4], const [4], const [4], const [4]) -> f32[1, 4, 5, 6]
%9 = add(%1, %8) -> f32[1, 4, 5, 6]
%10 = relu(%9) -> f32[1, 4, 5, 6]
return %10
"
    );
    assert_eq!(
        optimized(&graph).to_string(),
        "%0 = input f32[1, 4, 5, 6]
%1 = sigmoid(%0) -> f32[1, 4, 5, 6]
%10 = conv2d 3x3(%0) + bias, add %1, relu -> f32[1, 4, 5, 6]
return %10
"
    );
    check(&graph);
}

/// A model traced in mixed precision: statistics are f32, weights halves.
#[test]
fn batch_norm_goes_into_a_convolution_of_halves() {
    let mut b = Builder::new();
    let x = b.image([1, 4, 5, 6]);
    let half = Cast { dtype: DType::BF16 };
    let (x, weight) = (b.push(half.clone(), &[x]), b.noise(&[4, 4, 1, 1]).cast(DType::BF16).unwrap());
    let weight = b.graph.constant(weight);
    let y = b.push(Conv2d::default(), &[x, weight]);
    let y = b.norm(y, true);
    let graph = b.finish(&[y]);
    let fused = optimized(&graph);
    assert!(fused.to_string().contains("conv2d 1x1(%1) + bias, relu -> bf16[1, 4, 5, 6]"), "{fused}");
    let inputs = inputs(&graph);
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let [found, wanted] = [&fused, &graph].map(|graph| interpret(graph, &inputs).unwrap());
    Nearness::Most.check(&found, &wanted, &[&graph, &fused]);
}

/// A unit of DSNet: half of the channels passes, the other goes through a branch, joined and shuffled.
fn basic(b: &mut Builder, x: ValueId) -> ValueId {
    let half = b.channels(x) / 2;
    let (left, right) = (b.slice(x, 0, half), b.slice(x, half, half));
    let mut y = right;
    for kernel in [1, 3, 1] {
        y = b.same(y, half, kernel);
        y = b.norm(y, true);
    }
    b.push(Interleave, &[left, y])
}

#[test]
fn splits_joins_and_shuffles_dissolve() {
    let mut b = Builder::new();
    let x = b.image([1, 8, 4, 4]);
    let x = basic(&mut b, x);
    let x = basic(&mut b, x);
    let y = b.same(x, 5, 1);
    let graph = b.finish(&[y]);
    assert_eq!(
        optimized(&graph).to_string(),
        "%0 = input f32[1, 8, 4, 4]
%9 = conv2d 1x1(%0[4..8]) + bias, relu -> f32[1, 4, 4, 4]
%23 = conv2d 3x3(%9) + bias, relu, conv2d 1x1 + bias, relu -> f32[1, 4, 4, 4]
%33 = conv2d 1x1(%0[2..4], %23[2..4]) + bias, relu -> f32[1, 4, 4, 4]
%47 = conv2d 3x3(%33) + bias, relu, conv2d 1x1 + bias, relu -> f32[1, 4, 4, 4]
%50 = conv2d 1x1(%0[0..2], %23[0..2], %47) -> f32[1, 5, 4, 4]
return %50
"
    );
    check(&graph);
}

#[test]
fn unpooling_is_added_in_the_order_of_memory() {
    let mut b = Builder::new();
    let x = b.image([2, 8, 8, 12]);
    let x = basic(&mut b, x);
    let window = Window::square(2);
    let pooled = b.graph.push(MaxPool2d { window }.into(), &[x], "").unwrap();
    let left = b.same(pooled[0], 8, 1);
    let left = b.norm(left, true);
    let up = b.push(MaxUnpool2d { window, size: [8, 12] }, &[left, pooled[1]]);
    let right = b.same(pooled[0], 6, 1);
    let weight = b.random(&[6, 6, 3, 3]);
    let conv = Conv2d { stride: [2, 2], padding: [1, 1], ..Conv2d::default() };
    let right = b.push(ConvTranspose2d { conv, output_padding: [1, 1] }, &[right, weight]);
    let right = b.norm(right, true);
    let right = b.same(right, 8, 1);
    let right = b.norm(right, true);
    let sum = b.push(Binary::Add, &[up, right]);
    let next = basic(&mut b, sum);
    let graph = b.finish(&[next]);
    let text = optimized(&graph).to_string();
    assert!(text.contains("add unpooled("), "{text}");
    assert!(!text.contains("max_unpool2d"), "{text}");
    check(&graph);
}

#[test]
fn labels_are_all_that_is_stored_where_they_are_all_that_is_wanted() {
    let mut b = Builder::new();
    let x = b.image([1, 3, 6, 10]);
    let weight = b.random(&[3, 19, 2, 2]);
    let bias = b.random(&[19]);
    let conv = Conv2d { stride: [2, 2], ..Conv2d::default() };
    let logits = b.push(ConvTranspose2d { conv, output_padding: [0, 0] }, &[x, weight, bias]);
    let best = b.push(ArgReduce { kind: Extremum::Max, axis: 1, keep: false }, &[logits]);
    let labels = b.push(Cast { dtype: DType::U8 }, &[best]);
    let graph = b.finish(&[labels]);
    let text = optimized(&graph).to_string();
    assert!(text.ends_with("stride 2x2 + bias, argmax -> u8[1, 12, 20]\nreturn %5\n"), "{text}");
    check(&graph);
}

#[test]
fn values_between_fused_steps_become_bf16() {
    let mut b = Builder::new();
    let x = b.image([1, 3, 8, 8]);
    let y = b.same(x, 8, 3);
    let y = b.norm(y, true);
    let pooled = b.graph.push(MaxPool2d { window: Window::square(2) }.into(), &[y], "").unwrap()[0];
    let left = b.same(pooled, 8, 1);
    let sum = b.push(Binary::Add, &[left, pooled]);
    // Read by what has no bf16 kernel: stays f32.
    let gate = b.push(Unary::Sigmoid, &[sum]);
    let out = b.same(sum, 2, 1);
    let graph = b.finish(&[gate, out]);
    let fused = optimized(&graph);
    assert_eq!(
        fused.to_string(),
        "%0 = input f32[1, 3, 8, 8]
%7 = conv2d 3x3(%0) + bias, relu -> f32[1, 8, 8, 8]
%8 = max_pool2d 2x2(%7) -> f32[1, 8, 4, 4]
%12 = conv2d 1x1(%8), add %8 -> f32[1, 8, 4, 4]
%13 = sigmoid(%12) -> f32[1, 8, 4, 4]
%15 = conv2d 1x1(%12) -> f32[1, 2, 4, 4]
return %13, %15
"
    );
    let mut half = fused.clone();
    passes::lower_precision(&mut half).unwrap();
    // Names of the two rounded copies.
    let (image, copy) = (half.nodes[0].outs[0], half.nodes[5].outs[0]);
    assert_eq!(
        half.to_string(),
        format!(
            "%0 = input f32[1, 3, 8, 8]
{image} = collect(%0) -> bf16[1, 3, 8, 8]
%7 = conv2d 3x3({image}) + bias, relu -> bf16[1, 8, 8, 8]
%8 = max_pool2d 2x2(%7) -> bf16[1, 8, 4, 4]
%12 = conv2d 1x1(%8), add %8 -> f32[1, 8, 4, 4]
%13 = sigmoid(%12) -> f32[1, 8, 4, 4]
{copy} = collect(%12) -> bf16[1, 8, 4, 4]
%15 = conv2d 1x1({copy}) -> f32[1, 2, 4, 4]
return %13, %15
"
        )
    );
    check(&graph);
}

#[test]
fn outputs_may_be_inputs_constants_or_twice_the_same() {
    let mut b = Builder::new();
    let x = b.image([1, 2, 3, 3]);
    let y = b.push(Unary::Relu, &[x]);
    let (constant, other) = (b.random(&[4]), b.random(&[4]));
    let sum = b.push(Binary::Add, &[constant, other]);
    check(&b.finish(&[x, y, constant, y, sum]));
}

#[test]
fn constants_are_maps_too() {
    let mut b = Builder::new();
    let x = b.image([1, 4, 6, 8]);
    let noise = b.random(&[1, 4, 6, 8]);
    let y = b.same(x, 4, 3);
    let sum = b.push(Binary::Add, &[y, noise]);
    let joined = b.push(Cat { axis: 1 }, &[noise, x]);
    let y = b.same(joined, 3, 1);
    let part = b.random(&[1, 2, 6, 8]);
    let joined = b.push(Cat { axis: 1 }, &[part, x]);
    let pooled = b.push(MaxPool2d { window: Window::square(2) }, &[joined]);
    check(&b.finish(&[sum, y, pooled, joined]));
}

#[test]
fn wrong_inputs_are_refused() {
    let mut b = Builder::new();
    let x = b.image([1, 3, 4, 4]);
    let y = b.push(Unary::Relu, &[x]);
    let graph = b.finish(&[y]);
    let plan = cpu::device().plan(&graph).unwrap();
    let small = Tensor::zeros(&[1, 3, 4, 2], DType::F32).unwrap();
    let error = plan.run(&[&small]).unwrap_err().to_string();
    assert!(error.contains("f32[1, 3, 4, 4]") && error.contains("f32[1, 3, 4, 2]"), "{error}");
}

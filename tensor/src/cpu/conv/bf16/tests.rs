//! Every engine against plain loops, on small whole numbers, whose sums are exact in any order: results are equal, bit for
//! bit. All memory that is not to be read holds NaN.

use proptest::prelude::*;

use super::*;
use crate::cpu::conv::{
    tests::{all_sides, small_sides},
    winograd as tiles,
};
use crate::cpu::simd::{Isa, with_isa};

/// What is drawn: sizes, and which parts of the epilogue there are.
#[derive(Debug, Clone)]
struct Case {
    geometry: ConvGeometry,
    transposed: bool,
    /// Channels of each run, channels before it and after it in its image.
    runs: Vec<[usize; 3]>,
    tail: Option<usize>,
    bias: bool,
    relu: bool,
    relu_last: bool,
    residual: u8,
    labels: bool,
    wide: bool,
    seed: u64,
}

fn numbers(seed: u64, len: usize, most: i64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) as i64 % (2 * most + 1) - most) as f32
        })
        .collect()
}

fn halves(values: &[f32]) -> Vec<bf16> {
    values.iter().map(|&v| bf16::from_f32(v)).collect()
}

/// Calls `f` with the places of input (NHWC), output (NHWC) and weight (`[c_out, c_in, kh, kw]`) of each product that a
/// convolution adds up.
fn each_product(g: &ConvGeometry, mut f: impl FnMut(usize, usize, usize)) {
    let [kh, kw] = g.kernel;
    for n in 0..g.batch {
        for (oh, ow) in (0..g.out_h).flat_map(|oh| (0..g.out_w).map(move |ow| (oh, ow))) {
            for (i, j) in (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j))) {
                let h = (oh * g.stride[0] + i * g.dilation[0]).wrapping_sub(g.padding[0]);
                let w = (ow * g.stride[1] + j * g.dilation[1]).wrapping_sub(g.padding[1]);
                if h >= g.in_h || w >= g.in_w {
                    continue;
                }
                let (a, b) = ((n * g.in_h + h) * g.in_w + w, (n * g.out_h + oh) * g.out_w + ow);
                for (k, c) in (0..g.c_out).flat_map(|k| (0..g.c_in).map(move |c| (k, c))) {
                    f(a * g.c_in + c, b * g.c_out + k, ((k * g.c_in + c) * kh + i) * kw + j);
                }
            }
        }
    }
}

/// `[c_out, c_in, kh, kw]` weights applied forward, or as the adjoint, to NHWC pixels.
fn sums(g: &ConvGeometry, transposed: bool, x: &[f32], weights: &[f32]) -> Vec<f32> {
    let (small, large) = (g.output_len(), g.input_len());
    let mut y = vec![0.0; if transposed { large } else { small }];
    each_product(g, |input, output, weight| {
        if transposed {
            y[input] += x[output] * weights[weight];
        } else {
            y[output] += x[input] * weights[weight];
        }
    });
    y
}

fn add_bias(y: &mut [f32], bias: Option<&[f32]>, relu: bool) {
    if let Some(bias) = bias {
        y.chunks_mut(bias.len()).flat_map(|p| p.iter_mut().zip(bias)).for_each(|(y, b)| *y += b);
    }
    if relu {
        y.iter_mut().for_each(|y| *y = y.max(0.0));
    }
}

fn check(case: &Case) {
    let g = &case.geometry;
    let (depth, channels, [h, w]) = if case.transposed {
        (g.c_out, g.c_in, [g.in_h, g.in_w])
    } else {
        (g.c_in, g.c_out, [g.out_h, g.out_w])
    };
    let pixels = g.batch * h * w;
    let last = case.tail.unwrap_or(channels);
    let x_len = if case.transposed { g.output_len() } else { g.input_len() };
    let x = numbers(case.seed, x_len, 3);
    let weights = numbers(case.seed + 1, g.weight_len(), 2);
    let tail_weights = case.tail.map(|k| numbers(case.seed + 2, k * channels, 2));
    let bias = case.bias.then(|| numbers(case.seed + 3, channels, 5));
    let tail_bias = case.bias.then(|| numbers(case.seed + 4, last, 5));
    let image = numbers(case.seed + 5, pixels * last, 40);
    let even = h % 2 == 0 && w % 2 == 0;
    let pooled = numbers(case.seed + 6, pixels / 4 * last, 40);
    let index: Vec<u8> =
        numbers(case.seed + 7, pixels / 4 * last, 2).iter().map(|&v| (v + 2.0) as u8 % 4).collect();

    let mut wanted = sums(g, case.transposed, &x, &weights);
    add_bias(&mut wanted, bias.as_deref(), case.relu);
    if let (Some(k), Some(weights)) = (case.tail, &tail_weights) {
        let flat = ConvGeometry::new(1, [1, pixels], channels, k, [1, 1]);
        let kept: Vec<f32> = halves(&wanted).iter().map(|v| v.to_f32()).collect();
        wanted = sums(&flat, false, &kept, weights);
        add_bias(&mut wanted, tail_bias.as_deref(), case.relu);
    }
    let residual = match case.residual {
        1 => Some(image.clone()),
        2 if even => Some(
            (0..pixels * last)
                .map(|i| {
                    let (pixel, c) = (i / last, i % last);
                    let (n, row, column) = (pixel / (h * w), pixel / w % h, pixel % w);
                    let at = ((n * (h / 2) + row / 2) * (w / 2) + column / 2) * last + c;
                    if usize::from(index[at]) == row % 2 * 2 + column % 2 { pooled[at] } else { 0.0 }
                })
                .collect(),
        ),
        _ => None,
    };
    if let Some(residual) = &residual {
        wanted.iter_mut().zip(residual).for_each(|(y, r)| *y += r);
        if case.relu_last {
            wanted.iter_mut().for_each(|y| *y = y.max(0.0));
        }
    }

    // Each run in an image of its own, among channels of NaN.
    let mut first = 0;
    let images: Vec<(Vec<bf16>, [usize; 3])> = case
        .runs
        .iter()
        .map(|&[len, before, after]| {
            let pitch = before + len + after;
            let mut image = vec![bf16::NAN; x_len / depth * pitch];
            for (to, from) in image.chunks_mut(pitch).zip(x.chunks(depth)) {
                to[before..before + len].copy_from_slice(&halves(&from[first..first + len]));
            }
            first += len;
            (image, [pitch, before, len])
        })
        .collect();
    let sources: Vec<Source<'_, bf16>> = images
        .iter()
        .map(|(data, [pitch, start, len])| Source { data, pitch: *pitch, start: *start, len: *len })
        .collect();
    let direction = if case.transposed { Direction::InputGradient } else { Direction::Forward };
    let runs: Vec<usize> = case.runs.iter().map(|run| run[0]).collect();
    let (image, pooled) = (halves(&image), halves(&pooled));
    let residual = residual.map(|_| match case.residual {
        1 => Residual::Image(&image[..]),
        _ => Residual::Unpooled { pooled: &pooled, index: &index },
    });
    for engine in Engine::available() {
        with_engine(engine, || {
            let packed = Weights::new(g, direction, &runs, &weights);
            let flat = case.tail.map(|k| ConvGeometry::new(1, [1, 1], channels, k, [1, 1]));
            let tail = flat.zip(tail_weights.as_ref());
            let tail = tail.map(|(flat, w)| Weights::new(&flat, Direction::Forward, &[channels], w));
            let last_finish = |bias| Finish { bias, relu: case.relu, residual, relu_last: case.relu_last };
            let finish = match &tail {
                Some(_) => {
                    Finish { bias: bias.as_deref(), relu: case.relu, residual: None, relu_last: false }
                }
                None => last_finish(bias.as_deref()),
            };
            let tail = tail.as_ref().map(|tail| (tail, last_finish(tail_bias.as_deref())));
            let conv = Conv { geometry: g, sources: &sources, weights: &packed, finish, tail, fold: 1 };
            if case.labels {
                let mut found = vec![0; pixels];
                conv.run(Out::Labels(&mut found));
                let best = wanted.chunks(last).map(|p| {
                    let most = p.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    p.iter().position(|&v| v == most).unwrap() as u8
                });
                assert_eq!(found, best.collect::<Vec<u8>>(), "{engine} {case:?}");
            } else if case.wide {
                let mut found = vec![0.0; wanted.len()];
                conv.run(Out::F32(&mut found));
                assert_eq!(found, wanted, "{engine} {case:?}");
            } else {
                let mut found = vec![bf16::NAN; wanted.len()];
                conv.run(Out::Bf16(&mut found));
                assert_eq!(found, halves(&wanted), "{engine} {case:?}");
            }
        });
    }
}

prop_compose! {
    fn case()(
        (batch, size) in (1usize..3, [1usize..20, 1usize..70]),
        kernel in [1usize..4, 1usize..4],
        (stride, dilation) in ([1usize..4, 1usize..4], [1usize..4, 1usize..6]),
        runs in prop::collection::vec([1usize..40, 0usize..4, 0usize..4], 1..4),
        channels in 1usize..50,
        tail in prop::option::of(1usize..50),
        (padding, transposed) in ([0usize..4, 0usize..4], any::<bool>()),
        (bias, relu, relu_last, residual) in (any::<bool>(), any::<bool>(), any::<bool>(), 0u8..3),
        (labels, wide) in (any::<bool>(), any::<bool>()),
        seed in any::<u32>(),
    ) -> Case {
        let depth = runs.iter().map(|run| run[0]).sum();
        let (c_in, c_out) = if transposed { (channels, depth) } else { (depth, channels) };
        let geometry = ConvGeometry::new(batch, size, c_in, c_out, kernel)
            .with_stride(stride)
            .with_dilation(dilation)
            .with_padding(padding);
        // One half without labels; those of sums that went through a residual are tested too.
        let labels = labels && wide;
        Case { geometry, transposed, runs, tail, bias, relu, relu_last, residual, labels, wide, seed: seed.into() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn all_engines_compute_what_plain_loops_do(case in case()) {
        let g = &case.geometry;
        prop_assume!(g.out_h > 0 && g.out_w > 0);
        check(&case);
    }
}

/// The weight gradient of channels that lie among channels of NaN.
fn check_weight_gradient(g: &ConvGeometry, around: [usize; 2], seed: u64) {
    let (x, gy) = (numbers(seed, g.input_len(), 3), numbers(seed + 1, g.output_len(), 3));
    let mut wanted = vec![0.0; g.weight_len()];
    each_product(g, |input, output, weight| wanted[weight] += x[input] * gy[output]);
    let image = |values: &[f32], len: usize| {
        let mut image = vec![bf16::NAN; values.len() / len * (around[0] + len + around[1])];
        let pixels = image.chunks_mut(around[0] + len + around[1]).zip(values.chunks(len));
        pixels.for_each(|(to, from)| to[around[0]..around[0] + len].copy_from_slice(&halves(from)));
        image
    };
    let (x, gy) = (image(&x, g.c_in), image(&gy, g.c_out));
    let source = |data, len| Source { data, pitch: around[0] + len + around[1], start: around[0], len };
    for engine in Engine::available() {
        let mut found = vec![f32::NAN; wanted.len()];
        with_engine(engine, || weight_gradient(g, source(&x, g.c_in), source(&gy, g.c_out), &mut found));
        assert_eq!(found, wanted, "{engine} {g:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn all_engines_compute_weight_gradients(case in case(), around in [0usize..5, 0usize..5]) {
        let g = &case.geometry;
        prop_assume!(g.out_h > 0 && g.out_w > 0);
        check_weight_gradient(g, around, case.seed);
    }
}

/// An odd number of rows, rows without a partner, and single pixels cut into rows.
#[test]
fn weight_gradients_of_odd_sizes() {
    for (batch, size, kernel, padding) in
        [(1, [1, 1], [1, 1], 0), (3, [5, 33], [3, 3], 1), (1, [7, 100], [1, 1], 0), (2, [1, 50], [3, 3], 1)]
    {
        let g = ConvGeometry::new(batch, size, 35, 50, kernel).with_padding([padding; 2]);
        check_weight_gradient(&g, [0, 0], 11);
    }
}

/// Small enough for an interpreter that watches every access (`scripts/sanitize.sh`).
#[test]
fn small_ones_are_exact() {
    for (transposed, labels, tail) in [(false, false, Some(3)), (true, false, None), (false, true, None)] {
        let (c_in, c_out) = if transposed { (4, 5) } else { (5, 4) };
        let geometry =
            ConvGeometry::new(1, [3, 6], c_in, c_out, [3, 2]).with_stride([1, 2]).with_padding([1, 1]);
        let runs = vec![[3, 1, 0], [2, 0, 2]];
        let (bias, relu, relu_last, residual) = (true, true, false, u8::from(!labels));
        let wide = true;
        check(&Case {
            geometry,
            transposed,
            runs,
            tail,
            bias,
            relu,
            relu_last,
            residual,
            labels,
            wide,
            seed: 9,
        });
    }
}

/// The shapes of the network: one whole source of 32 or 64 channels read in place, wide rows, dilation past the edge.
#[test]
fn wide_rows_in_place() {
    for (channels, dilation, width) in [(32, 1, 100), (64, 17, 80), (64, 2, 33), (16, 1, 49)] {
        let geometry = ConvGeometry::new(1, [6, width], channels, 24, [3, 3])
            .with_dilation([dilation; 2])
            .with_padding([dilation; 2]);
        check(&Case {
            geometry,
            transposed: false,
            runs: vec![[channels, 0, 0]],
            tail: Some(19),
            bias: true,
            relu: true,
            relu_last: true,
            residual: 1,
            labels: false,
            wide: false,
            seed: 5,
        });
    }
}

#[test]
fn threads_do_not_change_results() {
    let g = ConvGeometry::new(2, [40, 90], 37, 21, [3, 3]).with_padding([1, 1]);
    let x: Vec<bf16> = numbers(3, g.input_len(), 1000).iter().map(|v| bf16::from_f32(v / 317.0)).collect();
    let weights: Vec<f32> =
        numbers(4, g.weight_len(), 1000).iter().map(|v| bf16::from_f32(v / 411.0).to_f32()).collect();
    let source = [Source { data: &x, pitch: 37, start: 0, len: 37 }];
    for engine in Engine::available() {
        let weights = with_engine(engine, || Weights::new(&g, Direction::Forward, &[37], &weights));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut y = vec![0.0; g.output_len()];
            let finish = Finish { bias: None, relu: false, residual: None, relu_last: false };
            let conv =
                Conv { geometry: &g, sources: &source, weights: &weights, finish, tail: None, fold: 1 };
            pool.install(|| conv.run(Out::F32(&mut y)));
            y
        };
        let one = run(1);
        assert!(one.iter().any(|v| v.fract() != 0.0));
        assert_eq!(run(3), one, "{engine}");
    }
}

/// A 3×3 convolution of stride 1 that keeps the size, with channels in whole vectors.
fn same_size(batch: usize, [h, w]: [usize; 2], [c_in, c_out]: [usize; 2], d: usize) -> ConvGeometry {
    let g = ConvGeometry::new(batch, [h, w], c_in, c_out, [3, 3]).with_dilation([d, d]);
    ConvGeometry { padding: [d, d], out_h: h, out_w: w, ..g }
}

/// Channels among channels of NaN.
fn among_nan(values: &[f32], len: usize, before: usize) -> Vec<bf16> {
    let mut image = vec![bf16::NAN; values.len() / len * (before + len + 3)];
    let pixels = image.chunks_mut(before + len + 3).zip(values.chunks(len));
    pixels.for_each(|(to, from)| to[before..before + len].copy_from_slice(&halves(from)));
    image
}

/// Winograd's tiles of these sides against plain loops: results are off by the one rounding, and by what f32 loses.
fn check_tiles(g: &ConvGeometry, sides: &[[usize; 2]], before: usize, bias: bool, seed: u64) {
    let (x, gy) = (numbers(seed, g.input_len(), 3), numbers(seed + 1, g.output_len(), 3));
    let weights = numbers(seed + 2, g.weight_len(), 2);
    let mut gradient = vec![0.0; g.weight_len()];
    each_product(g, |input, output, weight| gradient[weight] += x[input] * gy[output]);
    let images = [among_nan(&x, g.c_in, before), among_nan(&gy, g.c_out, before)];
    let source =
        |i: usize, len: usize| Source { data: &images[i], pitch: before + len + 3, start: before, len };
    let sources = [source(0, g.c_in), source(1, g.c_out)];
    for engine in Engine::available() {
        let isa = match engine {
            Engine::Widened(isa) => isa,
            Engine::Paired => Isa::Avx512,
            _ => continue,
        };
        let all = || {
            for part in sides.iter().flat_map(|&sides| tiles::even(g, sides)) {
                for (transposed, source, from) in [(false, sources[0], &x), (true, sources[1], &gy)] {
                    let channels = if transposed { g.c_in } else { g.c_out };
                    let bias = bias.then(|| numbers(seed + 3, channels, 5));
                    let mut wanted = sums(g, transposed, from, &weights);
                    add_bias(&mut wanted, bias.as_deref(), true);
                    let direction = if transposed { Direction::InputGradient } else { Direction::Forward };
                    let finish =
                        Finish { bias: bias.as_deref(), relu: true, residual: None, relu_last: false };
                    let mut found = vec![bf16::NAN; wanted.len()];
                    let w = halves(&weights);
                    winograd::by_tiles(g, direction, &part, source, &w, &finish, &mut found);
                    for (found, wanted) in found.iter().zip(&wanted) {
                        let error = (found.to_f32() - wanted).abs();
                        assert!(
                            error <= wanted.abs() / 256.0 + 0.01,
                            "{engine} {part:?} {found} {wanted} {g:?}"
                        );
                    }
                }
                let mut found = vec![f32::NAN; gradient.len()];
                tiles::weight_gradient(g, part.form, sources[0], sources[1], &mut found);
                for (found, wanted) in found.iter().zip(&gradient) {
                    assert!((found - wanted).abs() <= 0.02, "{engine} {part:?} {found} {wanted} {g:?}");
                }
            }
        };
        with_isa(isa, || with_engine(engine, all)).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn tiles_compute_what_plain_loops_do(
        (batch, size) in (1usize..3, [1usize..14, 1usize..30]),
        channels in [prop::sample::select(vec![16usize, 32]), prop::sample::select(vec![16usize, 48])],
        (d, before, bias, seed) in (1usize..6, 0usize..4, any::<bool>(), any::<u32>()),
    ) {
        check_tiles(&same_size(batch, size, channels, d), &all_sides(), before, bias, seed.into());
    }
}

/// Small enough for an interpreter that watches every access.
#[test]
fn small_tiles_compute_what_plain_loops_do() {
    check_tiles(&same_size(1, [3, 5], [16, 16], 1), &small_sides(), 1, true, 3);
}

/// Where tiles are taken, their errors are those of the one rounding: no result is further from the exact one than the direct
/// sum's furthest, by more than a hair; and the number of threads changes no bit.
#[test]
fn tiles_round_once() {
    let g = same_size(2, [45, 60], [64, 64], 2);
    let noise = |seed, len| -> Vec<bf16> {
        numbers(seed, len, 1000).iter().map(|v| bf16::from_f32(v / 317.0)).collect()
    };
    let (x, w) = (noise(3, g.input_len()), noise(4, g.weight_len()));
    let wide = |values: &[bf16]| -> Vec<f32> { values.iter().map(|v| v.to_f32()).collect() };
    let exact = sums(&g, false, &wide(&x), &wide(&w));
    let source = Source { data: &x, pitch: 64, start: 0, len: 64 };
    let finish = Finish { bias: None, relu: false, residual: None, relu_last: false };
    let run = |threads: usize, direct: bool| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut y = vec![bf16::NAN; g.output_len()];
        pool.install(|| {
            if direct {
                Weights::once(&g, Direction::Forward, &w, |weights| {
                    let conv =
                        Conv { geometry: &g, sources: &[source], weights, finish, tail: None, fold: 1 };
                    conv.run(Out::Bf16(&mut y));
                });
            } else {
                let part = &tiles::even(&g, [4, 4])[0];
                winograd::by_tiles(&g, Direction::Forward, part, source, &w, &finish, &mut y);
            }
        });
        y
    };
    let error = |y: &[bf16]| {
        let squares = y.iter().zip(&exact).map(|(y, e)| f64::from(y.to_f32() - e).powi(2));
        (squares.sum::<f64>() / exact.len() as f64).sqrt()
    };
    let (tiles, direct) = (run(1, false), run(1, true));
    assert!(error(&tiles) <= 1.01 * error(&direct), "{} {}", error(&tiles), error(&direct));
    assert_eq!(run(3, false), tiles);
}

/// Transposed convolutions as wide as their stride go as convolutions of wider pixels.
#[test]
fn folded_convolutions_are_exact() {
    for (kernel, channels) in [([2, 2], 11), ([2, 3], 5), ([3, 2], 16)] {
        let g = ConvGeometry::new(2, [6, 4 * kernel[1]], channels, 7, kernel).with_stride(kernel);
        assert!(crate::cpu::conv::Fold::of(&g, Direction::InputGradient).is_some());
        let (gy, weights) = (numbers(1, g.output_len(), 3), numbers(2, g.weight_len(), 2));
        let bias = numbers(3, channels, 5);
        let mut wanted = sums(&g, true, &gy, &weights);
        add_bias(&mut wanted, Some(&bias), false);
        let (image, weights) = (among_nan(&gy, 7, 2), halves(&weights));
        let source = Source { data: &image, pitch: 12, start: 2, len: 7 };
        for engine in Engine::available() {
            let mut found = vec![bf16::NAN; wanted.len()];
            with_engine(engine, || {
                once(&g, Direction::InputGradient, source, &weights, Some(&bias), &mut found)
            });
            assert_eq!(found, halves(&wanted), "{engine} {g:?}");
        }
    }
}

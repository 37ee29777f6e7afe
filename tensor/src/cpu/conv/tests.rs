//! Every kernel against plain loops in f64, for every instruction set of the machine.

use super::*;
use crate::cpu::simd::with_isa;
use proptest::prelude::*;

/// Deterministic numbers in −1..1 without a generator: a hash of the index.
fn noise<T: Scalar>(len: usize, seed: u64) -> Vec<T> {
    let value = |i: usize| {
        let mut z = (i as u64)
            .wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^= z >> 29;
        z = z.wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 32;
        T::from((z % 20_001) as f64 / 10_000.0 - 1.0).expect("fits any float")
    };
    (0..len).map(value).collect()
}

/// Calls `f(image, output row, output column, output channel, input index, weight index)` for every multiplication.
fn for_each_product(g: &ConvGeometry, mut f: impl FnMut(usize, usize, usize)) {
    let (cg, kg) = (g.c_in / g.groups, g.c_out / g.groups);
    for n in 0..g.batch {
        for oy in 0..g.out_h {
            for ox in 0..g.out_w {
                for k in 0..g.c_out {
                    for c in 0..cg {
                        for ky in 0..g.kernel[0] {
                            for kx in 0..g.kernel[1] {
                                let iy = (oy * g.stride[0] + ky * g.dilation[0]).wrapping_sub(g.padding[0]);
                                let ix = (ox * g.stride[1] + kx * g.dilation[1]).wrapping_sub(g.padding[1]);
                                if iy < g.in_h && ix < g.in_w {
                                    let x = ((n * g.in_h + iy) * g.in_w + ix) * g.c_in + k / kg * cg + c;
                                    let w = ((k * cg + c) * g.kernel[0] + ky) * g.kernel[1] + kx;
                                    f(((n * g.out_h + oy) * g.out_w + ox) * g.c_out + k, x, w);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn to_f64<T: Scalar>(v: &[T]) -> Vec<f64> {
    v.iter().map(|x| x.to_f64().expect("a float")).collect()
}

/// Compares within rounding: `size` bounds the sum of the terms' magnitudes.
fn assert_close<T: Scalar>(found: &[T], wanted: &[f64], size: f64, what: &str) {
    let scale = size.max(1.0);
    let tolerance = scale * 32.0 * T::epsilon().to_f64().expect("a float");
    for (i, (f, w)) in to_f64(found).iter().zip(wanted).enumerate() {
        assert!((f - w).abs() <= tolerance, "{what}: element {i} is {f}, should be {w}");
    }
}

/// Which parts of the epilogue to use.
type Extras = (bool, bool, bool, bool);

fn epilogue_reference<T: Scalar>(sums: &mut [f64], epilogue: &Epilogue<'_, T>) {
    for (i, s) in sums.iter_mut().enumerate() {
        *s += epilogue.bias.map_or(0.0, |b| b[i % b.len()].to_f64().expect("a float"));
        *s = if epilogue.relu { s.max(0.0) } else { *s };
        if let Some(Residual::Image(image)) = epilogue.residual {
            *s += image[i].to_f64().expect("a float");
            *s = if epilogue.relu_last { s.max(0.0) } else { *s };
        }
    }
}

fn check<T: Scalar>(g: &ConvGeometry, extras: Extras) {
    let (x, w, gy) =
        (noise::<T>(g.input_len(), 1), noise::<T>(g.weight_len(), 2), noise::<T>(g.output_len(), 3));
    let (x64, w64, gy64) = (to_f64(&x), to_f64(&w), to_f64(&gy));
    let (mut y64, mut gx64, mut gw64) = (vec![0.0; gy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
    let (mut y_size, mut gx_size, mut gw_size) = (y64.clone(), gx64.clone(), gw64.clone());
    let add = |sum: &mut f64, size: &mut f64, product: f64| {
        *sum += product;
        *size += product.abs();
    };
    for_each_product(g, |y, x, w| {
        add(&mut y64[y], &mut y_size[y], x64[x] * w64[w]);
        add(&mut gx64[x], &mut gx_size[x], gy64[y] * w64[w]);
        add(&mut gw64[w], &mut gw_size[w], gy64[y] * x64[x]);
    });
    let [y_size, gx_size, gw_size] = [y_size, gx_size, gw_size].map(|v| v.into_iter().fold(0.0, f64::max));
    let (bias_out, bias_in) = (noise::<T>(g.c_out, 4), noise::<T>(g.c_in, 5));
    let (residual_out, residual_in) = (noise::<T>(gy.len(), 6), noise::<T>(x.len(), 7));
    let forward_epilogue = Epilogue {
        bias: extras.0.then_some(&bias_out[..]),
        relu: extras.1,
        residual: extras.2.then_some(Residual::Image(&residual_out)),
        relu_last: extras.3,
    };
    let backward_epilogue = Epilogue {
        bias: extras.0.then_some(&bias_in[..]),
        relu: extras.1,
        residual: extras.2.then_some(Residual::Image(&residual_in)),
        relu_last: extras.3,
    };
    epilogue_reference(&mut y64, &forward_epilogue);
    epilogue_reference(&mut gx64, &backward_epilogue);
    for isa in Isa::available() {
        // Every element must be written: start from NaN.
        let mut y = vec![T::nan(); gy.len()];
        let mut gx = vec![T::nan(); x.len()];
        let mut gw = vec![T::nan(); w.len()];
        with_isa(isa, || {
            forward(g, &x, &w, forward_epilogue, &mut y);
            assert_close(&y, &y64, y_size, &format!("{isa} forward {g:?}"));
            input_gradient(g, &gy, &w, backward_epilogue, &mut gx);
            assert_close(&gx, &gx64, gx_size, &format!("{isa} input gradient {g:?}"));
            weight_gradient(g, &x, &gy, &mut gw);
            assert_close(&gw, &gw64, gw_size, &format!("{isa} weight gradient {g:?}"));

            let packed = PackedWeights::new(g, Direction::Forward, &w);
            let mut again = vec![T::nan(); gy.len()];
            forward_packed(g, &x, &packed, forward_epilogue, &mut again);
            assert_close(&again, &y64, y_size, &format!("{isa} packed forward {g:?}"));
            let packed = PackedWeights::new(g, Direction::InputGradient, &w);
            let mut again = vec![T::nan(); x.len()];
            input_gradient_packed(g, &gy, &packed, backward_epilogue, &mut again);
            assert_close(&again, &gx64, gx_size, &format!("{isa} packed input gradient {g:?}"));
        });
    }
}

/// Channels per group: ordinary convolutions of odd widths, grouped ones, depthwise ones.
fn channels() -> impl Strategy<Value = (usize, usize, usize)> {
    prop_oneof![
        4 => (Just(1usize), 1usize..40, 1usize..40),
        2 => (2usize..5, 1usize..9, 1usize..20),
        2 => (2usize..50, Just(1), Just(1)),
    ]
}

prop_compose! {
    fn geometry()(
        batch in 1usize..3,
        size in [1usize..12, 1usize..24],
        (groups, cg, kg) in channels(),
        kernel in [1usize..5, 1usize..5],
        stride in [1usize..4, 1usize..4],
        padding in [0usize..4, 0usize..4],
        dilation in [1usize..4, 1usize..4],
        extra in [0usize..3, 0usize..3],
    ) -> ConvGeometry {
        let mut g = ConvGeometry::new(batch, size, groups * cg, groups * kg, kernel)
            .with_stride(stride)
            .with_padding(padding)
            .with_dilation(dilation)
            .with_groups(groups);
        // Output sizes beyond or below the formula's (unequal padding, transposed convolution with output padding).
        g.out_h = (g.out_h + extra[0]).saturating_sub(1).max(1);
        g.out_w = (g.out_w + extra[1]).saturating_sub(1).max(1);
        g
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_passes_match_plain_loops(g in geometry(), extras: Extras, double: bool) {
        if double { check::<f64>(&g, extras) } else { check::<f32>(&g, extras) }
    }
}

#[test]
fn the_networks_own_layers_match_plain_loops() {
    let same =
        |c, k, d| ConvGeometry::new(1, [9, 26], c, k, [3, 3]).with_padding([d, d]).with_dilation([d, d]);
    for d in [1, 2, 5, 9, 17] {
        check::<f32>(&same(64, 48, d), (true, true, true, true));
    }
    check::<f32>(&same(3, 13, 1).with_stride([2, 2]), (true, true, false, false));
    check::<f32>(&ConvGeometry::new(2, [5, 7], 128, 64, [1, 1]), (true, true, false, false));
    check::<f32>(
        &ConvGeometry::new(1, [10, 14], 19, 16, [2, 2]).with_stride([2, 2]),
        (true, false, false, false),
    );
    check::<f32>(&same(64, 64, 1).with_stride([2, 2]), (false, false, true, true));
}

/// One of each kind, small enough for an interpreter that watches every access (`scripts/sanitize.sh`).
#[test]
fn small_ones_match_plain_loops() {
    let conv = |c_in, c_out, kernel| ConvGeometry::new(1, [4, 5], c_in, c_out, kernel);
    let three = |c| conv(c, c, [3, 3]).with_padding([1, 1]);
    for g in [conv(3, 2, [1, 1]), three(3), three(4).with_groups(4), three(2).with_stride([2, 2]), three(16)]
    {
        check::<f32>(&g, (true, true, true, true));
    }
}

/// Transposed convolutions as wide as their stride, whose results lie side by side.
#[test]
fn filters_as_wide_as_their_stride_match_plain_loops() {
    for (kernel, stride, size) in [
        ([2, 2], [2, 2], [6, 10]),
        ([3, 2], [1, 2], [5, 8]),
        ([1, 3], [2, 3], [4, 9]),
        ([2, 4], [2, 4], [4, 12]),
    ] {
        for (c_in, c_out) in [(19, 16), (1, 3), (40, 5)] {
            let g = ConvGeometry::new(2, size, c_in, c_out, kernel).with_stride(stride);
            assert!(Fold::of(&g, Direction::InputGradient).is_some());
            for extras in [(false, false, false, false), (true, true, true, true)] {
                check::<f32>(&g, extras);
            }
        }
    }
}

#[test]
fn an_empty_batch_is_no_work() {
    let g = ConvGeometry::new(0, [4, 4], 3, 5, [3, 3]).with_padding([1, 1]);
    let w = noise::<f32>(g.weight_len(), 1);
    let mut gw = vec![f32::NAN; w.len()];
    forward(&g, &[], &w, Epilogue::default(), &mut []);
    input_gradient(&g, &[], &w, Epilogue::default(), &mut []);
    weight_gradient(&g, &[], &[], &mut gw);
    assert!(gw.iter().all(|&v| v == 0.0));
}

#[test]
fn results_do_not_depend_on_threads() {
    let shapes = [
        ConvGeometry::new(2, [23, 40], 24, 40, [3, 3]).with_padding([2, 2]).with_dilation([2, 2]),
        ConvGeometry::new(2, [23, 40], 32, 48, [3, 3]).with_padding([2, 2]).with_dilation([2, 2]),
        ConvGeometry::new(2, [40, 60], 16, 32, [1, 1]),
        ConvGeometry::new(2, [40, 60], 3, 13, [3, 3]).with_stride([2, 2]).with_padding([1, 1]),
        ConvGeometry::new(2, [40, 60], 48, 48, [3, 3]).with_padding([1, 1]).with_groups(48),
    ];
    for g in shapes {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
            let (x, w) = (noise::<f32>(g.input_len(), 1), noise::<f32>(g.weight_len(), 2));
            let mut y = vec![0.0; g.output_len()];
            let (mut gx, mut gw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
            pool.install(|| {
                forward(&g, &x, &w, Epilogue::default(), &mut y);
                input_gradient(&g, &y, &w, Epilogue::default(), &mut gx);
                weight_gradient(&g, &x, &y, &mut gw);
            });
            [y, gx, gw].map(|v| v.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        };
        let one = run(1);
        assert!(one == run(2) && one == run(5), "{g:?}");
    }
}

/// The sides of Winograd's tiles.
pub(super) fn all_sides() -> Vec<[usize; 2]> {
    (2..5).flat_map(|m| (2..5).map(move |n| [m, n])).collect()
}

/// Winograd's tiles of these sides, and the mixture that the geometry asks for, against the direct sum, with all that can follow.
fn check_winograd(g: &ConvGeometry, sides: &[[usize; 2]], tail: usize, extras: Extras, unpooled: bool) {
    let (x, w) = (noise::<f32>(g.input_len(), 1), noise::<f32>(g.weight_len(), 2));
    let channels = if tail > 0 { tail } else { g.c_out };
    let (bias, last_bias) = (noise::<f32>(g.c_out, 3), noise::<f32>(channels, 4));
    let pixels = g.batch * g.out_h * g.out_w;
    let image = noise::<f32>(pixels * channels, 5);
    let index: Vec<u8> = (0..pixels * channels / 4).map(|i| (i * 7 % 4) as u8).collect();
    let residual = match unpooled {
        true => Residual::Unpooled { pooled: &image[..index.len()], index: &index },
        false => Residual::Image(&image),
    };
    let residual = extras.2.then_some(residual);
    let first = Epilogue { bias: extras.0.then_some(&bias[..]), relu: extras.1, ..Epilogue::default() };
    let last = Epilogue { bias: Some(&last_bias[..]), relu: extras.1, residual, relu_last: extras.3 };
    let second = ConvGeometry::new(1, [1, 1], g.c_out, channels, [1, 1]);
    let source = [Source { data: &x, pitch: g.c_in, start: 0, len: g.c_in }];
    for isa in Isa::available() {
        with_isa(isa, || {
            let next = PackedWeights::<f32>::new(&second, Direction::Forward, &noise(second.weight_len(), 6));
            let run = |weights: Prepared<f32>| {
                let mut y = vec![f32::NAN; pixels * channels];
                if tail > 0 {
                    let after = Pointwise { layout: &next.layout, packed: &next.data, epilogue: last };
                    weights.run(g, &source, first, After::Pointwise(after), &mut y);
                } else {
                    let all = Epilogue { residual, relu_last: extras.3, ..first };
                    weights.run(g, &source, all, After::Store, &mut y);
                }
                y
            };
            let wanted = run(Prepared::Direct(PackedWeights::new(g, Direction::Forward, &w)));
            let size = wanted.iter().fold(0.0f32, |a, b| a.max(b.abs()));
            let tilings = sides.iter().map(|&sides| winograd::even(g, sides)).chain([winograd::mixed(g)]);
            for parts in tilings {
                let forms: Vec<_> = parts.iter().map(|part| part.form.sides).collect();
                let found = run(Prepared::winograd(parts, g, Direction::Forward, &w));
                for (i, (f, w)) in found.iter().zip(&wanted).enumerate() {
                    let near = (f - w).abs() <= 2e-5 * size;
                    assert!(near, "{isa} {forms:?} {g:?}: element {i} is {f}, should be {w}");
                }
            }
        });
    }
}

/// The weight gradient by tiles of these sides against the plain sum in f64, on channels of wider images.
fn check_winograd_gradient(g: &ConvGeometry, sides: &[[usize; 2]]) {
    let (x, gy) = (noise::<f32>(g.input_len() * 2, 1), noise::<f32>(g.output_len() * 2, 2));
    let (x, gy) = (half_of(&x, g.c_in), half_of(&gy, g.c_out));
    let mut wanted = vec![0.0; g.weight_len()];
    let mut sizes = wanted.clone();
    for_each_product(g, |out, input, weight| {
        let value =
            |source: &Source<'_, f32>, at: usize| f64::from(source.pixel(at / source.len)[at % source.len]);
        let product = value(&gy, out) * value(&x, input);
        wanted[weight] += product;
        sizes[weight] += product * product;
    });
    // Terms have either sign: their sum is about as large as the root of the sum of their squares.
    let size = sizes.into_iter().fold(0.0, f64::max).sqrt();
    for isa in Isa::available() {
        for &sides in sides {
            let mut found = vec![f32::NAN; wanted.len()];
            with_isa(isa, || winograd::weight_gradient(g, winograd::Form { sides }, x, gy, &mut found));
            for (i, (f, w)) in found.iter().zip(&wanted).enumerate() {
                let near = (f64::from(*f) - w).abs() <= 3e-5 * size;
                assert!(near, "{isa} {sides:?} {g:?}: element {i} is {f}, should be {w}, of {size}");
            }
        }
    }
}

/// Channels in the middle of pixels twice as wide.
fn half_of(data: &[f32], channels: usize) -> Source<'_, f32> {
    Source { data, pitch: 2 * channels, start: channels / 2, len: channels }
}

/// What small tests take of [`all_sides`]: an interpreter that watches every access has time for one form.
pub(super) fn small_sides() -> Vec<[usize; 2]> {
    if cfg!(miri) { vec![[2, 3]] } else { all_sides() }
}

/// As [`small_ones_match_plain_loops`].
#[test]
fn small_tiles_match_the_direct_sum() {
    let g = ConvGeometry::new(1, [5, 7], 16, 16, [3, 3]).with_dilation([2, 2]);
    let g = ConvGeometry { padding: [2, 2], out_h: 5, out_w: 7, ..g };
    check_winograd(&g, &small_sides(), 3, (true, true, true, true), false);
    check_winograd_gradient(&g, &small_sides());
}

/// A size at which parts have several strips, and strips several rows.
#[test]
fn gradients_by_tiles_match_the_plain_sum() {
    let g = ConvGeometry::new(2, [45, 60], 16, 16, [3, 3]).with_padding([2, 2]).with_dilation([2, 2]);
    check_winograd_gradient(&g, &all_sides());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn winograd_matches_the_direct_sum(
        (batch, h, w, d) in (1usize..3, 1usize..14, 1usize..90, 1usize..6),
        (c, k) in (1usize..4, 1usize..4),
        tail in 0usize..20,
        extras: Extras,
        unpooled: bool,
    ) {
        // Unpooling wants even sizes.
        let (h, w) = if unpooled { (h.next_multiple_of(2), w.next_multiple_of(2)) } else { (h, w) };
        let g = ConvGeometry::new(batch, [h, w], 16 * c, 16 * k, [3, 3]).with_dilation([d, d]);
        let g = ConvGeometry { padding: [d, d], out_h: h, out_w: w, ..g };
        check_winograd(&g, &all_sides(), tail, extras, unpooled);
        if h * w < 200 {
            check_winograd_gradient(&g, &all_sides());
        }
    }
}

#[test]
fn runs_of_channels_are_read_where_they_lie() {
    use crate::{DType, Format, Ops, Tensor, ops::Conv2d, ops::Distribution, rng::Key};
    let draw = |dims: &[usize], key| {
        let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
        Tensor::random(normal, dims, DType::F32, Key::new(5, key)).unwrap()
    };
    let image = draw(&[2, 7, 9, 80], 1).permute(&[0, 3, 1, 2]).unwrap();
    for (start, len) in [(0, 32), (48, 32), (5, 40), (79, 1)] {
        for kernel in [1, 3] {
            let part = image.narrow(1, start, len).unwrap();
            let weight = draw(&[32, len, kernel, kernel], 2);
            let conv = Conv2d { padding: [kernel / 2; 2], ..Conv2d::default() };
            let found = part.conv2d(&weight, None, &conv).unwrap().to_vec::<f32>().unwrap();
            let copy = part.copy(Format::ChannelsLast).unwrap();
            assert_eq!(found, copy.conv2d(&weight, None, &conv).unwrap().to_vec::<f32>().unwrap());
        }
    }
}

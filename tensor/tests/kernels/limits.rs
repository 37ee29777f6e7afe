//! Sizes that no memory has, windows that no axis has, channels that are not there: errors that say so, and no more.

use tensor::{
    DType, Error, Format, Meta, Ops, Tensor,
    cpu::{
        conv::{self, ConvGeometry, Epilogue},
        device,
    },
    ops::{Conv2d, ConvTranspose2d, Distribution, PoolGather, Window},
    rng::Key,
};

fn range(len: usize) -> Tensor {
    Tensor::arange(len, DType::F32).unwrap()
}

fn says(result: Result<Tensor, Error>, words: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn sizes_beyond_memory() {
    for dims in [&[1 << 61][..], &[1 << 32, 1 << 32], &[usize::MAX - 7], &[0, 1 << 63, 4], &[3, usize::MAX]] {
        says(Tensor::zeros(dims, DType::F32), "has no room in memory");
        says(Tensor::from_slice(&[0_f32; 8], dims), "8 values were given");
        says(Tensor::from_bytes(&[0; 64], dims, DType::F64), "8 values were given");
        assert!(Tensor::without_values(&Meta::new(dims, DType::F32), &device()).square().is_err());
    }
    // Addresses enough, but no memory.
    says(Tensor::zeros(&[1 << 60], DType::F32), "there is no memory for 4611686018427387904 more bytes");
    says(range(8).reshape(&[1 << 63, 2, 8]), "another number of elements");
    // Such a view needs no memory; a copy of it would.
    let columns = range(64).reshape(&[8, 8]).unwrap().transpose(0, 1).unwrap().reshape(&[8, 1, 8]).unwrap();
    says(columns.broadcast_to(&[8, (1 << 58) + 1, 8]), "has no room in memory");
    says(range(10).item().map(Tensor::scalar), "wants one value, f32[10] has 10");
}

#[test]
fn windows_beyond_an_axis() {
    says(range(10).narrow(0, usize::MAX, 2), "leave axis 0 of size 10");
    says(range(10).narrow(3, 5, 9), "there is no axis 3");
    says(Tensor::scalar(1.0).narrow(3, 5, 9), "there is no axis 3");
    let one = Tensor::ones(&[1, 1, 1, 1], DType::F32).unwrap();
    let index = Tensor::zeros(&[1, 1, 1, 1], DType::U8).unwrap();
    says(one.max_unpool2d(&index, Window::square(20), [20, 20]), "area is at most 256");
    let image = Tensor::ones(&[1, 1, 20, 20], DType::F32).unwrap();
    says(
        Tensor::apply1(PoolGather { window: Window::square(20) }.into(), &[&image, &index]),
        "area is at most 256",
    );
}

#[test]
fn convolutions_of_no_channels_or_endless_windows() {
    let zeros = |dims: [usize; 4]| Tensor::zeros(&dims, DType::F32).unwrap();
    let conv = Conv2d::default();
    says(zeros([1, 0, 4, 4]).conv2d(&zeros([2, 0, 1, 1]), None, &conv), "one input and one output channel");
    says(zeros([1, 2, 4, 4]).conv2d(&zeros([0, 2, 1, 1]), None, &conv), "one input and one output channel");
    let transposed = ConvTranspose2d { conv: conv.clone(), output_padding: [0, 0] };
    says(
        zeros([1, 2, 4, 4]).conv_transpose2d(&zeros([2, 0, 2, 2]), None, &transposed),
        "one input and one output channel",
    );
    let wide = Conv2d { padding: [usize::MAX, 1], ..conv };
    says(zeros([1, 2, 4, 4]).conv2d(&zeros([2, 2, 3, 3]), None, &wide), "does not fit");
}

/// Output padding that a dilation allows: the result is larger than the input, and tiles do not apply.
#[test]
fn transposed_convolutions_that_grow() {
    let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
    let [x, w] = [([1, 64, 23, 40], 1), ([64, 64, 3, 3], 2)]
        .map(|(dims, stream)| Tensor::random(normal, &dims, DType::F64, Key::new(7, stream)).unwrap());
    let conv = Conv2d { padding: [2, 2], dilation: [2, 2], ..Conv2d::default() };
    let op = ConvTranspose2d { conv, output_padding: [1, 1] };
    let wanted = x.conv_transpose2d(&w, None, &op).unwrap();
    assert_eq!(wanted.dims(), [1, 64, 24, 41]);
    for (dtype, bound) in [(DType::F32, 1e-3), (DType::BF16, 0.8)] {
        let found = x.cast(dtype).unwrap().conv_transpose2d(&w.cast(dtype).unwrap(), None, &op).unwrap();
        let off = found.cast(DType::F64).unwrap().sub(&wanted).unwrap().abs().unwrap().to_f64_vec().unwrap();
        assert!(off.iter().all(|&off| off < bound), "{dtype}: {:?}", off.into_iter().reduce(f64::max));
    }
}

/// The last channels of the last pixel end where the memory ends, before the image that they are taken from would.
#[test]
fn a_window_at_the_end_of_memory() {
    let image = range(98).narrow(0, 2, 96).unwrap().reshape(&[1, 6, 4, 4]).unwrap();
    let view = image.permute(&[0, 3, 1, 2]).unwrap().narrow(1, 2, 2).unwrap();
    let dense = view.to_format(Format::ChannelsLast).unwrap();
    let w = Tensor::ones(&[3, 2, 1, 1], DType::F32).unwrap();
    let [found, wanted] = [&view, &dense].map(|x| x.conv2d(&w, None, &Conv2d::default()).unwrap());
    assert_eq!(found.to_f64_vec().unwrap(), wanted.to_f64_vec().unwrap());
}

#[test]
#[should_panic(expected = "bias length does not fit")]
fn a_short_bias() {
    let geometry = ConvGeometry::new(1, [45, 80], 64, 64, [3, 3]).with_padding([1, 1]);
    let (x, w, mut y) = (vec![0_f32; 64 * 3600], vec![0_f32; 64 * 64 * 9], vec![0_f32; 64 * 3600]);
    let epilogue = Epilogue { bias: Some(&[0.0; 4][..]), ..Epilogue::default() };
    conv::forward(&geometry, &x, &w, epilogue, &mut y);
}

/// Values of 16 bits are rounded after they were drawn, but not to the bound that is left out.
#[test]
fn uniform_halves_stay_below_their_bound() {
    let unit = Distribution::Uniform { low: 0.0, high: 1.0 };
    for dtype in [DType::BF16, DType::F16] {
        let values = Tensor::random(unit, &[1 << 14], dtype, Key::new(7, 0)).unwrap().to_f64_vec().unwrap();
        assert!(values.iter().all(|v| (0.0..1.0).contains(v)), "{dtype}");
        assert!(values.iter().any(|&v| v > 0.99), "{dtype}");
    }
}

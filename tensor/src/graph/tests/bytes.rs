//! Decoded pictures, normalised while they are read.

use super::*;

/// `(x / 255 − mean) / std` of an image of bytes.
fn normalised(b: &mut Builder, dims: [usize; 4]) -> (ValueId, ValueId) {
    let bytes = b.graph.input(Meta::new(&dims[..], DType::U8));
    let x = b.push(Cast { dtype: DType::F32 }, &[bytes]);
    let full = b.graph.constant(Tensor::full(255.0, &[1], DType::F32).unwrap());
    let x = b.push(Binary::Div, &[x, full]);
    let mean = b.random(&[3, 1, 1]);
    let x = b.push(Binary::Sub, &[x, mean]);
    let std = b.graph.constant(Tensor::from_slice(&[0.2f32, 0.3, 0.25], &[3, 1, 1]).unwrap());
    (bytes, b.push(Binary::Div, &[x, std]))
}

/// The beginning of DSNet.
fn beginning(b: &mut Builder, x: ValueId) -> ValueId {
    let y = b.conv(x, 5, 3, Conv2d { stride: [2, 2], padding: [1, 1], ..Conv2d::default() });
    let y = b.norm(y, true);
    let pooled = b.graph.push(MaxPool2d { window: Window::square(2) }.into(), &[x], "").unwrap()[0];
    let y = b.push(Cat { axis: 1 }, &[y, pooled]);
    b.same(y, 4, 1)
}

#[test]
fn pictures_are_normalised_while_they_are_read() {
    let mut b = Builder::new();
    let (_, x) = normalised(&mut b, [1, 3, 6, 8]);
    let y = beginning(&mut b, x);
    let graph = b.finish(&[y]);
    let text = graph.to_string();
    let before = "%0 = input u8[1, 3, 6, 8]
%1 = cast(%0) -> f32[1, 3, 6, 8]
%3 = div(%1, const [1]) -> f32[1, 3, 6, 8]
%5 = sub(%3, const [3, 1, 1]) -> f32[1, 3, 6, 8]
%7 = div(%5, const [3, 1, 1]) -> f32[1, 3, 6, 8]
%9 = conv2d(%7, const [5, 3, 3, 3]) -> f32[1, 5, 3, 4]
";
    assert!(text.starts_with(before), "{text}");
    let fused = optimized(&graph);
    assert_eq!(
        fused.to_string(),
        "%0 = input u8[1, 3, 6, 8]
%14 = conv2d 3x3(lookup(%0)) stride 2x2 + bias, relu -> f32[1, 5, 3, 4]
%15 = max_pool2d 2x2(lookup(%0)) -> f32[1, 3, 3, 4]
%19 = conv2d 1x1(%14, %15) -> f32[1, 4, 3, 4]
return %19
"
    );
    let mut half = fused;
    passes::lower_precision(&mut half).unwrap();
    let text = half.to_string();
    assert!(text.contains("= lookup(%0, const [3, 256]) -> bf16[1, 3, 6, 8]"), "{text}");
    assert!(text.contains("%15 = max_pool2d 2x2(lookup(%0)) -> bf16[1, 3, 3, 4]"), "{text}");
    check(&graph);
}

/// Two images of odd height, so that tasks begin and end anywhere and zeros lie beside all edges.
#[test]
fn numbers_are_those_of_the_operations_to_the_last_bit() {
    let dims = [2, 3, 61, 130];
    let bytes: Vec<u8> = (0..2 * 3 * 61 * 130).map(|i| (i * i % 251) as u8).collect();
    let bytes = Tensor::from_vec(bytes, &[2, 61, 130, 3]).unwrap().permute(&[0, 3, 1, 2]).unwrap();
    for kernel in [1, 3] {
        let layers = |b: &mut Builder, x| {
            let conv = Conv2d { stride: [2, 2], padding: [kernel / 2; 2], ..Conv2d::default() };
            let y = b.conv(x, 18, kernel, conv);
            let stay = b.same(x, 3, kernel);
            (b.same(y, 9, 1), stay)
        };
        let mut b = Builder::new();
        let (_, x) = normalised(&mut b, dims);
        let (y, stay) = layers(&mut b, x);
        let whole = b.finish(&[y, stay]);
        let fused = optimized(&whole);
        assert_eq!(fused.to_string().matches("(lookup(%0))").count(), 2, "{fused}");
        let found = cpu::device().plan(&fused).unwrap().run(&[&bytes]).unwrap();
        // The same on what the operations say of the bytes.
        let mut b = Builder::new();
        let (_, x) = normalised(&mut b, dims);
        let numbers = b.finish(&[x]);
        let numbers = interpret(&numbers, &[&bytes]).unwrap().remove(0);
        let mut b = Builder::new();
        let x = b.image(dims);
        // The constants of `normalised` come first.
        b.key += 1;
        let (y, stay) = layers(&mut b, x);
        let plan = cpu::device().plan(&optimized(&b.finish(&[y, stay]))).unwrap();
        let wanted = plan.run(&[&numbers]).unwrap();
        assert_eq!(found[0].to_vec::<f32>().unwrap(), wanted[0].to_vec::<f32>().unwrap());
        // Kernels of stride 1 may take Winograd's tiles, which bytes do not.
        let error = found[1].sub(&wanted[1]).unwrap().abs().unwrap().to_f64_vec().unwrap();
        assert!(error.iter().all(|&e| e < 1e-4));
    }
}

#[test]
fn what_else_reads_the_picture_gets_it_written() {
    let mut b = Builder::new();
    let (bytes, x) = normalised(&mut b, [1, 3, 6, 8]);
    let y = beginning(&mut b, x);
    let gate = b.push(Unary::Tanh, &[x]);
    let raw = b.push(Cast { dtype: DType::F32 }, &[bytes]);
    let graph = b.finish(&[y, gate, raw]);
    let text = optimized(&graph).to_string();
    assert_eq!(text.matches("= lookup(%0, const [3, 256]) -> f32[1, 3, 6, 8]").count(), 2, "{text}");
    assert!(!text.contains("(lookup("), "{text}");
    check(&graph);
}

/// Where the larger byte does not have the larger number, the pool reads numbers.
#[test]
fn places_of_maxima_are_those_of_the_numbers() {
    for scale in [-2.0, 0.0, 0.5] {
        let mut b = Builder::new();
        let bytes = b.graph.input(Meta::new(&[1, 2, 4, 6][..], DType::U8));
        let x = b.push(Cast { dtype: DType::F32 }, &[bytes]);
        let x = b.push(Unary::MulScalar(scale), &[x]);
        let pooled = b.graph.push(MaxPool2d { window: Window::square(2) }.into(), &[x], "").unwrap();
        let graph = b.finish(&pooled);
        let text = optimized(&graph).to_string();
        assert_eq!(text.contains("2x2(lookup("), scale > 0.0, "{text}");
        check(&graph);
    }
}

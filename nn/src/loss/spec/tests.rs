//! Losses as text, and their sums against definitions.

use super::*;

#[test]
fn text_and_back() {
    for text in [
        "ce",
        "wce",
        "wce+sel",
        "fl+sel",
        "owfl",
        "owfl+sel",
        "owfl+0.5*sel",
        "2*ce+sel",
        "bootstrap:4096:0.3+sel",
    ] {
        let spec: LossSpec = text.parse().unwrap();
        assert_eq!(spec.to_string(), text);
        assert_eq!(spec.needs_head(), text.contains("sel"));
    }
    assert_eq!("bootstrap".parse::<LossSpec>().unwrap().bootstrap, Bootstrapped::default());
    assert_eq!("SEL + OWFL".parse::<LossSpec>().unwrap().to_string(), "owfl+sel");
    for bad in [
        "",
        "sel",
        "owfl+",
        "owfl+ce",
        "owfl+sel+sel",
        "0*owfl",
        "-1*ce",
        "x*ce",
        "inf*ce",
        "dice",
        "bootstrap:1",
        "bootstrap:0:1",
        "bootstrap:5:-1",
        "ce:4:1",
    ] {
        let error = bad.parse::<LossSpec>().unwrap_err().to_string();
        assert!(error.contains("owfl"), "{error}");
    }
}

#[test]
fn each_differs_in_alpha_and_gamma() {
    let balance = |text: &str| {
        let built = text.parse::<LossSpec>().unwrap().build(&[0.9, 0.09, 0.01]).unwrap();
        built.balance().clone()
    };
    let (ce, wce, fl, owfl) = (balance("ce"), balance("wce"), balance("fl"), balance("owfl"));
    assert_eq!(ce, ClassBalance::uniform(3));
    assert!(wce.alpha[0] < wce.alpha[1] && wce.gamma == [0.0; 3]);
    assert_eq!((&fl.alpha, &fl.gamma[..]), (&wce.alpha, &[2.0; 3][..]));
    assert_eq!((&owfl.alpha, &owfl.gamma[..]), (&wce.alpha, &[1.0, 0.0, 0.0][..]));
}

#[test]
fn the_total_is_the_weighted_sum() {
    let criterion = "2*ce+0.5*sel".parse::<LossSpec>().unwrap().build(&[0.5, 0.5]).unwrap();
    let logits = Var::new(Tensor::from_vec(vec![1.0, 0.0], &[1, 2, 1, 1]).unwrap());
    let head = Var::new(Tensor::from_vec(vec![0.0, 2.0], &[1, 2]).unwrap());
    let labels = Tensor::from_vec(vec![1_u8], &[1, 1, 1]).unwrap();
    let loss = criterion.forward(&logits, Some(&head), &labels).unwrap();
    let value = |v: &Var| v.tensor().item().unwrap();
    let want = 2.0 * value(&loss.pixel) + 0.5 * value(loss.sel.as_ref().unwrap());
    assert!((value(&loss.total) - want).abs() < 1e-12);
    assert!(criterion.forward(&logits, None, &labels).unwrap_err().to_string().contains("head"));
}

/// Against the definition, and its gradient against difference quotients.
#[test]
fn smoothing_spreads_the_target() {
    let logits: Vec<f64> = (0..24).map(|i| ((i * 7 % 11) as f64 - 5.0) / 2.0).collect();
    let labels = [0_u8, 1, 2, 255, 1, 1, 0, 2];
    let epsilon = 0.1;
    let spec = LossSpec::new(PixelLoss::CrossEntropy).smoothing(epsilon);
    let built = spec.build(&[0.5, 0.3, 0.2]).unwrap();
    let label_map = Tensor::from_slice(&labels, &[2, 2, 2]).unwrap();
    let value = |logits: &[f64]| {
        let x = Var::new(Tensor::from_slice(logits, &[2, 3, 2, 2]).unwrap());
        built.forward(&x, None, &label_map).unwrap().total.tensor().item().unwrap()
    };
    let mut want = 0.0;
    for (at, &label) in labels.iter().enumerate().filter(|(_, l)| **l != 255) {
        let z: [f64; 3] = std::array::from_fn(|k| logits[at / 4 * 12 + k * 4 + at % 4]);
        let sum: f64 = z.iter().map(|z| z.exp()).sum();
        for (k, z) in z.iter().enumerate() {
            let target = epsilon / 3.0 + if k == usize::from(label) { 1.0 - epsilon } else { 0.0 };
            want -= target * (z.exp() / sum).ln() / 7.0;
        }
    }
    assert!((value(&logits) - want).abs() < 1e-12, "{} {want}", value(&logits));
    let tape = autograd::Tape::new();
    let x = tape.leaf(Tensor::from_slice(&logits, &[2, 3, 2, 2]).unwrap());
    let grads = built.forward(&x, None, &label_map).unwrap().total.backward().unwrap();
    let grads = grads.get(&x).unwrap().to_vec::<f64>().unwrap();
    for i in 0..logits.len() {
        let at = |h: f64| {
            value(
                &logits.iter().enumerate().map(|(j, z)| if i == j { z + h } else { *z }).collect::<Vec<_>>(),
            )
        };
        let want = (at(1e-6) - at(-1e-6)) / 2e-6;
        assert!((grads[i] - want).abs() < 1e-8, "{i}: {} {want}", grads[i]);
    }
    let hard = LossSpec::new(PixelLoss::Bootstrap).smoothing(0.1).build(&[0.5, 0.5]).unwrap_err();
    assert!(hard.to_string().contains("hardest"), "{hard}");
    assert!(spec.smoothing(1.0).build(&[1.0]).is_err());
}

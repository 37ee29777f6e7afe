//! DSNet: its sizes, its units, the network (Wang et al., "Real-Time Driving Scene Semantic Segmentation", IEEE
//! Access 2020, Tables 2 and 3, Fig. 3).
//!
//! Names of parameters are those of a plain PyTorch rendering of the network (`down1.right.1.1.running_mean`), so that
//! its state dicts can be loaded as they are.

mod bottleneck;
mod config;
mod conv_bn;
mod dsnet;
mod inverted;
mod pyramid;
mod unit;
mod units;
mod variants;

pub use bottleneck::Bottleneck;
pub use config::{DsNetConfig, config, names, sizes};
pub use conv_bn::{Activation, Branch, Conv, ConvBn};
pub use dsnet::{DsNet, TrainableDsNet};
pub use inverted::Inverted;
pub use pyramid::Pyramid;
pub use unit::{Unit, UnitKind};
pub use units::{Basic, Down, InitUnit, Join, Up};
pub use variants::{Published, Variant};

#[cfg(test)]
mod tests {
    use nn::{Ctx, Initializer, Module, parameter_count, parameters};
    use tensor::{DType, Tensor};

    use super::*;
    use crate::summary;

    fn net(name: &str, classes: usize) -> DsNet {
        DsNet::new(&config(name, classes).unwrap(), &Initializer::new(0)).unwrap()
    }

    #[test]
    fn parameters_of_the_four_sizes() {
        let counts = sizes().map(|name| parameter_count(&net(name, 19)));
        assert_eq!(counts, [456_060, 910_460, 1_364_860, 1_819_260]);
    }

    /// Each from the widths of its units, by hand: convolutions as (channels in × out × taps), 2 for each normalised channel.
    #[test]
    fn parameters_of_the_variants() {
        for (variant, want) in [
            (Variant::Nosf, 910_460),
            // Units: 11·C² + 6·C; Downs: 16·64 + …
            (Variant::Add, 1_152_172),
            (Variant::Dw, 573_140),
            (Variant::Mbv2, 1_119_948),
            (Variant::Enet, 771_708),
            (Variant::Init, 910_460 - 377 + (27 * 16 + 2 * 16)),
            (Variant::Psp, 910_460 + 4 * (128 * 32 + 2 * 32) + 256 * 128 * 9 + 2 * 128),
            (Variant::Skip, 910_460),
            (Variant::Dila, 910_460),
        ] {
            assert_eq!(parameter_count(&net(variant.model(), 19)), want, "{variant:?}");
            // Where the text can be met, it is; where not, the reading is explained.
            let printed: f64 = variant.published().parameters.parse().unwrap();
            let equal = (want as f64 / 1e6 - printed).abs() < 0.01;
            assert_eq!(equal, variant.reading().is_none(), "{variant:?}: {want} {printed}");
        }
    }

    /// Training steps (forward with the head, OWFL + SEL, backward, Adam) on one batch bring the loss down.
    #[test]
    fn every_variant_is_trained() {
        use crate::train::{Learner, OptimizerKind};
        let normal = tensor::ops::Distribution::Normal { mean: 0.0, std: 1.0 };
        let key = |n| tensor::rng::Key::new(5, n);
        let images = Tensor::random(normal, &[2, 3, 24, 40], DType::F32, key(0)).unwrap();
        let labels = (0..2 * 24 * 40).map(|i| (i % 40 / 8) as u8).collect();
        let labels = Tensor::from_vec(labels, &[2, 24, 40]).unwrap();
        for variant in Variant::ALL {
            let name = format!("dsnet-tiny-{}", &variant.model()["dsnet-".len()..]);
            let (shape, loss) = (config(&name, 5).unwrap(), "owfl+sel".parse().unwrap());
            let frequencies = [0.6, 0.3, 0.05, 0.04, 0.01];
            let mut learner =
                Learner::with(&shape, loss, &frequencies, OptimizerKind::Adam, 1e-2, 1).unwrap();
            let losses: Vec<f64> =
                (1..=12).map(|n| learner.step(&images, &labels, key(n), 1.0).unwrap().total).collect();
            assert!(losses[11] < 0.9 * losses[0], "{name}: {losses:?}");
        }
    }

    /// Logits of the image's size, and a gradient for each parameter.
    #[test]
    fn every_variant_learns() {
        use autograd::Ops;
        for variant in Variant::ALL {
            let name = format!("dsnet-tiny-{}", &variant.model()["dsnet-".len()..]);
            let net = net(&name, 5);
            let normal = tensor::ops::Distribution::Normal { mean: 0.0, std: 1.0 };
            let key = tensor::rng::Key::new(3, 4);
            let images = Tensor::random(normal, &[2, 3, 24, 40], DType::F32, key).unwrap();
            let ctx = Ctx::train(key);
            let logits = net.forward(&ctx.input(images), &ctx).unwrap();
            assert_eq!(logits.dims(), [2, 5, 24, 40], "{name}");
            let grads = logits.square().unwrap().mean_all().unwrap().backward().unwrap();
            for (parameter, param) in parameters(&net) {
                let grad = ctx.grad(&grads, &param).unwrap_or_else(|| panic!("{name}: {parameter}"));
                // A learned slope has none where nothing is below 0.
                let some = grad.to_f64_vec().unwrap().iter().any(|g| *g != 0.0);
                assert!(some || parameter.ends_with("slope.weight"), "{name}: {parameter}");
            }
        }
    }

    #[test]
    fn cost_at_640_by_360() {
        let macs = summary::summarize(&net("dsnet-1.0", 19), 360, 640).unwrap().macs;
        assert!((macs as f64 / 1e9 - 4.2706).abs() < 5e-5, "{macs}");
    }

    #[test]
    fn the_head_adds_its_own_parameters_only() {
        let shape = config("dsnet-tiny", 5).unwrap();
        let init = Initializer::new(0);
        let trained = TrainableDsNet::new(&shape, true, &init).unwrap();
        let body = parameters(&DsNet::new(&shape, &init).unwrap());
        let all = parameters(&trained);
        assert!(all[..body.len()].iter().zip(&body).all(|(a, b)| a.0 == b.0));
        assert!(all[body.len()..].iter().all(|(name, _)| name.starts_with("enc.")));
        assert_eq!(body[0].0, "init.conv.0.weight");
        assert_eq!(body[body.len() - 1].0, "full.bias");
    }

    #[test]
    fn logits_have_the_size_of_the_image() {
        let x = Tensor::zeros(&[2, 3, 16, 40], DType::F32).unwrap();
        let ctx = Ctx::eval();
        let y = net("dsnet-tiny", 7).forward(&ctx.input(x), &ctx).unwrap();
        assert_eq!(y.dims(), [2, 7, 16, 40]);
    }

    #[test]
    fn a_wrong_input_names_the_layer() {
        let x = Tensor::zeros(&[1, 4, 16, 16], DType::F32).unwrap();
        let ctx = Ctx::eval();
        let error = net("dsnet-tiny", 7).forward(&ctx.input(x), &ctx).unwrap_err().to_string();
        assert!(error.starts_with("init.conv.0"), "{error}");
    }
}

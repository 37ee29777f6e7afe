//! DSNet: its sizes, its units, the network (Wang et al., "Real-Time Driving Scene Semantic Segmentation", IEEE
//! Access 2020, Tables 2 and 3, Fig. 3).
//!
//! Names of parameters are those of a plain PyTorch rendering of the network (`down1.right.1.1.running_mean`), so that
//! its state dicts can be loaded as they are.

mod config;
mod conv_bn;
mod dsnet;
mod units;

pub use config::{DsNetConfig, config, names};
pub use conv_bn::{Branch, Conv, ConvBn};
pub use dsnet::{DsNet, TrainableDsNet};
pub use units::{Basic, Down, InitUnit, Up};

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
        let counts: Vec<_> = names().iter().map(|name| parameter_count(&net(name, 19))).collect();
        assert_eq!(counts, [456_060, 910_460, 1_364_860, 1_819_260]);
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

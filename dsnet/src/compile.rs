//! A model made executable for images of one size: recorded once (shapes alone, nothing is computed), optimised, planned.

use autograd::Tape;
use nn::{Ctx, Module};
use tensor::{DType, Graph, Meta, Ops, Plan, Tensor, graph::passes};

use crate::{Result, device::Precision};

/// What a compiled model tells of each pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// The class logits, `[N, classes, H, W]`.
    Logits,
    /// The best class, u8 `[N, H, W]`.
    Labels,
}

/// What `model` does to images of these dims `[N, 3, H, W]`, as recorded.
///
/// # Errors
/// Where the images do not fit the model, or it applies an operation that has no form as a value.
pub fn trace(model: &dyn Module, dims: &[usize], wanted: Wanted) -> Result<Graph> {
    let tape = Tape::for_graph();
    let ctx = Ctx::trace(&tape);
    let images = Meta::new(dims, DType::F32);
    let images = ctx.input(Tensor::without_values(&images, &nn::device(model)));
    let logits = model.forward(&images, &ctx)?;
    let output = match wanted {
        Wanted::Logits => logits,
        Wanted::Labels => logits.argmax(1)?.cast(DType::U8)?,
    };
    Ok(tape.graph(&[&images], &[&output])?)
}

/// [`trace`], optimised. On the CPU a graph says what is stored in bf16; a GPU sees to its precision itself.
///
/// # Errors
/// As [`trace`].
pub fn optimized(model: &dyn Module, dims: &[usize], wanted: Wanted, precision: Precision) -> Result<Graph> {
    let mut graph = trace(model, dims, wanted)?;
    passes::optimize(&mut graph)?;
    if precision == Precision::Bf16 && nn::device(model).name() == "cpu" {
        passes::lower_precision(&mut graph)?;
    }
    Ok(graph)
}

/// `model` compiled for images of these dims on the device where its parameters are.
///
/// # Errors
/// As [`trace`].
pub fn compile(
    model: &dyn Module,
    dims: &[usize],
    wanted: Wanted,
    precision: Precision,
) -> Result<Box<dyn Plan>> {
    Ok(nn::device(model).plan(&optimized(model, dims, wanted, precision)?)?)
}

#[cfg(test)]
mod tests {
    use autograd::Var;
    use nn::Initializer;
    use tensor::{ops::Distribution, rng::Key};

    use super::*;
    use crate::model::{self, DsNet, DsNetConfig, Variant};

    fn noise(dims: &[usize], key: u64) -> Tensor {
        let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
        Tensor::random(normal, dims, DType::F32, Key::new(11, key)).unwrap()
    }

    /// A model whose statistics are those of the images, as after training.
    fn model(name: &str, images: &Tensor) -> DsNet {
        of(&model::config(name, 7).unwrap(), images)
    }

    fn of(config: &DsNetConfig, images: &Tensor) -> DsNet {
        let net = DsNet::new(config, &Initializer::new(3)).unwrap();
        for step in 0..40 {
            let ctx = Ctx::train(Key::new(0, step));
            net.forward(&ctx.input(images.clone()), &ctx).unwrap();
        }
        net
    }

    #[test]
    fn plans_tell_what_the_model_tells() {
        let images = noise(&[2, 3, 64, 88], 1);
        let config = |name| model::config(name, 7).unwrap();
        // With some of their units: the untrained DW, 42 units deep, blows a rounding error up to a hundredth.
        let variants = Variant::ALL.map(|variant| {
            let mut config = config(variant.model());
            config.n64 = 2;
            config.dilations.truncate(6);
            (variant.model(), config)
        });
        for (name, config) in ["dsnet-0.5", "dsnet-1.0"].map(|n| (n, config(n))).into_iter().chain(variants) {
            let net = of(&config, &images);
            let wanted = net.forward(&Var::new(images.clone()), &Ctx::eval()).unwrap().into_tensor();
            let run = |wanted| {
                compile(&net, images.dims(), wanted, Precision::F32)
                    .unwrap()
                    .run(&[&images])
                    .unwrap()
                    .remove(0)
            };
            let found = run(Wanted::Logits);
            let (mean, std) = {
                let values = wanted.to_f64_vec().unwrap();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt())
            };
            assert!(std > 0.05 && mean.is_finite(), "the model says something: {mean} ± {std}");
            let error = found.sub(&wanted).unwrap().abs().unwrap().mean_all().unwrap().item().unwrap();
            assert!(error < 1e-4 * std, "{name}: mean error {error} of logits with deviation {std}");
            // Labels differ only where two classes are nearly equal.
            let labels = run(Wanted::Labels).to_vec::<u8>().unwrap();
            let best = wanted.argmax(1).unwrap().to_vec::<i64>().unwrap();
            let same = labels.iter().zip(&best).filter(|&(&a, &b)| i64::from(a) == b).count();
            assert!(same as f64 > 0.999 * best.len() as f64, "{name}: {same} of {} labels agree", best.len());
        }
    }

    #[test]
    fn bf16_plans_tell_nearly_the_same() {
        let images = noise(&[2, 3, 64, 88], 1);
        for name in ["dsnet-tiny", "dsnet-1.0"] {
            let net = model(name, &images);
            let run = |wanted, precision| {
                compile(&net, images.dims(), wanted, precision).unwrap().run(&[&images]).unwrap().remove(0)
            };
            let (wanted, found) = (run(Wanted::Logits, Precision::F32), run(Wanted::Logits, Precision::Bf16));
            assert_eq!(found.dtype(), DType::F32);
            let size = wanted.square().unwrap().mean_all().unwrap().item().unwrap().sqrt();
            let error = found.sub(&wanted).unwrap().abs().unwrap().mean_all().unwrap().item().unwrap();
            assert!(error > 0.0, "{name}: bf16 must differ somewhere");
            // A net of random weights enlarges small errors: rounding nothing but the image shows how much.
            let rounded = images.cast(DType::BF16).unwrap().cast(DType::F32).unwrap();
            let plan = compile(&net, images.dims(), Wanted::Logits, Precision::F32).unwrap();
            let moved = plan.run(&[&rounded]).unwrap().remove(0).sub(&wanted).unwrap();
            let moved = moved.abs().unwrap().mean_all().unwrap().item().unwrap();
            assert!(error < 4.0 * moved, "{name}: mean error {error}, by the image alone {moved}");
            assert!(error < 0.25 * size, "{name}: mean error {error} of logits of size {size}");
            let labels = |precision| run(Wanted::Labels, precision).to_vec::<u8>().unwrap();
            let (wanted, found) = (labels(Precision::F32), labels(Precision::Bf16));
            let same = wanted.iter().zip(&found).filter(|(a, b)| a == b).count();
            assert!(same as f64 > 0.75 * wanted.len() as f64, "{name}: {same} of {} agree", wanted.len());
        }
    }

    #[test]
    fn threads_do_not_change_a_plans_results() {
        let images = noise(&[1, 3, 72, 104], 2);
        let net = model("dsnet-0.5", &images);
        for precision in [Precision::F32, Precision::Bf16] {
            let plan = compile(&net, images.dims(), Wanted::Logits, precision).unwrap();
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| plan.run(&[&images]).unwrap()[0].to_vec::<f32>().unwrap())
            };
            let one = run(1);
            assert_eq!(run(2), one);
            assert_eq!(run(3), one);
        }
    }

    #[test]
    fn a_compiled_model_moves_no_channels() {
        let net = model("dsnet-1.0", &noise(&[1, 3, 32, 32], 3));
        let mut graph = trace(&net, &[1, 3, 32, 32], Wanted::Labels).unwrap();
        passes::optimize(&mut graph).unwrap();
        let text = graph.to_string();
        for gone in
            ["cat(", "slice(", "shuffle", "batch_norm", "relu(", "add(", "unpool2d", "collect", "argmax("]
        {
            assert!(!text.contains(gone), "{gone} is left in\n{text}");
        }
        assert_eq!(graph.nodes.len(), 61, "{text}");
    }
}

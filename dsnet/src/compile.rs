//! A model made executable for images of one size: recorded once (shapes alone, nothing is computed), optimised, planned.

use autograd::{Tape, Var};
use datasets::Normalization;
use nn::{Ctx, Module};
use tensor::{DType, Graph, Meta, Ops, Plan, Tensor, graph::passes};

use crate::{Result, device::Precision};

/// DSNet halves its input three times: it takes sides that are multiples of this.
pub const STRIDE: usize = 8;

/// What a compiled model is given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Given {
    /// Pictures as decoded, u8 `[N, 3, H, W]` of any height and width, and how they are normalised. Normalised pictures are
    /// padded with zeros (the mean colour) at the right and bottom up to multiples of [`STRIDE`], results cropped.
    Pictures(Normalization),
    /// Normalised images, f32 `[N, 3, H, W]`, of sides that the model takes.
    Numbers,
}

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
pub fn trace(model: &dyn Module, dims: &[usize], given: Given, wanted: Wanted) -> Result<Graph> {
    let tape = Tape::for_graph();
    let ctx = Ctx::trace(&tape);
    let dtype = match given {
        Given::Pictures(_) => DType::U8,
        Given::Numbers => DType::F32,
    };
    let images = ctx.input(Tensor::without_values(&Meta::new(dims, dtype), &nn::device(model)));
    let numbers = match given {
        Given::Pictures(normalization) => pad(&normalized(&images, &normalization)?)?,
        Given::Numbers => images.clone(),
    };
    let logits = model.forward(&numbers, &ctx)?;
    let mut output = match wanted {
        Wanted::Logits => logits,
        Wanted::Labels => logits.argmax(1)?.cast(DType::U8)?,
    };
    // Rows and columns are the last axes, with or without classes before them.
    for (axis, &size) in (output.meta().rank() - 2..).zip(&dims[2..]) {
        if output.dim(axis)? != size {
            output = output.narrow(axis, 0, size)?;
        }
    }
    Ok(tape.graph(&[&images], &[&output])?)
}

/// `(x / 255 − mean) / std`, computed as for training.
fn normalized(pictures: &Var, normalization: &Normalization) -> Result<Var> {
    let of_channels = |values: &[f32]| -> Result<Var> {
        let values = Tensor::from_slice(values, &[values.len(), 1, 1])?;
        Ok(Var::new(values.to_device(&pictures.device())?))
    };
    let Normalization { mean, std } = normalization;
    let scaled = pictures.cast(DType::F32)?.div(&of_channels(&[255.0])?)?;
    Ok(scaled.sub(&of_channels(mean)?)?.div(&of_channels(std)?)?)
}

/// Zeros at the right and bottom up to multiples of [`STRIDE`].
fn pad(images: &Var) -> Result<Var> {
    let mut out = images.clone();
    for axis in [2, 3] {
        let have = out.dim(axis)?;
        let more = have.next_multiple_of(STRIDE) - have;
        if more > 0 {
            let mut dims = out.meta().dims;
            dims[axis] = more;
            let zeros = out.full_like(0.0, &dims)?;
            out = Var::cat(&[&out, &zeros], axis)?;
        }
    }
    Ok(out)
}

/// [`trace`], optimised. On the CPU a graph says what is stored in bf16; a GPU sees to its precision itself.
///
/// # Errors
/// As [`trace`].
pub fn optimized(
    model: &dyn Module,
    dims: &[usize],
    given: Given,
    wanted: Wanted,
    precision: Precision,
) -> Result<Graph> {
    let mut graph = trace(model, dims, given, wanted)?;
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
    given: Given,
    wanted: Wanted,
    precision: Precision,
) -> Result<Box<dyn Plan>> {
    Ok(nn::device(model).plan(&optimized(model, dims, given, wanted, precision)?)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nn::Initializer;
    use rayon::prelude::*;
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
                compile(&net, images.dims(), Given::Numbers, wanted, Precision::F32)
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
                let plan = compile(&net, images.dims(), Given::Numbers, wanted, precision).unwrap();
                plan.run(&[&images]).unwrap().remove(0)
            };
            let (wanted, found) = (run(Wanted::Logits, Precision::F32), run(Wanted::Logits, Precision::Bf16));
            assert_eq!(found.dtype(), DType::F32);
            let size = wanted.square().unwrap().mean_all().unwrap().item().unwrap().sqrt();
            let error = found.sub(&wanted).unwrap().abs().unwrap().mean_all().unwrap().item().unwrap();
            assert!(error > 0.0, "{name}: bf16 must differ somewhere");
            // A net of random weights enlarges small errors: rounding nothing but the image shows how much.
            let rounded = images.cast(DType::BF16).unwrap().cast(DType::F32).unwrap();
            let plan = compile(&net, images.dims(), Given::Numbers, Wanted::Logits, Precision::F32).unwrap();
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
            let plan = compile(&net, images.dims(), Given::Numbers, Wanted::Logits, precision).unwrap();
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| plan.run(&[&images]).unwrap()[0].to_vec::<f32>().unwrap())
            };
            let one = run(1);
            assert_eq!(run(2), one);
            assert_eq!(run(3), one);
        }
    }

    /// On the threads of a pool, which take up another run while they wait in one, and on threads of their own.
    #[test]
    fn a_plan_runs_many_times_at_once() {
        let (done, over) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let images: Vec<Tensor> = (0..24).map(|key| noise(&[1, 3, 72, 104], key)).collect();
            let net = model("dsnet-0.5", &images[0]);
            let plan =
                compile(&net, images[0].dims(), Given::Numbers, Wanted::Logits, Precision::F32).unwrap();
            let run = |image: &Tensor| plan.run(&[image]).unwrap()[0].to_vec::<f32>().unwrap();
            let alone: Vec<_> = images.iter().map(run).collect();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
            assert!(pool.install(|| images.par_iter().map(run).collect::<Vec<_>>()) == alone);
            // As many as there are threads, for long enough that one comes when another waits.
            let again = || (0..10).all(|_| images.iter().map(run).eq(alone.iter().cloned()));
            std::thread::scope(|scope| {
                let both = [scope.spawn(again), scope.spawn(again)];
                assert!(both.map(|one| one.join().unwrap()) == [true; 2]);
            });
            done.send(()).unwrap();
        });
        over.recv_timeout(Duration::from_secs(120)).expect("a run waits for another, or failed");
    }

    #[test]
    fn a_compiled_model_moves_no_channels() {
        let net = model("dsnet-1.0", &noise(&[1, 3, 32, 32], 3));
        let mut graph = trace(&net, &[1, 3, 32, 32], PICTURES, Wanted::Labels).unwrap();
        passes::optimize(&mut graph).unwrap();
        let text = graph.to_string();
        for gone in
            ["cat(", "slice(", "shuffle", "batch_norm", "relu(", "add(", "unpool2d", "collect", "argmax("]
        {
            assert!(!text.contains(gone), "{gone} is left in\n{text}");
        }
        assert_eq!(graph.nodes.len(), 61, "{text}");
        assert_eq!(text.matches("(lookup(%0))").count(), 2, "{text}");
    }

    const PICTURES: Given = Given::Pictures(Normalization::CAMVID);

    fn pictures(dims: [usize; 3]) -> Tensor {
        let [n, h, w] = dims;
        let bytes = (0..n * h * w * 3).map(|i| (i * i % 253) as u8).collect();
        Tensor::from_vec(bytes, &[n, h, w, 3]).unwrap().permute(&[0, 3, 1, 2]).unwrap()
    }

    /// Bytes in, or their numbers in: the same logits to the last bit, of pictures of any size.
    #[test]
    fn pictures_tell_what_their_numbers_tell() {
        let net = model("dsnet-1.0", &noise(&[1, 3, 32, 32], 3));
        for dims in [[2, 64, 88], [1, 43, 61]] {
            let pictures = pictures(dims);
            let numbers = normalized(&Var::new(pictures.clone()), &Normalization::CAMVID).unwrap();
            let padded = pad(&numbers).unwrap().into_tensor();
            for precision in [Precision::F32, Precision::Bf16] {
                let run = |x: &Tensor, given| {
                    let plan = compile(&net, x.dims(), given, Wanted::Logits, precision).unwrap();
                    plan.run(&[x]).unwrap().remove(0)
                };
                let found = run(&pictures, PICTURES);
                assert_eq!(found.dims()[2..], dims[1..]);
                let wanted = run(&padded, Given::Numbers);
                let wanted = wanted.narrow(2, 0, dims[1]).unwrap().narrow(3, 0, dims[2]).unwrap();
                assert_eq!(found.to_vec::<f32>().unwrap(), wanted.to_vec::<f32>().unwrap(), "{precision:?}");
            }
        }
    }

    /// Whatever no convolution takes up is joined: no pointwise step is the only reader of another.
    #[test]
    fn pointwise_operations_of_all_variants_are_joined() {
        use tensor::{
            Op,
            graph::{Graph, Step, ValueId},
        };
        let is_pointwise = |step: &Step| {
            let one = |op: &Op| matches!(op, Op::Unary(_) | Op::Binary(_) | Op::BatchNormApply(_));
            matches!(step, Step::Chain(_)) || matches!(step, Step::Op { op, .. } if one(op))
        };
        let readers = |graph: &Graph, value: ValueId| -> Vec<usize> {
            let reads = |i: &usize| graph.nodes[*i].step.operands().contains(&value);
            (0..graph.nodes.len()).filter(reads).collect()
        };
        let mut chains = 0;
        for variant in Variant::ALL {
            let config = model::config(variant.model(), 7).unwrap();
            let net = DsNet::new(&config, &Initializer::new(3)).unwrap();
            let graph = optimized(&net, &[1, 3, 32, 32], PICTURES, Wanted::Labels, Precision::F32).unwrap();
            for node in &graph.nodes {
                chains += usize::from(matches!(node.step, Step::Chain(_)));
                if let [reader] = readers(&graph, node.outs[0])[..] {
                    let apart = is_pointwise(&node.step) && is_pointwise(&graph.nodes[reader].step);
                    let same = graph.meta(node.outs[0]) == graph.meta(graph.nodes[reader].outs[0]);
                    assert!(!(apart && same), "{node:?} stands alone in {}", variant.model());
                }
            }
        }
        assert!(chains > 0, "some variant has a chain");
    }
}

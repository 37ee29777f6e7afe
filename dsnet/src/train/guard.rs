//! Stopping at the first number that is none, with the name of the layer that it came from.

use autograd::Var;
use nn::{Collective, Ctx, Module, Policy, optim::Gradient, parameters};
use tensor::{Tensor, rng::Key};

use super::StepLoss;
use crate::{Error, Result, model::TrainableDsNet};

fn is_finite(t: &Tensor) -> bool {
    // What can not be read is looked at no further: this only words a message.
    t.to_f64_vec().is_ok_and(|v| v.iter().all(|x| x.is_finite()))
}

/// What to say of a loss that is NaN or infinite: the forward pass is done again, unit by unit. The first rank that finds
/// the place among its images says it.
pub(super) fn loss(
    model: &TrainableDsNet,
    policy: Policy,
    images: &Tensor,
    loss: StepLoss,
    ranks: &dyn Collective,
) -> Error {
    let place = source(model, policy, images);
    if let Err(e) = speaks(place.is_some(), ranks) {
        return e;
    }
    let place = place.unwrap_or_else(|| {
        "every layer's result is finite: it arises in the loss itself (logits too large?)".into()
    });
    let sel = loss.sel.map_or(String::new(), |v| format!(", semantic encoding loss {v}"));
    Error::NotFinite(format!("the loss is {} (pixel loss {}{sel}): {place}", loss.total, loss.pixel))
}

/// Returns on the first rank that has something to say, or on rank 0 where none has. The others wait for it to end, and
/// fail because of that.
fn speaks(has: bool, ranks: &dyn Collective) -> Result<()> {
    let all = ranks.all_gather(&Tensor::scalar(f64::from(u8::from(has))))?;
    let all = all.iter().map(Tensor::item).collect::<Result<Vec<_>, _>>()?;
    let speaker = all.iter().position(|&has| has > 0.0).unwrap_or(0);
    if speaker == ranks.rank() {
        return Ok(());
    }
    ranks.barrier()?;
    Err(Error::message(format!("rank {speaker} went on where it should have failed")))
}

/// The first place in a forward pass where a number is NaN or infinite.
fn source(model: &TrainableDsNet, policy: Policy, images: &Tensor) -> Option<String> {
    if !is_finite(images) {
        return Some("the images hold NaN or infinite values".into());
    }
    if let Some((name, _)) = parameters(model).into_iter().find(|(_, p)| !is_finite(&p.value())) {
        return Some(format!("the weight {name} is NaN or infinite"));
    }
    let mut place = None;
    let mut probe = |name: &str, x: &Var| {
        if place.is_none() && !is_finite(x.tensor()) {
            place = Some(format!("it arises in the layer {name}"));
        }
        Ok(())
    };
    let ctx = Ctx::train(Key::default()).under(policy);
    let run = model.net.run_probed(&ctx.input(images.clone()), &ctx, &mut probe);
    let head = run.ok().and_then(|(_, features)| {
        let enc = model.enc.as_ref()?.forward(&features, &ctx).ok()?;
        (!is_finite(enc.tensor())).then(|| "it arises in the layer enc".to_owned())
    });
    place.or(head)
}

/// What to say of gradients that are NaN or infinite. Backward runs from the last layer to the first, so the layer named is
/// the last one in the model with such a gradient: where it arose. All ranks have the same gradients; rank 0 says it.
pub(super) fn gradient(grads: &[Gradient], ranks: &dyn Collective) -> Error {
    if let Err(e) = speaks(ranks.rank() == 0, ranks) {
        return e;
    }
    let is_bad = |g: &&Gradient| !is_finite(&g.value);
    let count = grads.iter().filter(is_bad).count();
    let last = grads.iter().rev().find(is_bad).map_or("", |g| g.name.as_str());
    let layer = last.rsplit_once('.').map_or(last, |(layer, _)| layer);
    Error::NotFinite(format!(
        "the gradient of {last} is NaN or infinite (layer {layer}, the first that backward reached; {count} of {} \
         gradients are affected)",
        grads.len()
    ))
}

#[cfg(test)]
mod tests {
    use nn::{Initializer, optim::LossScale, state_dict};
    use tensor::DType;

    use super::*;
    use crate::{
        model,
        train::{Learner, OptimizerKind},
    };

    fn learner() -> Learner {
        let shape = model::config("dsnet-tiny", 3).unwrap();
        let loss = "owfl+sel".parse().unwrap();
        Learner::with(&shape, loss, &[0.7, 0.2, 0.1], OptimizerKind::Adam, 1e-3, 1).unwrap()
    }

    fn batch() -> (Tensor, Tensor) {
        let noise = tensor::ops::Distribution::Normal { mean: 0.0, std: 1.0 };
        let images = Tensor::random(noise, &[2, 3, 16, 16], DType::F32, Key::new(1, 2)).unwrap();
        let labels = (0..512).map(|i| (i % 3) as u8).collect();
        (images, Tensor::from_vec(labels, &[2, 16, 16]).unwrap())
    }

    fn set(model: &TrainableDsNet, name: &str, value: f64) {
        let all = parameters(model);
        let param = &all.iter().find(|(n, _)| n == name).unwrap().1;
        param.set(Tensor::full(value, param.value().dims(), DType::F32).unwrap());
    }

    #[test]
    fn a_good_step_passes() {
        let mut l = learner();
        let (images, labels) = batch();
        let first = l.step(&images, &labels, Key::default(), 1.0).unwrap();
        assert!((first.total - first.pixel - first.sel.unwrap()).abs() < 1e-6);
        let mut last = first;
        for _ in 0..20 {
            last = l.step(&images, &labels, Key::default(), 1.0).unwrap();
        }
        assert!(last.total < first.total, "{first:?} {last:?}");
    }

    /// Sixteen steps from the same weights end near each other whatever layers compute in.
    #[test]
    fn low_precision_has_the_curve_of_f32() {
        let curve = |policy: Policy| {
            let mut l = learner();
            l.compute_in(policy).unwrap();
            let (images, labels) = batch();
            let losses: Vec<f64> =
                (0..16).map(|_| l.step(&images, &labels, Key::default(), 1.0).unwrap().total).collect();
            let all = parameters(&l.model);
            assert!(all.iter().all(|(_, p)| p.value().dtype() == DType::F32));
            losses
        };
        let want = curve(Policy::Full);
        for (policy, bound) in [(Policy::Bf16, 0.03), (Policy::F16, 0.01)] {
            let got = curve(policy);
            let off = want.iter().zip(&got).map(|(a, b)| ((a - b) / a).abs()).fold(0.0, f64::max);
            assert!(off > 0.0 && off < bound, "{policy:?}: {off}\n{want:?}\n{got:?}");
            assert!(got[15] < 0.9 * got[0], "{policy:?} learns: {got:?}");
        }
    }

    /// A scale that is far too large: steps are left out, each with half of it, until one can be taken.
    #[test]
    fn overflow_leaves_steps_out() {
        let (images, labels) = batch();
        let mut l = learner();
        l.compute_in(Policy::F16).unwrap();
        l.scale = Some(LossScale::of([LossScale::MOST, 7.0], &tensor::cpu::device()).unwrap());
        let state = |l: &Learner| -> Vec<Vec<f64>> {
            state_dict(&l.model).into_iter().map(|(_, t)| t.to_f64_vec().unwrap()).collect()
        };
        let before = state(&l);
        let mut scale = LossScale::MOST;
        loop {
            let loss = l.step(&images, &labels, Key::default(), 1.0).unwrap();
            assert!(loss.total.is_finite());
            if loss.overflow.is_none() {
                break;
            }
            assert_eq!(loss.overflow, Some(scale));
            scale /= 2.0;
            assert_eq!(l.scale.as_ref().unwrap().state().unwrap(), [scale, 0.0]);
            assert!(state(&l) == before && l.optimizer.state().is_empty(), "nothing may have moved");
        }
        assert!(scale < LossScale::MOST, "a scale of {scale} should be too large");
        assert_eq!(l.scale.as_ref().unwrap().state().unwrap(), [scale, 1.0]);
        assert!(state(&l) != before);
        // Where no scale helps, the layer is named.
        set(&l.model, "up4.right.1.0.weight", f64::NAN);
        l.scale = Some(LossScale::of([2.0, 0.0], &tensor::cpu::device()).unwrap());
        assert_eq!(l.step(&images, &labels, Key::default(), 1.0).unwrap().overflow, Some(2.0));
        let error = l.step(&images, &labels, Key::default(), 1.0).unwrap_err().to_string();
        assert!(error.contains("up4.right.1.0.weight") && error.contains("fallen to 0.5"), "{error}");
    }

    #[test]
    fn the_place_is_named() {
        let (images, labels) = batch();
        for policy in [Policy::Full, Policy::Bf16] {
            let message = |name: &str, value: f64| {
                let mut l = learner();
                l.compute_in(policy).unwrap();
                set(&l.model, name, value);
                l.step(&images, &labels, Key::default(), 1.0).unwrap_err().to_string()
            };
            let nan = message("up4.right.1.0.weight", f64::NAN);
            assert!(nan.contains("the weight up4.right.1.0.weight is NaN"), "{nan}");
            let overflow = message("down2.left.1.weight", 3e38);
            assert!(overflow.contains("layer down2") || overflow.contains("layer stage3.0"), "{overflow}");
        }
        let mut l = learner();
        let bad = Tensor::full(f64::INFINITY, images.dims(), DType::F32).unwrap();
        let image = l.step(&bad, &labels, Key::default(), 1.0).unwrap_err().to_string();
        assert!(image.contains("the images hold"), "{image}");
        // A refused step moves nothing.
        let before = TrainableDsNet::new(l.model.net.config(), true, &Initializer::new(1)).unwrap();
        for ((name, a), (_, b)) in state_dict(&l.model).into_iter().zip(state_dict(&before)) {
            assert_eq!(a.to_f64_vec().unwrap(), b.to_f64_vec().unwrap(), "{name}");
        }
    }
}

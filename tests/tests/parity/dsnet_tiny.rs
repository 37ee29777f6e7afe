//! A tiny DSNet with its training head: losses, every gradient, three Adam steps, running statistics, evaluation mode.
//!
//! Gradients are compared in float64 alone: an untrained net amplifies rounding (a pool's maximum or a ReLU flips), so that in
//! float32 only the forward pass is comparable.

use std::collections::BTreeMap;

use autograd::Var;
use dsnet::model::{DsNetConfig, TrainableDsNet};
use nn::loss::{Criterion, LossSpec, PixelLoss};
use nn::optim::{self, Adam, Optimizer};
use nn::{Collect, Ctx, Initializer, Module, Slot};
use tensor::{DType, Tensor, rng::Key};

use crate::fixture::{Case, Failures, Fixture, Within};
use crate::run::Outcome;

fn net(case: &Case, dtype: DType) -> Outcome<TrainableDsNet> {
    let channels = case.counts("ch").try_into().map_err(|_| "three channel counts expected")?;
    let (classes, n64, codewords) = (case.count("classes"), case.count("n64"), case.count("k"));
    let config = DsNetConfig::new(classes, channels, n64, case.counts("dils"), codewords);
    let net = TrainableDsNet::new(&config, true, &Initializer::new(0).dtype(dtype))?;
    let mut stored = case.below("state");
    for entry in Collect::of(&net) {
        let value = case.float(&format!("state/{}", entry.name), dtype);
        match entry.slot {
            Slot::Param(p) => p.set(value),
            Slot::Buffer(b) => b.set(value),
        }
        stored.retain(|name| *name != entry.name);
    }
    if stored.is_empty() { Ok(net) } else { Err(format!("the model has nothing called {stored:?}").into()) }
}

fn criterion(case: &Case) -> Outcome<Criterion> {
    let spec = LossSpec { sel_factor: 1.0, ..LossSpec::new(PixelLoss::Owfl) };
    Ok(spec.build(&case.tensor("frequencies").to_f64_vec()?)?)
}

/// Parameters and buffers by name.
fn state(net: &TrainableDsNet) -> BTreeMap<String, Tensor> {
    let value = |slot: Slot| match slot {
        Slot::Param(p) => p.value(),
        Slot::Buffer(b) => b.value(),
    };
    Collect::of(net).into_iter().map(|e| (e.name, value(e.slot))).collect()
}

fn training(failures: &mut Failures, case: &Case) -> Outcome<()> {
    let near = Within::Scale(1e-9);
    let net = net(case, DType::F64)?;
    let criterion = criterion(case)?;
    let mut optimizer = Optimizer::new(Adam::default(), case.number("lr"));
    for step in 1..=case.count("steps") {
        let ctx = Ctx::train(Key::default());
        let x = ctx.tape().ok_or("no tape")?.leaf(case.tensor("x"));
        let (logits, head) = net.forward_train(&x, &ctx)?;
        let loss = criterion.forward(&logits, head.as_ref(), &case.tensor("labels"))?;
        let grads = loss.total.backward()?;
        let head = head.ok_or("the training head is missing")?;
        let sel = loss.sel.ok_or("SEL takes no part")?;
        for (name, value) in [("owfl", &loss.pixel), ("sel", &sel), ("loss", &loss.total)] {
            failures.compare(case, &format!("{name}{step}"), value.tensor(), near);
        }
        let named = optim::gradients(&ctx, &grads, &net);
        if step == 1 {
            failures.compare(case, "logits", logits.tensor(), near);
            failures.compare(case, "se_logits", head.tensor(), near);
            failures.compare(case, "gx", grads.get(&x).ok_or("the images got no gradient")?, near);
            if named.len() != case.below("grad").len() {
                failures.add(format!("{} gradients, {} are stored", named.len(), case.below("grad").len()));
            }
            for g in &named {
                failures.compare(case, &format!("grad/{}", g.name), &g.value, near);
            }
        }
        optimizer.step(&named, 1.0)?;
        let after = state(&net);
        for name in case.below(&format!("after{step}")) {
            failures.compare(case, &format!("after{step}/{name}"), &after[name], near);
        }
    }
    let logits = net.forward(&Var::new(case.tensor("x")), &Ctx::eval())?;
    failures.compare(case, "logits_eval", logits.tensor(), near);
    Ok(())
}

/// Float32 against PyTorch's float32 (which is itself 2e-5 away from its float64) and against the float64 result.
fn single(failures: &mut Failures, case: &Case) -> Outcome<()> {
    let net = net(case, DType::F32)?;
    let (logits, head) =
        net.forward_train(&Var::new(case.float("x", DType::F32)), &Ctx::train(Key::default()))?;
    let head = head.ok_or("the training head is missing")?;
    for name in ["logits", "logits_f32"] {
        failures.compare(case, name, logits.tensor(), Within::Scale(1e-4));
        failures.compare(case, &format!("se_{name}"), head.tensor(), Within::Scale(1e-4));
    }
    Ok(())
}

#[test]
fn dsnet_tiny() {
    let mut failures = Failures::default();
    for case in Fixture::open("dsnet_tiny").cases() {
        for outcome in [training(&mut failures, &case), single(&mut failures, &case)] {
            if let Err(e) = outcome {
                failures.add(format!("{}: {e}", case.path()));
            }
        }
    }
    failures.finish();
}

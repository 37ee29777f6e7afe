//! The statistics, results and gradients of a batch that is spread over ranks are those of the whole batch.

use std::time::Duration;

use tensor::{DType, rng::Key};

use super::super::testing::{input, randomize};
use crate::{
    BatchNorm2d, BatchNormConfig, Ctx, Dropout2d, Initializer, Module, Result,
    collective::{Share, Threads},
};

use super::*;

const DIMS: [usize; 4] = [6, 3, 4, 5];

fn layer(dtype: DType, relu: bool) -> BatchNorm2d {
    let bn = BatchNormConfig::new(DIMS[1]).relu(relu).build(&Initializer::new(1).dtype(dtype)).unwrap();
    randomize(&bn);
    bn
}

/// Result, gradients of `x`, γ and β, and running statistics, of the samples from `first`.
fn run(
    dtype: DType,
    relu: bool,
    first: usize,
    len: usize,
    ranks: Option<Arc<dyn Collective>>,
) -> Result<Vec<Tensor>> {
    let bn = layer(dtype, relu);
    let ctx = Ctx::train(Key::default());
    let ctx = if let Some(ranks) = ranks { ctx.across(ranks) } else { ctx };
    // Far from zero, as far as the type allows: a difference of large sums would show.
    let offset = if dtype == DType::F64 { 50.0 } else { 1.0 };
    let x = input(&DIMS, dtype).tensor().add_scalar(offset)?.narrow(0, first, len)?;
    let x = ctx.tape().unwrap().leaf(x);
    let y = bn.forward(&x, &ctx)?;
    let cotangent = input(&DIMS, dtype).tensor().square()?.narrow(0, first, len)?;
    let grads = y.mul(&Var::new(cotangent))?.sum_all()?.backward()?;
    let [weight, bias] = [&bn.weight, &bn.bias].map(|p| ctx.grad(&grads, p).unwrap().clone());
    let dx = grads.get(&x).unwrap().clone();
    Ok(vec![y.into_tensor(), dx, weight, bias, bn.running_mean.value(), bn.running_var.value()])
}

/// The parts of all ranks put together as one rank would have them.
fn joined(dtype: DType, relu: bool, shares: &'static [usize]) -> Vec<Tensor> {
    let all = Threads::run(shares.len(), Duration::from_secs(120), move |ranks| {
        let share = Share::find(shares[ranks.rank()], &*ranks)?;
        assert_eq!(share.total, DIMS[0]);
        run(dtype, relu, share.first, share.len, Some(ranks))
    });
    let all = all.unwrap();
    let part = |i: usize| all.iter().map(|parts| &parts[i]).collect::<Vec<_>>();
    let sum = |i: usize| part(i)[1..].iter().fold(part(i)[0].clone(), |sum, t| sum.add(t).unwrap());
    for i in [4, 5] {
        assert!(part(i).iter().all(|t| t.to_bytes().unwrap() == part(i)[0].to_bytes().unwrap()));
    }
    let cat = |i: usize| Tensor::cat(&part(i), 0).unwrap();
    vec![cat(0), cat(1), sum(2), sum(3), part(4)[0].clone(), part(5)[0].clone()]
}

#[test]
fn equals_one_rank_with_all_samples() {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
        for relu in [false, true] {
            let want = run(dtype, relu, 0, DIMS[0], None).unwrap();
            for shares in [&[3, 3][..], &[1, 5], &[2, 2, 1, 1], &[6, 0], &[0, 3, 1, 2]] {
                let got = joined(dtype, relu, shares);
                for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                    let (got, want) = (got.to_f64_vec().unwrap(), want.to_f64_vec().unwrap());
                    let size = want.iter().fold(0_f64, |m, v| m.max(v.abs()));
                    let off = got.iter().zip(&want).fold(0_f64, |m, (a, b)| m.max((a - b).abs()));
                    assert!(
                        off <= tolerance * size,
                        "part {i} of {shares:?} in {dtype}: off by {off} of {size}"
                    );
                }
            }
        }
    }
}

#[test]
fn too_few_values_are_counted_over_all_ranks() {
    let single = |shares: &'static [usize]| {
        Threads::run(2, Duration::from_secs(120), move |ranks| {
            let bn = layer(DType::F32, false);
            let ctx = Ctx::train(Key::default()).across(ranks.clone());
            let x = ctx.input(Tensor::ones(&[shares[ranks.rank()], 3], DType::F32)?);
            bn.forward(&x, &ctx).map(|y| y.into_tensor())
        })
    };
    assert!(single(&[1, 1]).is_ok(), "one value on each of two ranks are two");
    let said = single(&[1, 0]).unwrap_err().to_string();
    assert!(said.contains("at least 2 values for each channel, got 1"), "{said}");
}

#[test]
fn second_derivatives_are_refused() {
    let said = Threads::run(2, Duration::from_secs(120), |ranks| -> Result<String> {
        let bn = layer(DType::F64, false);
        let ctx = Ctx::train(Key::default()).across(ranks);
        let x = ctx.tape().unwrap().leaf(input(&DIMS, DType::F64).into_tensor());
        let y = bn.forward(&x, &ctx)?.square()?.sum_all()?;
        let one = Var::new(Tensor::scalar(1.0));
        Ok(autograd::gradients(&[&y], &[one], &[&x], true).unwrap_err().to_string())
    });
    assert!(said.unwrap().iter().all(|s| s.contains("second derivatives")));
}

#[test]
fn dropout_takes_its_part_of_one_mask() {
    let apply = |n: usize, ctx: &Ctx| -> Result<Tensor> {
        let x = ctx.input(Tensor::ones(&[n, 50, 1, 1], DType::F32)?);
        Ok(Dropout2d::new(0.5)?.forward(&x, ctx)?.into_tensor())
    };
    let whole = apply(5, &Ctx::train(Key::new(3, 1))).unwrap();
    let parts = Threads::run(2, Duration::from_secs(120), move |ranks| {
        apply([2, 3][ranks.rank()], &Ctx::train(Key::new(3, 1)).across(ranks))
    });
    let parts = parts.unwrap();
    let joined = Tensor::cat(&[&parts[0], &parts[1]], 0).unwrap();
    assert_eq!(joined.to_vec::<f32>().unwrap(), whole.to_vec::<f32>().unwrap());
}

//! CPU kernels: one pass over the memory of a parameter, its gradient and its slots, without temporaries.

use std::sync::Arc;

use num_traits::Float;
use rayon::prelude::*;

use super::{SquareSum, Update, UpdateRule};
use crate::{
    Element, Error, Format, Layout, Meta, Outputs, Result, Tensor,
    cpu::{CpuBuffer, dispatch_float, slice},
};

impl Update {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let Some(meta) = outs.get(1) else {
            return Ok(Outputs::from_iter([Tensor::scalar(0_f32)]));
        };
        dispatch_float!("update", meta.dtype, T => self.run::<T>(ins))
    }

    fn run<T: Element + Float + Sync>(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let (leading, all) = ins.split_at(Self::LEADING);
        let (numbers, factor) = (leading[0].to_vec::<f64>()?, leading[1].to_vec::<f64>()?[0]);
        let group = self.group();
        let gradients: Vec<&Tensor> = all.chunks_exact(group).map(|of| of[1]).collect();
        let all_finite = gradients
            .par_iter()
            .map(|g| {
                let g = g.to_format(g.layout().preferred_format())?;
                Ok(slice::<T>(&g)?.iter().all(|v| v.is_finite()))
            })
            .try_reduce(|| true, |a, b| Ok(a && b))?;
        let mut results = Outputs::from_iter([Tensor::scalar(f32::from(u8::from(!all_finite)))]);
        if !all_finite {
            let kept = all.iter().enumerate().filter(|(i, _)| i % group != 1);
            results.extend(kept.map(|(_, t)| (*t).clone()));
            return Ok(results);
        }
        let made: Vec<Vec<Tensor>> = all
            .par_chunks_exact(group)
            .zip(numbers.par_chunks_exact(self.rule.numbers()))
            .map(|(of, numbers)| self.one::<T>(of, numbers, T::from_f64(factor)))
            .collect::<Result<_>>()?;
        results.extend(made.into_iter().flatten());
        Ok(results)
    }

    /// New value and new slots of one parameter.
    fn one<T: Element + Float>(&self, of: &[&Tensor], numbers: &[f64], factor: T) -> Result<Vec<Tensor>> {
        let c = |i: usize| T::from_f64(numbers[i]);
        match self.rule {
            UpdateRule::Sgd { momentum: false, .. } => {
                let [rate, decay] = [0, 1].map(c);
                zip::<T, 2, 1>(of, |[p, g]| [p - rate * (g * factor + decay * p)])
            }
            UpdateRule::Sgd { momentum: true, nesterov } => {
                let [rate, decay, mu] = [0, 1, 2].map(c);
                zip::<T, 3, 2>(of, |[p, g, b]| {
                    let g = g * factor + decay * p;
                    let b = mu * b + g;
                    let step = if nesterov { g + mu * b } else { b };
                    [p - rate * step, b]
                })
            }
            UpdateRule::Adam => {
                let [b1, a1, b2, a2, size, root, eps, keep, decay] = std::array::from_fn(c);
                zip::<T, 4, 3>(of, |[p, g, m, v]| {
                    let (p, g) = (p * keep, g * factor + decay * p);
                    let m = b1 * m + a1 * g;
                    let v = b2 * v + a2 * g * g;
                    [p - size * m / (v.sqrt() / root + eps), m, v]
                })
            }
            UpdateRule::Average => {
                let [keep, take] = [0, 1].map(c);
                zip::<T, 2, 1>(of, |[p, g]| [keep * p + take * (g * factor)])
            }
        }
    }
}

/// New tensors, each of the dims of `ins[0]`, from one walk: `f` maps the elements of the operands at one place to those of
/// the results.
fn zip<T: Element, const I: usize, const O: usize>(
    ins: &[&Tensor],
    f: impl Fn([T; I]) -> [T; O],
) -> Result<Vec<Tensor>> {
    let dense = ins.iter().map(|t| t.to_format(Format::Contiguous)).collect::<Result<Vec<_>>>()?;
    let mut slices = [&[][..]; I];
    for (to, t) in slices.iter_mut().zip(&dense) {
        *to = slice::<T>(t)?;
    }
    let len = slices[0].len();
    let buffers = (0..O).map(|_| CpuBuffer::new(size_of_val(slices[0]))).collect::<Result<Vec<_>>>()?;
    let Ok(mut buffers) = <[CpuBuffer; O]>::try_from(buffers) else { unreachable!("there are O of them") };
    let mut outs = buffers.each_mut().map(|b| &mut b.as_mut_slice::<T>()[..len]);
    // One length for all, so that the loop needs no checks.
    let ins_all = slices.map(|s| &s[..len]);
    for i in 0..len {
        let results = f(std::array::from_fn(|k| ins_all[k][i]));
        for (out, value) in outs.iter_mut().zip(results) {
            out[i] = value;
        }
    }
    let layout = Layout::contiguous(ins[0].dims());
    Ok(buffers.map(|b| Tensor::from_parts(Arc::new(b), layout.clone(), T::DTYPE)).into())
}

impl SquareSum {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let mut total = 0.0;
        for t in ins {
            let t = t.to_format(Format::Contiguous)?;
            total +=
                dispatch_float!("square_sum", t.dtype(), T => Ok::<_, Error>(square_sum(slice::<T>(&t)?)))?;
        }
        Ok(Outputs::from_iter([Tensor::scalar(total)]))
    }
}

/// Sum of squares in eight partial sums, which the compiler turns into vector code; always in the same order.
fn square_sum<T: Element>(v: &[T]) -> f64 {
    let (blocks, rest) = v.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for block in blocks {
        for (sum, &x) in sums.iter_mut().zip(block) {
            *sum += x.to_f64() * x.to_f64();
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&x| x.to_f64().powi(2)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Op, Ops};

    fn update(rule: UpdateRule, numbers: &[f64], factor: f64, of: &[Tensor]) -> Result<Vec<Tensor>> {
        let count = of.len() / (2 + rule.slots());
        let numbers = Tensor::from_slice(&numbers.repeat(count), &[count, rule.numbers()])?;
        let factor = Tensor::scalar(factor);
        let ins: Vec<&Tensor> = [&numbers, &factor].into_iter().chain(of).collect();
        Ok(Tensor::apply(Op::from(Update { rule }), &ins)?.into_vec())
    }

    fn vector(v: &[f32]) -> Tensor {
        Tensor::from_slice(v, &[v.len()]).unwrap()
    }

    #[test]
    fn the_factor_applies_to_gradients_alone() {
        let rule = UpdateRule::Sgd { momentum: true, nesterov: false };
        let of = [vector(&[1.0, 2.0]), vector(&[8.0, -16.0]), vector(&[0.0, 1.0])];
        let out = update(rule, &[0.5, 0.25, 0.5], 0.125, &of).unwrap();
        assert_eq!(out[0].item().unwrap(), 0.0);
        assert_eq!(out[2].to_vec::<f32>().unwrap(), [1.25, -1.0]);
        assert_eq!(out[1].to_vec::<f32>().unwrap(), [0.375, 2.5]);
    }

    #[test]
    fn one_bad_gradient_stops_them_all() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let of = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, bad]].map(|v| vector(&v));
            let out = update(UpdateRule::Average, &[0.5, 0.5], 1.0, &of).unwrap();
            assert_eq!(out[0].to_vec::<f32>().unwrap(), [1.0]);
            for (new, old) in out[1..].iter().zip([&of[0], &of[2]]) {
                assert_eq!(new.to_vec::<f32>().unwrap(), old.to_vec::<f32>().unwrap());
            }
        }
    }

    #[test]
    fn misfits_name_the_rule() {
        let half = vector(&[1.0]).cast(DType::BF16).unwrap();
        let error =
            |of: &[Tensor]| update(UpdateRule::Average, &[1.0, 0.0], 1.0, of).unwrap_err().to_string();
        assert!(error(&[half.clone(), half.clone()]).contains("master weights"));
        assert!(error(&[vector(&[1.0]), vector(&[1.0, 2.0])]).contains("of the parameter's dims"));
        assert!(error(&[vector(&[1.0])]).contains("2 operands for each parameter"));
        assert!(Tensor::apply(Op::from(SquareSum {}), &[&vector(&[1.0]), &half]).is_err());
    }

    #[test]
    fn squares_of_all_elements() {
        let v: Vec<f32> = (1..=19).map(|i| i as f32).collect();
        let sum = Tensor::apply1(Op::from(SquareSum {}), &[&vector(&v), &vector(&[3.0])]).unwrap();
        assert_eq!(sum.to_vec::<f64>().unwrap(), [2479.0]);
    }
}

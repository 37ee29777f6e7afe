//! The running average of a model's weights, which often scores better than the weights themselves (Polyak & Juditsky 1992;
//! exponential as in Tan & Le 2019).

use tensor::{
    Op, Ops, Tensor,
    ops::{Update, UpdateRule},
};

use crate::{Collect, Entry, Error, Module, Result};

/// An exponential moving average of parameters and buffers: after each step `average ← d·average + (1 − d)·value`, with
/// `d = min(decay, (1 + t)/(10 + t))` in step t (from 1), so that the first steps are soon forgotten.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ema {
    decay: f64,
}

impl Ema {
    /// # Errors
    /// Unless `0 ≤ decay < 1`.
    pub fn new(decay: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&decay) {
            let why = format!("wants a decay of 0 up to, not including, 1, got {decay}");
            return Err(Error::config("average of weights", why));
        }
        Ok(Self { decay })
    }

    /// d of a step, counted from 1.
    pub fn weight(&self, step: u64) -> f64 {
        self.decay.min((1 + step) as f64 / (10 + step) as f64)
    }

    /// Moves `average` towards `model`, of the same shape, after the model's step number `step` (from 1). Where a value of
    /// the model is NaN or infinite, the average stays where it is.
    ///
    /// # Errors
    /// Models of different shapes.
    pub fn update(&self, average: &dyn Module, model: &dyn Module, step: u64) -> Result<()> {
        let pairs = pairs(average, model)?;
        let (old, new): (Vec<_>, Vec<_>) = pairs.iter().map(|(a, m)| (a.value(), m.value())).unzip();
        let mixed = Self::mixed(&old, &new, &self.numbers(step, old.len())?)?;
        pairs.iter().zip(mixed).for_each(|((average, _), value)| average.set(value));
        Ok(())
    }

    /// d and 1 − d of a step, counted from 1, for each of `count` values: f64 `[count, 2]`, on the CPU.
    ///
    /// # Errors
    /// None in practice.
    pub fn numbers(&self, step: u64, count: usize) -> Result<Tensor> {
        let d = self.weight(step);
        Ok(Tensor::from_slice(&[d, 1.0 - d].repeat(count), &[count, 2])?)
    }

    /// The averages `old`, moved towards `new` by the [`Ema::numbers`] of a step.
    ///
    /// # Errors
    /// Values that do not fit together.
    pub fn mixed(old: &[Tensor], new: &[Tensor], numbers: &Tensor) -> Result<Vec<Tensor>> {
        let Some(first) = old.first() else { return Ok(vec![]) };
        let numbers = numbers.to_device(&Tensor::device(first))?;
        let factor = numbers.full_like(1.0, &[])?;
        let each = old.iter().zip(new).flat_map(|(old, new)| [old, new]);
        let ins: Vec<&Tensor> = [&numbers, &factor].into_iter().chain(each).collect();
        let outs = Tensor::apply(Op::from(Update { rule: UpdateRule::Average }), &ins)?;
        Ok(outs.into_iter().skip(1).collect())
    }

    /// Makes `average` what `model` is: the start.
    ///
    /// # Errors
    /// As [`Ema::update`].
    pub fn begin(average: &dyn Module, model: &dyn Module) -> Result<()> {
        pairs(average, model)?.iter().for_each(|(average, model)| average.set(model.value()));
        Ok(())
    }
}

/// Parameters and buffers of `average` with those of `model`.
fn pairs(average: &dyn Module, model: &dyn Module) -> Result<Vec<(Entry, Entry)>> {
    let (to, from) = (Collect::of(average), Collect::of(model));
    let same = |(a, b): (&Entry, &Entry)| a.name == b.name && a.value().meta() == b.value().meta();
    if to.len() != from.len() || !to.iter().zip(&from).all(same) {
        return Err(Error::config("average of weights", "the average is of another model"));
    }
    Ok(to.into_iter().zip(from).collect())
}

#[cfg(test)]
mod tests {
    use tensor::DType;

    use super::*;
    use crate::{BatchNormConfig, Initializer, state_dict};

    fn filled(channels: usize, value: f64) -> crate::BatchNorm2d {
        let init = Initializer::new(1).dtype(DType::F64);
        let layer = BatchNormConfig::new(channels).build(&init).unwrap();
        Collect::of(&layer).iter().for_each(|e| e.set(Tensor::full(value, &[channels], DType::F64).unwrap()));
        layer
    }

    #[test]
    fn by_hand() {
        let (model, average) = (filled(2, 1.0), filled(2, 5.0));
        Ema::begin(&average, &model).unwrap();
        let ema = Ema::new(0.9).unwrap();
        let mut want = 1.0;
        for step in 1..200 {
            let value = f64::from(step as u32);
            Collect::of(&model).iter().for_each(|e| e.set(Tensor::full(value, &[2], DType::F64).unwrap()));
            ema.update(&average, &model, step).unwrap();
            let d = 0.9_f64.min((1.0 + value) / (10.0 + value));
            want = d * want + (1.0 - d) * value;
        }
        // Parameters and statistics alike.
        for (name, t) in state_dict(&average) {
            assert!(t.to_f64_vec().unwrap().iter().all(|v| (v - want).abs() < 1e-9), "{name}: {t:?} {want}");
        }
        assert_eq!((ema.weight(1), ema.weight(1000)), (2.0 / 11.0, 0.9));
    }

    #[test]
    fn misfits_are_errors() {
        let ema = Ema::new(0.5).unwrap();
        assert!(ema.update(&filled(2, 0.0), &filled(3, 0.0), 1).is_err());
        assert!(Ema::new(1.0).is_err() && Ema::new(f64::NAN).is_err() && Ema::new(-0.1).is_err());
    }
}

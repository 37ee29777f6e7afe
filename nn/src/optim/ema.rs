//! The running average of a model's weights, which often scores better than the weights themselves (Polyak & Juditsky 1992;
//! exponential as in Tan & Le 2019).

use tensor::{DType, Element, Tensor};

use super::pass::{Real, zip};
use crate::{Collect, Error, Module, Result};

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

    /// Moves `average` towards `model`, of the same shape, after the model's step number `step` (from 1).
    ///
    /// # Errors
    /// Models of different shapes.
    pub fn update(&self, average: &dyn Module, model: &dyn Module, step: u64) -> Result<()> {
        let d = self.weight(step);
        each(average, model, |old, new| match old.dtype() {
            DType::F64 => mix::<f64>(d, old, new),
            _ => mix::<f32>(d, old, new),
        })
    }

    /// Makes `average` what `model` is: the start.
    ///
    /// # Errors
    /// As [`Ema::update`].
    pub fn begin(average: &dyn Module, model: &dyn Module) -> Result<()> {
        each(average, model, |_, new| Ok(new.clone()))
    }
}

fn mix<T: Real>(d: f64, old: &Tensor, new: &Tensor) -> Result<Tensor> {
    // Scalars are computed in f64 and rounded once.
    let (keep, take) = (<T as Element>::from_f64(d), <T as Element>::from_f64(1.0 - d));
    let [mixed] = zip::<T, 2, 1>([old, new], |[old, new]| [keep * old + take * new])?;
    Ok(mixed)
}

/// Replaces each value of `average` by what `f` makes of it and the model's.
fn each(
    average: &dyn Module,
    model: &dyn Module,
    f: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<()> {
    let (to, from) = (Collect::of(average), Collect::of(model));
    if to.len() != from.len() || to.iter().zip(&from).any(|(a, b)| a.name != b.name) {
        return Err(Error::config("average of weights", "the average is of another model"));
    }
    for (to, from) in to.iter().zip(&from) {
        to.set(f(&to.value(), &from.value()).map_err(|e| e.at(&to.name))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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

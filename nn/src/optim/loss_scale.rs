//! A dynamic loss scale (Micikevicius et al. 2018): the loss is multiplied by a large number, so that small gradients do not
//! vanish in IEEE halves, and the gradients of the weights, which are f32, are divided by it again.
//!
//! The scale, and whether a step's gradients were finite, are scalars on the device that computes: nothing here waits for it,
//! but [`LossScale::value`] and [`LossScale::state`].

use autograd::Var;
use tensor::{DType, Device, Ops, Tensor};

use crate::{Error, Result};

/// A scale that halves when gradients overflow, and doubles after [`LossScale::PATIENCE`] steps in which they did not. It is a
/// power of two at any time, so that it changes no digit of a gradient.
#[derive(Debug, Clone)]
pub struct LossScale {
    /// f32, no dims.
    scale: Tensor,
    /// Steps since it last changed; f32, no dims.
    good: Tensor,
}

impl LossScale {
    /// The scale of the first step.
    pub const FIRST: f64 = 65536.0;
    /// The largest scale: beyond it no gradient of a half is too small, and f32 would overflow at last.
    pub const MOST: f64 = 16_777_216.0;

    /// The smallest scale: one over it is finite in f32.
    pub const LEAST: f64 = 1.0 / Self::MOST;
    /// Good steps after which the scale doubles.
    pub const PATIENCE: f64 = 2000.0;

    /// [`LossScale::FIRST`], on `device`.
    ///
    /// # Errors
    /// Where the device fails or its memory is full.
    pub fn new(device: &Device) -> Result<Self> {
        Self::of([Self::FIRST, 0.0], device)
    }

    /// What [`LossScale::state`] told.
    ///
    /// # Errors
    /// Numbers that are no state; where the device fails.
    pub fn of(state: [f64; 2], device: &Device) -> Result<Self> {
        let [scale, good] = state;
        if !(scale > 0.0 && scale <= Self::MOST && (0.0..Self::PATIENCE).contains(&good)) {
            let why = format!("{scale} after {good} good steps is no state of a loss scale");
            return Err(Error::config("loss scale", why));
        }
        let scalar = |v| Tensor::full_on(device, v, &[], DType::F32);
        Ok(Self { scale: scalar(scale)?, good: scalar(good)? })
    }

    /// The scale and the number of good steps since it changed: all there is to go on with. Waits for the device.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn state(&self) -> Result<[f64; 2]> {
        Ok([self.scale.item()?, self.good.item()?])
    }

    /// The scale now. Waits for the device.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn value(&self) -> Result<f64> {
        Ok(self.scale.item()?)
    }

    /// The scale as it lies on the device: f32, no dims.
    pub fn tensor(&self) -> &Tensor {
        &self.scale
    }

    /// Moves it to `device`.
    ///
    /// # Errors
    /// Where a device fails.
    pub fn to_device(&mut self, device: &Device) -> Result<()> {
        (self.scale, self.good) = (self.scale.to_device(device)?, self.good.to_device(device)?);
        Ok(())
    }

    /// `loss`, an f32 scalar, times the scale: what `backward` is called on.
    ///
    /// # Errors
    /// A loss of another type or on another device.
    pub fn scaled(&self, loss: &Var) -> Result<Var> {
        Ok(loss.mul(&Var::new(self.scale.clone()))?)
    }

    /// One over the scale, f64 without dims: what gradients are multiplied with ([`super::Optimizer::propose`]).
    ///
    /// # Errors
    /// Where the device fails.
    pub fn inverse(&self) -> Result<Tensor> {
        Ok(self.scale.cast(DType::F64)?.recip()?)
    }

    /// Scale and number of good steps, as they lie on the device.
    pub fn parts(&self) -> [Tensor; 2] {
        [self.scale.clone(), self.good.clone()]
    }

    /// What [`LossScale::parts`] told.
    pub fn from_parts([scale, good]: [Tensor; 2]) -> Self {
        Self { scale, good }
    }

    /// What comes after a step whose gradients were finite (1) or not (0).
    ///
    /// # Errors
    /// Where the device fails.
    pub fn update(&mut self, finite: &Tensor) -> Result<()> {
        let zero = self.good.full_like(0.0, &[])?;
        let finite = finite.greater(&zero)?;
        let good = self.good.add_scalar(1.0)?;
        let due = good.greater_equal(&zero.add_scalar(Self::PATIENCE)?)?;
        let grown = self.scale.mul_scalar(2.0)?.clamp(0.0, Self::MOST)?;
        let (kept, halved) =
            (due.select(&grown, &self.scale)?, self.scale.mul_scalar(0.5)?.clamp(Self::LEAST, Self::MOST)?);
        self.good = finite.select(&due.select(&zero, &good)?, &zero)?;
        self.scale = finite.select(&kept, &halved)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu() -> Device {
        tensor::cpu::device()
    }

    #[test]
    fn gradients_come_back_to_the_bit() {
        let scale = LossScale::new(&cpu()).unwrap();
        let tape = autograd::Tape::new();
        let x = tape.leaf(Tensor::from_vec(vec![0.1_f32, 3.0, -7.7], &[3]).unwrap());
        let loss = x.square().unwrap().sum_all().unwrap();
        let grads = scale.scaled(&loss).unwrap().backward().unwrap();
        let inverse = scale.inverse().unwrap().item().unwrap();
        let got = grads.get(&x).unwrap().mul_scalar(inverse).unwrap();
        let want = x.tensor().mul_scalar(2.0).unwrap();
        assert_eq!(got.to_vec::<f32>().unwrap(), want.to_vec::<f32>().unwrap());
    }

    #[test]
    fn halves_on_overflow_and_doubles_after_patience() {
        let mut scale = LossScale::new(&cpu()).unwrap();
        let mut after = |finite: f32| {
            scale.update(&Tensor::scalar(finite)).unwrap();
            scale.state().unwrap()
        };
        assert_eq!(after(1.0), [65536.0, 1.0]);
        assert_eq!(after(0.0), [32768.0, 0.0]);
        assert_eq!(after(0.0), [16384.0, 0.0]);
        assert_eq!(after(1.0), [16384.0, 1.0]);
        let mut due = LossScale::of([16384.0, 1999.0], &cpu()).unwrap();
        due.update(&Tensor::scalar(1.0_f32)).unwrap();
        assert_eq!(due.state().unwrap(), [32768.0, 0.0]);
        let mut most = LossScale::of([LossScale::MOST, 1999.0], &cpu()).unwrap();
        most.update(&Tensor::scalar(1.0_f32)).unwrap();
        assert_eq!(most.state().unwrap(), [LossScale::MOST, 0.0]);
        for wrong in [[f64::NAN, 0.0], [-1.0, 0.0], [f64::INFINITY, 0.0], [8.0, 2000.0]] {
            assert!(LossScale::of(wrong, &cpu()).unwrap_err().to_string().contains("no state"));
        }
    }
}

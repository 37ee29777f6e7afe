//! Which losses a training uses, as text: `owfl+sel`, `wce`, `fl+0.5*sel`, `ce`, `bootstrap:4096:0.3`.

use std::{fmt, str::FromStr};

use autograd::Var;
use tensor::{Ops, Tensor};

use super::{Bootstrapped, ClassBalance, FocalLoss, IGNORE, SemanticEncodingLoss, smoothing};
use crate::{Collective, Error, Result, collective::Solo};

/// The loss of each pixel; all are averaged over the labelled pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelLoss {
    /// `ce`: cross entropy.
    CrossEntropy,
    /// `wce`: cross entropy weighted by α of Eq. 2.
    WeightedCrossEntropy,
    /// `fl`: focal loss with one γ, weighted by the same α, so that it differs from `owfl` in γ alone.
    Focal,
    /// `owfl`: object weighted focal loss, γ by class from Eq. 3.
    Owfl,
    /// `bootstrap`: cross entropy of the hardest pixels of each image ([`Bootstrapped`]).
    Bootstrap,
}

impl PixelLoss {
    const ALL: [(Self, &'static str); 5] = [
        (Self::CrossEntropy, "ce"),
        (Self::WeightedCrossEntropy, "wce"),
        (Self::Focal, "fl"),
        (Self::Owfl, "owfl"),
        (Self::Bootstrap, "bootstrap"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(loss, _)| *loss == self).map_or("", |(_, name)| name)
    }
}

/// A weighted sum `λ₁·pixel loss + λ₂·SEL` (Eq. 1). Its text is `owfl+sel`, or with factors `owfl+0.5*sel`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossSpec {
    /// The loss of each pixel.
    pub pixel: PixelLoss,
    /// λ₁.
    pub pixel_factor: f64,
    /// λ₂; 0: no SEL, and no head that makes its logits.
    pub sel_factor: f64,
    /// γ of `fl`.
    pub focal_gamma: f64,
    /// What `bootstrap` keeps. Its text is `bootstrap:pixels:threshold`.
    pub bootstrap: Bootstrapped,
    /// ε of label smoothing: the pixel loss counts 1 − ε, and the cross entropy against all classes alike ε. No part of the text.
    pub smoothing: f64,
    /// Label of pixels that take no part.
    pub ignore: i64,
}

impl LossSpec {
    /// λ₁ = 1, no SEL, γ = 2 for `fl`, no smoothing, the label 255 ignored.
    pub fn new(pixel: PixelLoss) -> Self {
        let bootstrap = Bootstrapped::default();
        Self {
            pixel,
            pixel_factor: 1.0,
            sel_factor: 0.0,
            focal_gamma: 2.0,
            bootstrap,
            smoothing: 0.0,
            ignore: IGNORE,
        }
    }

    /// With label smoothing.
    pub fn smoothing(mut self, epsilon: f64) -> Self {
        self.smoothing = epsilon;
        self
    }

    /// Whether the model needs the head that makes SEL's logits.
    pub fn needs_head(&self) -> bool {
        self.sel_factor > 0.0
    }

    /// The loss for classes with these shares of the labelled pixels of the training set.
    ///
    /// # Errors
    /// Shares outside 0..=1, or none above 0; smoothing outside 0..1, or of hard pixels alone.
    pub fn build(&self, frequencies: &[f64]) -> Result<Criterion> {
        if !(0.0..1.0).contains(&self.smoothing) {
            let why = format!("label smoothing can be 0 up to, not including, 1, not {}", self.smoothing);
            return Err(Error::config(format!("loss {self}"), why));
        }
        if self.smoothing > 0.0 && self.pixel == PixelLoss::Bootstrap {
            let why =
                "label smoothing is defined for all pixels, not for the hardest alone: leave one of them out";
            return Err(Error::config(format!("loss {self}"), why));
        }
        let by_frequency = ClassBalance::from_frequencies(frequencies)?;
        let classes = frequencies.len();
        let (alpha, gamma) = match self.pixel {
            PixelLoss::CrossEntropy | PixelLoss::Bootstrap => (vec![1.0; classes], vec![0.0; classes]),
            PixelLoss::WeightedCrossEntropy => (by_frequency.alpha, vec![0.0; classes]),
            PixelLoss::Focal => (by_frequency.alpha, vec![self.focal_gamma; classes]),
            PixelLoss::Owfl => (by_frequency.alpha, by_frequency.gamma),
        };
        let pixel = FocalLoss { balance: ClassBalance { alpha, gamma }, ignore: self.ignore };
        Ok(Criterion { spec: *self, pixel, sel: SemanticEncodingLoss { ignore: self.ignore } })
    }
}

impl FromStr for LossSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let error = |why: String| {
            let names: Vec<_> = PixelLoss::ALL.iter().map(|(_, name)| *name).collect();
            let options = names.join(", ");
            let why =
                format!("{why}; wants one of {options}, alone or with +sel, as in owfl+sel or ce+0.5*sel");
            Error::config(format!("loss {text:?}"), why)
        };
        let (mut pixel, mut sel) = (None, None);
        let mut bootstrap = Bootstrapped::default();
        for term in text.split('+') {
            let (factor, name) = match term.split_once('*') {
                Some((factor, name)) => (factor.trim().parse().unwrap_or(f64::NAN), name),
                None => (1.0, term),
            };
            let name = name.trim().to_ascii_lowercase();
            let (name, limits) = name.split_once(':').map_or((name.as_str(), None), |(n, l)| (n, Some(l)));
            if let Some(limits) = limits {
                let limits = limits.split_once(':').filter(|_| name == "bootstrap");
                let limits = limits.and_then(|(keep, threshold)| {
                    let keep = keep.trim().parse().ok().filter(|n| *n > 0)?;
                    Some((keep, threshold.trim().parse().ok().filter(|t: &f64| *t >= 0.0 && t.is_finite())?))
                });
                let (keep, threshold) =
                    limits.ok_or_else(|| error(format!("{term:?} is not written as bootstrap:4096:0.3")))?;
                (bootstrap.keep, bootstrap.threshold) = (keep, threshold);
            }
            if !(factor > 0.0 && factor.is_finite()) {
                return Err(error(format!("the factor in {term:?} is no positive number")));
            }
            let known = PixelLoss::ALL.into_iter().find(|(_, n)| *n == name);
            let before = match known {
                Some((loss, _)) => pixel.replace((loss, factor)).is_some(),
                None if name == "sel" => sel.replace(factor).is_some(),
                None => return Err(error(format!("{name:?} is no loss"))),
            };
            if before {
                return Err(error(format!("{term:?} is one term too many")));
            }
        }
        let (pixel, pixel_factor) = pixel.ok_or_else(|| error("no loss for the pixels".into()))?;
        Ok(Self { pixel_factor, sel_factor: sel.unwrap_or(0.0), bootstrap, ..Self::new(pixel) })
    }
}

impl fmt::Display for LossSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pixel_factor != 1.0 {
            write!(f, "{}*", self.pixel_factor)?;
        }
        f.write_str(self.pixel.name())?;
        if self.pixel == PixelLoss::Bootstrap {
            write!(f, ":{}:{}", self.bootstrap.keep, self.bootstrap.threshold)?;
        }
        match self.sel_factor {
            0.0 => Ok(()),
            1.0 => f.write_str("+sel"),
            factor => write!(f, "+{factor}*sel"),
        }
    }
}

/// A [`LossSpec`] that knows its classes.
#[derive(Debug, Clone)]
pub struct Criterion {
    spec: LossSpec,
    pixel: FocalLoss,
    sel: SemanticEncodingLoss,
}

/// A loss and its parts.
#[derive(Debug, Clone)]
pub struct LossValue {
    /// λ₁·pixel + λ₂·SEL: what `backward` is called on.
    pub total: Var,
    /// The pixel loss, without its factor.
    pub pixel: Var,
    /// SEL, without its factor, where it takes part.
    pub sel: Option<Var>,
}

impl Criterion {
    /// What it was built from.
    pub fn spec(&self) -> &LossSpec {
        &self.spec
    }

    /// α and γ of each class as they are used.
    pub fn balance(&self) -> &ClassBalance {
        &self.pixel.balance
    }

    /// The loss of logits `[N, K, H, W]`, the head's logits `[N, K]` and labels `[N, H, W]`.
    ///
    /// # Errors
    /// Shapes or labels that do not fit; no head where SEL takes part.
    pub fn forward(&self, logits: &Var, head: Option<&Var>, labels: &Tensor) -> Result<LossValue> {
        self.forward_across(logits, head, labels, &Solo)
    }

    /// This rank's part of the loss of all ranks' images: the parts add up to what [`Criterion::forward`] gives for
    /// all images at once.
    ///
    /// # Errors
    /// As [`Criterion::forward`]; a rank that is lost or hangs.
    pub fn forward_across(
        &self,
        logits: &Var,
        head: Option<&Var>,
        labels: &Tensor,
        ranks: &dyn Collective,
    ) -> Result<LossValue> {
        let mut pixel = match self.spec.pixel {
            PixelLoss::Bootstrap => {
                let limits = Bootstrapped { ignore: self.spec.ignore, ..self.spec.bootstrap };
                limits.forward_across(logits, labels, ranks)?
            }
            PixelLoss::CrossEntropy
            | PixelLoss::WeightedCrossEntropy
            | PixelLoss::Focal
            | PixelLoss::Owfl => self.pixel.forward_across(logits, labels, ranks)?,
        };
        if self.spec.smoothing > 0.0 {
            let spread = smoothing::uniform(logits, labels, self.spec.ignore, ranks)?;
            let epsilon = self.spec.smoothing;
            pixel = pixel.mul_scalar(1.0 - epsilon)?.add(&spread.mul_scalar(epsilon)?)?;
        }
        let scaled = if self.spec.pixel_factor == 1.0 {
            pixel.clone()
        } else {
            pixel.mul_scalar(self.spec.pixel_factor)?
        };
        if !self.spec.needs_head() {
            return Ok(LossValue { total: scaled, pixel, sel: None });
        }
        let Some(head) = head else {
            let why = "SEL wants the logits of the encoding head, and the model gave none";
            return Err(Error::config(format!("loss {}", self.spec), why));
        };
        let sel = self.sel.forward_across(head, labels, ranks)?;
        let total = scaled.add(&sel.mul_scalar(self.spec.sel_factor)?)?;
        Ok(LossValue { total, pixel, sel: Some(sel) })
    }
}

#[cfg(test)]
mod tests;

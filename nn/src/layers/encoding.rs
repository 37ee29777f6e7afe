//! The context encoding head (EncNet, Zhang et al. 2018; DSNet's Eq. 6).
//!
//! N = H·W features x of C channels are summed up by K codewords d with smoothing factors s: with
//! `a = softmax over k of −s_k‖x_i − d_k‖²`, `e_k = Σᵢ a_ik·(x_i − d_k)`. The N×K×C residuals are never made:
//! `‖x − d‖² = ‖x‖² − 2x·d + ‖d‖²` and `Σ a·(x − d) = aᵀ·x − (Σ a)·d` are matrix products.

use autograd::Var;
use tensor::Ops;

use crate::{
    BatchNorm1d, BatchNormConfig, Ctx, Error, Init, Initializer, Linear, Module, Param, Result, Visitor,
    Work, visit_child,
};

/// `[N, C, H, W]` to one logit per class, `[N, classes]`: encoding, batch normalisation over the codewords,
/// ReLU, sum over the codewords, fully connected layer.
#[derive(Debug, Clone)]
pub struct Encoding {
    /// Codewords, `[K, C]`.
    pub d: Param,
    /// Smoothing factors, `[K]`.
    pub s: Param,
    /// Over the K codewords, with the ReLU.
    pub bn: BatchNorm1d,
    /// C to classes.
    pub fc: Linear,
}

/// What an [`Encoding`] is made from.
#[derive(Debug, Clone)]
pub struct EncodingConfig {
    /// C.
    pub channels: usize,
    /// Number of logits.
    pub classes: usize,
    /// K.
    pub codewords: usize,
}

impl EncodingConfig {
    /// With 32 codewords, as in EncNet.
    pub fn new(channels: usize, classes: usize) -> Self {
        Self { channels, classes, codewords: 32 }
    }

    /// With another number of codewords.
    pub fn codewords(mut self, codewords: usize) -> Self {
        self.codewords = codewords;
        self
    }

    /// The layer: codewords uniform within ±1/√(KC), smoothing factors uniform in 0..1.
    ///
    /// # Errors
    /// A size of 0, with the initialiser's path.
    pub fn build(self, init: &Initializer) -> Result<Encoding> {
        let Self { channels, classes, codewords } = self;
        if [channels, classes, codewords].contains(&0) {
            let why = format!("{channels} channels, {classes} classes, {codewords} codewords: none may be 0");
            return Err(Error::config("encoding", why).at(init.path()));
        }
        let bound = ((codewords * channels) as f64).powf(-0.5);
        Ok(Encoding {
            d: init.param("d", &[codewords, channels], Init::within(bound))?,
            s: init.param("s", &[codewords], Init::Uniform { low: 0.0, high: 1.0 })?,
            bn: BatchNormConfig::new(codewords).relu(true).build(&init.scope("bn"))?,
            fc: Linear::new(channels, classes, &init.scope("fc"))?,
        })
    }
}

impl Encoding {
    /// The K encoders e of Eq. 6, `[N, K, C]`.
    ///
    /// # Errors
    /// Where the channels do not fit.
    pub fn encode(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let (d, s) = (ctx.var(&self.d), ctx.var(&self.s));
        let channels = d.dim(1)?;
        if x.dims().len() != 4 || x.dims()[1] != channels {
            let why = format!("wants [N, {channels}, H, W], got dims {:?}", x.dims());
            return Err(Error::config("encoding", why));
        }
        let x = ctx.operand(x, Work::Sum)?.flatten(2, 3)?.transpose(1, 2)?; // [N, HW, C]
        let cross = x.matmul(&d.transpose(0, 1)?)?; // [N, HW, K]
        let (x2, d2) = (x.square()?.sum(&[2], true)?, d.square()?.sum(&[1], false)?);
        let distance = x2.sub(&cross.mul_scalar(2.0)?)?.add(&d2)?;
        let a = distance.mul(&s.neg()?)?.softmax(2)?;
        let total = a.sum(&[1], false)?; // [N, K]
        let (n, k) = (total.dim(0)?, total.dim(1)?);
        Ok(a.transpose(1, 2)?.matmul(&x)?.sub(&total.reshape(&[n, k, 1])?.mul(&d)?)?)
    }
}

impl Module for Encoding {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let x = ctx.operand(x, Work::Sum)?;
        ctx.in_full(|| {
            let e = ctx.call("bn", &self.bn, &self.encode(&x, ctx)?)?;
            ctx.call("fc", &self.fc, &e.sum(&[1], false)?)
        })
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.param("d", &self.d);
        visitor.param("s", &self.s);
        visit_child(visitor, "bn", &self.bn);
        visit_child(visitor, "fc", &self.fc);
    }
}

#[cfg(test)]
mod tests {
    use tensor::DType;

    use super::*;
    use crate::{
        Collect,
        layers::testing::{check_gradients, input},
    };

    fn small() -> Encoding {
        EncodingConfig::new(3, 2).codewords(4).build(&Initializer::new(1).dtype(DType::F64)).unwrap()
    }

    #[test]
    fn gradients() {
        check_gradients(&small(), &[3, 3, 2, 3], true);
    }

    /// Against the definition, residual by residual.
    #[test]
    fn equals_the_definition() {
        let (layer, x) = (small(), input(&[2, 3, 2, 2], DType::F64));
        let got = layer.encode(&x, &Ctx::eval()).unwrap().tensor().to_vec::<f64>().unwrap();
        let (x, d) = (x.tensor().to_vec::<f64>().unwrap(), layer.d.value().to_vec::<f64>().unwrap());
        let s = layer.s.value().to_vec::<f64>().unwrap();
        for n in 0..2 {
            let mut want = [0.0; 12];
            for i in 0..4 {
                let residual = |k: usize, c: usize| x[n * 12 + c * 4 + i] - d[k * 3 + c];
                let weight = |k: usize| (-s[k] * (0..3).map(|c| residual(k, c).powi(2)).sum::<f64>()).exp();
                let total: f64 = (0..4).map(weight).sum();
                for k in 0..4 {
                    for c in 0..3 {
                        want[k * 3 + c] += weight(k) / total * residual(k, c);
                    }
                }
            }
            let near = got[n * 12..][..12].iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12);
            assert!(near, "{got:?} {want:?}");
        }
    }

    #[test]
    fn names() {
        let names: Vec<_> = Collect::of(&small()).into_iter().map(|e| e.name).collect();
        let bn = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"];
        assert_eq!(names, [&["d", "s"][..], &bn, &["fc.weight", "fc.bias"]].concat());
    }
}

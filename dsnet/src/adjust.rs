//! Logit adjustment: taking the weights of classes out of a trained model's logits.
//!
//! A pixel loss that weighs class i by αᵢ (`wce`, `owfl`) teaches a net αᵢ·p(i | x), up to a factor of the pixel: it calls rare
//! classes more often than they occur. Subtracting τ·ln αᵢ from the logits takes the weights out, all of them at τ = 1. It is the
//! post-hoc adjustment of A. K. Menon et al., "Long-tail learning via logit adjustment" (ICLR 2021), with α in the place of class
//! shares. One constant for each class goes into the last layer's bias: nothing runs slower for it.

use tensor::Tensor;

use crate::{Error, Result, weights::Trained};

/// Takes the weights `alpha` of the classes, in train id order, out of a model's logits to the power `strength`, and notes it.
///
/// # Errors
/// A strength outside of 0 to 1; weights that are not positive or not as many as the model's classes; a model that was adjusted
/// before, whose original should be taken.
pub fn adjust(trained: &mut Trained, alpha: &[f64], strength: f64) -> Result<()> {
    if !(strength > 0.0 && strength <= 1.0) {
        return Err(Error::usage(format!("the strength can be above 0 and up to 1, not {strength}")));
    }
    if let Some(before) = trained.info.adjusted {
        return Err(Error::message(format!(
            "these weights have been adjusted with strength {before} already; take the file that training wrote"
        )));
    }
    let classes = trained.info.classes.len();
    if alpha.len() != classes || alpha.iter().any(|a| !(a.is_finite() && *a > 0.0)) {
        return Err(Error::message(format!(
            "{classes} classes want {classes} weights above 0, not {alpha:?}"
        )));
    }
    let by: Vec<f32> = alpha.iter().map(|a| (-strength * a.ln()) as f32).collect();
    trained.net.shift_logits(&Tensor::from_vec(by, &[classes])?)?;
    trained.info.adjusted = Some(strength);
    Ok(())
}

#[cfg(test)]
mod tests {
    use autograd::Var;
    use datasets::{Split, Synthetic, SyntheticOptions};
    use nn::{Ctx, Initializer};

    use super::*;
    use crate::{
        data::Source,
        model::{self, DsNet},
        weights::ModelInfo,
    };

    fn trained() -> Trained {
        let scenes =
            Synthetic::new(SyntheticOptions { len: 1, ..SyntheticOptions::new(Split::Val) }).unwrap();
        let info = ModelInfo::new("dsnet-tiny", Source::Synthetic, &scenes, &[1.0 / 19.0; 19]).unwrap();
        let net = DsNet::new(&model::config("dsnet-tiny", 19).unwrap(), &Initializer::new(3)).unwrap();
        Trained { info, net }
    }

    /// Softmax over the classes of every pixel, as rows of 19.
    fn shares(trained: &Trained) -> Vec<Vec<f64>> {
        let images =
            Tensor::from_vec((0..3 * 16 * 16).map(|i| (i % 7) as f32 - 3.0).collect(), &[1, 3, 16, 16]);
        let logits = trained.net.run(&Var::new(images.unwrap()), &Ctx::eval()).unwrap().0;
        let logits = logits.tensor().to_f64_vec().unwrap();
        let pixels = logits.len() / 19;
        let row = |p: usize| {
            let e: Vec<f64> = (0..19).map(|c| logits[c * pixels + p].exp()).collect();
            let sum: f64 = e.iter().sum();
            e.into_iter().map(|e| e / sum).collect()
        };
        (0..pixels).map(row).collect()
    }

    #[test]
    fn shares_are_divided_by_the_weights() {
        let alpha: Vec<f64> = (1..=19).map(|i| f64::from(i) / 19.0).collect();
        for strength in [0.5, 1.0] {
            let mut model = trained();
            let before = shares(&model);
            adjust(&mut model, &alpha, strength).unwrap();
            for (before, after) in before.iter().zip(shares(&model)) {
                let divided: Vec<f64> =
                    before.iter().zip(&alpha).map(|(p, a)| p / a.powf(strength)).collect();
                let sum: f64 = divided.iter().sum();
                for (want, got) in divided.iter().zip(after) {
                    assert!((want / sum - got).abs() < 1e-5, "{want} / {sum} is not {got}");
                }
            }
        }
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        let (alpha, mut model) = ([0.5; 19], trained());
        let before = shares(&model);
        for (alpha, strength, part) in [
            (&alpha[..], 0.0, "not 0"),
            (&alpha, 1.5, "not 1.5"),
            (&alpha, f64::NAN, "not NaN"),
            (&alpha[1..], 0.5, "19 weights"),
            (&[0.0; 19], 0.5, "above 0"),
        ] {
            let error = adjust(&mut model, alpha, strength).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!((shares(&model), model.info.adjusted), (before, None));
        adjust(&mut model, &alpha, 0.25).unwrap();
        let error = adjust(&mut model, &alpha, 0.25).unwrap_err().to_string();
        assert!(error.contains("0.25 already"), "{error}");
    }
}

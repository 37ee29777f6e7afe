//! Online bootstrapped cross entropy (Wu et al. 2016): the hardest pixels of each image alone.

use autograd::Var;
use tensor::{DType, Ops, Tensor};

use super::{ClassBalance, IGNORE, class_counts, focal::focal_sum, widened};
use crate::{
    Collective, Error, Result,
    collective::{Share, Solo},
};

/// Cross entropy averaged over the hard pixels of each image: all whose loss exceeds `threshold`, but the `keep` hardest at
/// least; then over the images. As FC-HarDNet and FASSD-Net are trained (4096 pixels, threshold 0.3). Which pixels are hard
/// is no part of the derivative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrapped {
    /// Pixels of an image that count however easy they are; all where it has fewer.
    pub keep: usize,
    /// Loss beyond which a pixel counts in any case.
    pub threshold: f64,
    /// Label of pixels that take no part.
    pub ignore: i64,
}

impl Default for Bootstrapped {
    /// 4096 pixels, threshold 0.3, the label 255 ignored.
    fn default() -> Self {
        Self { keep: 4096, threshold: 0.3, ignore: IGNORE }
    }
}

impl Bootstrapped {
    /// The loss, a scalar, of logits `[N, K, …]` and labels `[N, …]`.
    ///
    /// # Errors
    /// Shapes that do not fit; a label that is neither a class nor `ignore`.
    pub fn forward(&self, logits: &Var, labels: &Tensor) -> Result<Var> {
        self.forward_across(logits, labels, &Solo)
    }

    /// This rank's part of the loss of all ranks' images: divided by the number of all of them.
    ///
    /// # Errors
    /// As [`Bootstrapped::forward`]; a rank that is lost or hangs.
    pub fn forward_across(&self, logits: &Var, labels: &Tensor, ranks: &dyn Collective) -> Result<Var> {
        let (&[images, classes, ..], Some(&labelled)) = (logits.dims(), labels.dims().first()) else {
            let why = format!("wants logits [N, K, …], got dims {:?}", logits.dims());
            return Err(Error::config("bootstrapped cross entropy", why));
        };
        if images != labelled {
            let why = format!("{images} images have labels of dims {:?}", labels.dims());
            return Err(Error::config("bootstrapped cross entropy", why));
        }
        // Of all images, so that a foreign label is told with the number of its own.
        class_counts(labels, classes, self.ignore)?;
        let uniform = ClassBalance::uniform(classes);
        let total = Share::find(images, ranks)?.total.max(1);
        let mut sum = None;
        for image in 0..images {
            let (x, y) = (logits.narrow(0, image, 1)?, labels.narrow(0, image, 1)?);
            let hard = self.hard(x.tensor(), &y)?;
            let (of_image, count) = focal_sum(&x, &hard, &uniform, self.ignore)?;
            // No labelled pixel: 0/1 instead of 0/0.
            let mean = of_image.div(&count.maximum(&count.full_like(1.0, &[])?)?)?;
            sum = Some(match sum {
                Some(sum) => mean.add(&sum)?,
                None => mean,
            });
        }
        match sum {
            Some(sum) => Ok(sum.mul_scalar(1.0 / total as f64)?),
            None => Ok(focal_sum(logits, labels, &uniform, self.ignore)?.0),
        }
    }

    /// The labels of one image, `[1, …]`, with those of easy pixels replaced by `ignore`.
    fn hard(&self, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let logits = widened(&Var::new(logits.clone()))?.into_tensor();
        let p: Vec<f64> = logits.log_softmax(1)?.to_f64_vec()?;
        let mut values = labels.cast(DType::I64)?.to_vec::<i64>()?;
        let pixels = values.len();
        let loss =
            |at: usize, label: i64| Some(-*p.get(usize::try_from(label).ok()?.checked_mul(pixels)? + at)?);
        let mut order: Vec<(f64, usize)> = values
            .iter()
            .enumerate()
            .filter(|(_, label)| **label != self.ignore)
            .filter_map(|(at, &label)| Some((loss(at, label)?, at)))
            .collect();
        // The hardest first; of equal ones the first.
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let beyond = order.partition_point(|(loss, _)| *loss > self.threshold);
        for (_, at) in order.into_iter().skip(beyond.max(self.keep)) {
            values[at] = self.ignore;
        }
        Ok(Tensor::from_vec(values, labels.dims())?.to_device(&Tensor::device(labels))?)
    }
}

#[cfg(test)]
mod tests {
    use autograd::Tape;

    use super::*;
    use crate::loss::CrossEntropy;

    /// Two images of five pixels; logits (0, z) and label 1: the loss of a pixel is softplus(−z).
    const Z: [[f64; 5]; 2] = [[3.0, -2.0, 0.5, -1.0, 4.0], [2.0, 5.0, 6.0, 3.0, 1.0]];

    fn setting() -> (Tensor, Tensor) {
        let logits: Vec<f64> = Z.iter().flat_map(|z| [[0.0; 5], *z].concat()).collect();
        let labels = vec![1_u8, 1, 1, 1, 255, 1, 1, 1, 1, 1];
        (Tensor::from_vec(logits, &[2, 2, 5]).unwrap(), Tensor::from_vec(labels, &[2, 5]).unwrap())
    }

    fn value(loss: Bootstrapped, logits: &Tensor, labels: &Tensor) -> f64 {
        loss.forward(&Var::new(logits.clone()), labels).unwrap().tensor().item().unwrap()
    }

    #[test]
    fn by_hand() {
        let (logits, labels) = setting();
        let l = |z: f64| (-z).exp().ln_1p();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        let with = |keep, threshold| value(Bootstrapped { keep, threshold, ignore: 255 }, &logits, &labels);
        // Beyond 0.3: three pixels of the first image, one of the second, which keeps its two hardest.
        let (first, second) = (l(-2.0) + l(-1.0) + l(0.5), l(1.0) + l(2.0));
        near(with(2, 0.3), (first / 3.0 + second / 2.0) / 2.0);
        // Nothing beyond: the hardest alone. Everything kept: cross entropy of each image.
        near(with(1, 99.0), (l(-2.0) + l(1.0)) / 2.0);
        let all = [&Z[0][..4], &Z[1][..]].map(|z| z.iter().map(|&z| l(z)).sum::<f64>() / z.len() as f64);
        near(with(5, 99.0), f64::midpoint(all[0], all[1]));
        let one = (logits.narrow(0, 1, 1).unwrap(), labels.narrow(0, 1, 1).unwrap());
        let plain = CrossEntropy::default().forward(&Var::new(one.0.clone()), &one.1).unwrap();
        near(
            value(Bootstrapped { keep: 9, threshold: 0.0, ignore: 255 }, &one.0, &one.1),
            plain.tensor().item().unwrap(),
        );
    }

    #[test]
    fn gradients() {
        let (logits, labels) = setting();
        let loss = Bootstrapped { keep: 2, threshold: 0.3, ignore: 255 };
        let tape = Tape::new();
        let x = tape.leaf(logits.clone());
        let grads = loss.forward(&x, &labels).unwrap().backward().unwrap();
        let grads = grads.get(&x).unwrap().to_vec::<f64>().unwrap();
        let flat = logits.to_vec::<f64>().unwrap();
        for i in 0..flat.len() {
            let at = |h: f64| {
                let mut moved = flat.clone();
                moved[i] += h;
                value(loss, &Tensor::from_vec(moved, logits.dims()).unwrap(), &labels)
            };
            let want = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((grads[i] - want).abs() < 1e-8, "{i}: {} {want}", grads[i]);
        }
        assert_eq!(grads.iter().filter(|g| **g != 0.0).count(), 2 * 5, "five pixels of two logits take part");
    }

    #[test]
    fn empty_images_and_foreign_labels() {
        let (logits, _) = setting();
        let none = Tensor::full(255.0, &[2, 5], DType::U8).unwrap();
        assert_eq!(value(Bootstrapped::default(), &logits, &none), 0.0);
        let foreign = Tensor::from_vec(vec![0_u8, 1, 7, 0, 1, 0, 0, 0, 0, 0], &[2, 5]).unwrap();
        let error = Bootstrapped::default().forward(&Var::new(logits.clone()), &foreign).unwrap_err();
        assert!(error.to_string().contains("has the label 7"), "{error}");
        let in_the_second = Tensor::from_vec(vec![0_u8, 1, 0, 0, 1, 0, 0, 7, 0, 0], &[2, 5]).unwrap();
        let error = Bootstrapped::default().forward(&Var::new(logits.clone()), &in_the_second).unwrap_err();
        assert!(error.to_string().contains("pixel 2 of image 1"), "{error}");
        let short = Tensor::from_vec(vec![0_u8; 5], &[1, 5]).unwrap();
        assert!(Bootstrapped::default().forward(&Var::new(logits), &short).is_err());
    }
}

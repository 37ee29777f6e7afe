//! The confusion matrix.

use nn::Collective;
use serde::{Deserialize, Serialize};
use tensor::{DType, Op, Ops, Tensor, ops::Bincount};

use crate::{Error, Result};

/// Pairs of two bytes.
const PAIRS: usize = 1 << 16;

/// How often each class was predicted at pixels of each true class. Pixels whose truth is 255 (ignored) are
/// left out; predictions of no class (255) are counted in a column of their own, so that they cost recall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<i64>>", into = "Vec<Vec<i64>>")]
pub struct Confusion {
    classes: usize,
    /// `[classes][classes + 1]`; the last column counts predictions of no class.
    counts: Vec<i64>,
}

impl Confusion {
    /// An empty matrix.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * (classes + 1)] }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Pixels of true class `truth` that were predicted as `predicted`; `classes()` stands for no class.
    pub fn count(&self, truth: usize, predicted: usize) -> i64 {
        self.counts[truth * (self.classes + 1) + predicted]
    }

    /// Number of pixels counted.
    pub fn total(&self) -> i64 {
        self.counts.iter().sum()
    }

    /// Counts pixels: true and predicted train ids in the same order, 255 for none.
    ///
    /// # Errors
    /// Where lengths differ, or an id is neither a class nor 255 (nothing is counted then).
    pub fn add(&mut self, truth: &[u8], predicted: &[u8]) -> Result<()> {
        if truth.len() != predicted.len() {
            return Err(Error::message(format!(
                "{} pixels of truth cannot be compared with {} predicted ones",
                truth.len(),
                predicted.len()
            )));
        }
        // All 256 × 256 pairs are counted first: no branch for each pixel.
        let mut pairs = vec![0i64; PAIRS];
        for (&t, &p) in truth.iter().zip(predicted) {
            pairs[usize::from(t) << 8 | usize::from(p)] += 1;
        }
        self.add_pairs(&pairs)
    }

    /// The same of two maps of train ids, u8 of the same dims, counted on the device of `predicted`: of pixels on a GPU only the
    /// counts come to the host.
    ///
    /// # Errors
    /// As [`Confusion::add`]; where the device fails.
    pub fn add_maps(&mut self, truth: &Tensor, predicted: &Tensor) -> Result<()> {
        let device = Tensor::device(predicted);
        if device.name() == tensor::cpu::device().name() {
            return self.add(&truth.to_vec()?, &predicted.to_vec()?);
        }
        // Exact: f32 holds all integers below 2²⁴.
        let wide = |t: &Tensor| t.to_device(&device)?.cast(DType::F32);
        let pairs = wide(truth)?.mul_scalar(256.0)?.add(&wide(predicted)?)?.cast(DType::I64)?;
        let counts = Tensor::apply1(Op::from(Bincount { bins: PAIRS }), &[&pairs])?;
        self.add_pairs(&counts.to_vec()?)
    }

    /// Counts pixels by pair: 256 times the true class plus the predicted one.
    fn add_pairs(&mut self, pairs: &[i64]) -> Result<()> {
        let mut found = vec![0i64; self.counts.len()];
        for (at, &n) in pairs.iter().enumerate().filter(|(_, n)| **n > 0) {
            let (t, p) = (at >> 8, at & 255);
            for (id, what) in [(t, "true"), (p, "predicted")] {
                if id >= self.classes && id != 255 {
                    return Err(Error::message(format!(
                        "a {what} class is {id}, but there are {} classes (and 255 for none)",
                        self.classes
                    )));
                }
            }
            if t != 255 {
                found[t * (self.classes + 1) + p.min(self.classes)] += n;
            }
        }
        self.counts.iter_mut().zip(found).for_each(|(sum, n)| *sum += n);
        Ok(())
    }

    /// Adds the counts of another matrix.
    ///
    /// # Errors
    /// Where the number of classes differs.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.classes != other.classes {
            return Err(Error::message(format!(
                "confusion matrices of {} and {} classes cannot be added",
                self.classes, other.classes
            )));
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        Ok(())
    }

    /// The counts of all ranks together.
    ///
    /// # Errors
    /// A rank that is lost or hangs.
    pub fn sum_over(&self, ranks: &dyn Collective) -> Result<Self> {
        let counts = ranks.all_reduce(&Tensor::from_slice(&self.counts, &[self.counts.len()])?)?;
        Ok(Self { classes: self.classes, counts: counts.to_vec()? })
    }

    /// The matrix of groups of classes: class `i` belongs to group `group[i]`.
    pub fn grouped(&self, group: &[usize], groups: usize) -> Self {
        let mut out = Self::new(groups);
        for truth in 0..self.classes {
            for predicted in 0..=self.classes {
                let column = group.get(predicted).copied().unwrap_or(groups);
                out.counts[group[truth] * (groups + 1) + column] += self.count(truth, predicted);
            }
        }
        out
    }

    /// IoU = TP / (TP + FP + FN) of each class; `None` where a class neither occurs nor is predicted.
    pub fn iou(&self) -> Vec<Option<f64>> {
        let column = |p: usize| (0..self.classes).map(|t| self.count(t, p)).sum::<i64>();
        (0..self.classes)
            .map(|c| {
                let hit = self.count(c, c);
                let row: i64 = (0..=self.classes).map(|p| self.count(c, p)).sum();
                let union = row + column(c) - hit;
                (union > 0).then(|| hit as f64 / union as f64)
            })
            .collect()
    }

    /// Share of the counted pixels that were predicted right; `None` where there are none.
    pub fn pixel_accuracy(&self) -> Option<f64> {
        let hits: i64 = (0..self.classes).map(|c| self.count(c, c)).sum();
        (self.total() > 0).then(|| hits as f64 / self.total() as f64)
    }
}

impl From<Confusion> for Vec<Vec<i64>> {
    /// Rows of true classes; in each the predicted classes, then none.
    fn from(confusion: Confusion) -> Self {
        confusion.counts.chunks(confusion.classes + 1).map(<[i64]>::to_vec).collect()
    }
}

impl TryFrom<Vec<Vec<i64>>> for Confusion {
    type Error = String;

    fn try_from(rows: Vec<Vec<i64>>) -> Result<Self, String> {
        let classes = rows.len();
        if rows.iter().any(|row| row.len() != classes + 1 || row.iter().any(|&n| n < 0)) {
            return Err(format!(
                "a confusion matrix of {classes} classes has {} counts in each row",
                classes + 1
            ));
        }
        let counts = rows.concat();
        // Every sum of counts is then a number.
        let total = counts.iter().try_fold(0i64, |sum, n| sum.checked_add(*n));
        total.ok_or("a confusion matrix counts more pixels than there can be")?;
        Ok(Self { classes, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: truth 0 0 0 1 1 2 ignored, predicted 0 0 1 1 none 1 0.
    fn example() -> Confusion {
        let mut c = Confusion::new(4);
        c.add(&[0, 0, 0, 1, 1, 2, 255], &[0, 0, 1, 1, 255, 1, 0]).unwrap();
        c
    }

    #[test]
    fn hand_checked_figures() {
        let c = example();
        assert_eq!(c.total(), 6);
        assert_eq!((c.count(0, 0), c.count(0, 1), c.count(1, 4), c.count(2, 1)), (2, 1, 1, 1));
        // 0: 2 / (2 + 0 + 1); 1: 1 / (1 + 2 + 1); 2: 0 / 1; 3 never occurs.
        assert_eq!(c.iou(), [Some(2.0 / 3.0), Some(0.25), Some(0.0), None]);
        assert_eq!(c.pixel_accuracy(), Some(0.5));
        assert_eq!(Confusion::new(2).pixel_accuracy(), None);
    }

    #[test]
    fn groups_forgive_confusion_within() {
        let c = example().grouped(&[0, 0, 1, 1], 2);
        // Group 0: five pixels of truth, four of them hit, one predicted as nothing, one false alarm.
        assert_eq!((c.count(0, 0), c.count(0, 2), c.count(1, 0)), (4, 1, 1));
        assert_eq!(c.iou(), [Some(4.0 / 6.0), Some(0.0)]);
    }

    #[test]
    fn rows_are_stored_and_read_again() {
        let json = serde_json::to_string(&example()).unwrap();
        assert_eq!(json, "[[2,1,0,0,0],[0,1,0,0,1],[0,1,0,0,0],[0,0,0,0,0]]");
        assert_eq!(serde_json::from_str::<Confusion>(&json).unwrap(), example());
        for bad in ["[[1]]", "[[1,2],[3,4]]", "[[-1,0]]", "[[9223372036854775807,1]]"] {
            assert!(serde_json::from_str::<Confusion>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sums_and_refusals() {
        let mut c = example();
        c.merge(&example()).unwrap();
        assert_eq!((c.total(), c.count(0, 0)), (12, 4));
        assert!(c.merge(&Confusion::new(3)).is_err());
        assert!(c.add(&[0], &[]).is_err());
        let message = c.add(&[0, 4], &[0, 0]).unwrap_err().to_string();
        assert!(message.contains("true class is 4"), "{message}");
        assert!(c.add(&[0], &[17]).unwrap_err().to_string().contains("predicted class is 17"));
        assert_eq!(c.total(), 12, "a refused call counts nothing");
    }
}

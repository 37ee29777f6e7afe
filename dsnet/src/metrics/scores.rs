//! What a confusion matrix says, ready to print: means over classes, γ groups and categories.

use datasets::Classes;
use serde::{Deserialize, Serialize};

use super::Confusion;

/// The mean IoU of a group of classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupScore {
    /// Name of the group: a category, or "γ = 1".
    pub name: String,
    /// Names of its classes.
    pub classes: Vec<String>,
    /// Its score in 0..=1; `None` where none of its classes occurs.
    pub iou: Option<f64>,
}

/// IoU of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// Name of the class.
    pub name: String,
    /// Its IoU in 0..=1; `None` where it neither occurs nor is predicted.
    pub iou: Option<f64>,
    /// Labelled pixels of this class.
    pub pixels: i64,
}

/// Everything that `eval` reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean IoU over the classes that occur, in 0..=1; 0 where none does.
    pub miou: f64,
    /// Share of labelled pixels predicted right, in 0..=1; `None` without labelled pixels.
    pub pixel_accuracy: Option<f64>,
    /// Each class, in train id order.
    pub classes: Vec<ClassScore>,
    /// Means over the classes of equal γ (Table 6 of the paper), γ ascending; empty where γ is not known.
    pub gamma_groups: Vec<GroupScore>,
    /// IoU of each category: confusion within one does not count.
    pub categories: Vec<GroupScore>,
    /// Mean over the categories that occur, in 0..=1.
    pub category_miou: f64,
    /// Labelled pixels.
    pub pixels: i64,
}

/// The mean of those that are there.
fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, n) = values.flatten().fold((0.0, 0), |(sum, n), v| (sum + v, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

impl Scores {
    /// Reads `confusion`; `gamma` is the exponent of each class in the loss, where known.
    pub fn new(confusion: &Confusion, classes: &Classes, gamma: Option<&[u32]>) -> Self {
        let iou = confusion.iou();
        let names: Vec<String> = classes.names().into_iter().map(str::to_owned).collect();
        let pixels = |c: usize| (0..=confusion.classes()).map(|p| confusion.count(c, p)).sum();
        let members = |belongs: &dyn Fn(usize) -> bool| -> Vec<String> {
            names.iter().enumerate().filter(|(i, _)| belongs(*i)).map(|(_, n)| n.clone()).collect()
        };
        let gamma = gamma.unwrap_or_default();
        let mut orders = gamma.to_vec();
        orders.sort_unstable();
        orders.dedup();
        let gamma_groups = orders
            .into_iter()
            .map(|g| GroupScore {
                name: format!("γ = {g}"),
                classes: members(&|i| gamma[i] == g),
                iou: mean((0..gamma.len()).filter(|&i| gamma[i] == g).map(|i| iou[i])),
            })
            .collect();
        let group = classes.category_of();
        let of_categories = confusion.grouped(&group, classes.categories().len()).iou();
        let categories: Vec<GroupScore> = classes
            .categories()
            .iter()
            .zip(&of_categories)
            .enumerate()
            .map(|(i, (name, iou))| GroupScore {
                name: (*name).to_owned(),
                classes: members(&|c| group[c] == i),
                iou: *iou,
            })
            .collect();
        Self {
            miou: mean(iou.iter().copied()).unwrap_or(0.0),
            pixel_accuracy: confusion.pixel_accuracy(),
            classes: names
                .iter()
                .enumerate()
                .map(|(i, name)| ClassScore { name: name.clone(), iou: iou[i], pixels: pixels(i) })
                .collect(),
            gamma_groups,
            category_miou: mean(of_categories.into_iter()).unwrap_or(0.0),
            categories,
            pixels: confusion.total(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_leave_absent_classes_out() {
        let classes = Classes::camvid();
        let mut c = Confusion::new(11);
        // Sky hit twice and missed once as Building; Building hit once; a Car taken for a Pedestrian.
        c.add(&[0, 0, 0, 1, 8], &[0, 0, 1, 1, 9]).unwrap();
        let gamma = [1, 1, 0, 2, 1, 1, 0, 0, 1, 0, 0];
        let s = Scores::new(&c, &classes, Some(&gamma));
        let (sky, building) = (2.0 / 3.0, 0.5);
        assert_eq!(s.classes[0].iou, Some(sky));
        assert_eq!(s.classes[2].iou, None);
        assert_eq!(s.classes[9].iou, Some(0.0), "predicted though it never occurs");
        assert!((s.miou - (sky + building) / 4.0).abs() < 1e-12);
        assert_eq!(s.pixel_accuracy, Some(0.6));
        let group = |i: usize| (s.gamma_groups[i].name.as_str(), s.gamma_groups[i].iou);
        assert_eq!(group(0), ("γ = 0", Some(0.0)));
        assert!((group(1).1.unwrap() - (sky + building) / 3.0).abs() < 1e-12);
        assert_eq!(group(2), ("γ = 2", None));
        assert_eq!(s.gamma_groups[2].classes, ["Road"]);
        assert!((s.category_miou - (sky + building) / 4.0).abs() < 1e-12);
        assert!(Scores::new(&c, &classes, None).gamma_groups.is_empty());
    }
}

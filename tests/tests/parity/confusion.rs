//! Class and category IoU beside the public Cityscapes scripts, from label ids.

use datasets::{CITYSCAPES_LABELS, Classes};
use dsnet::metrics::{Confusion, Scores};
use tensor::Tensor;

use crate::fixture::{Case, Failures, Fixture, Within};
use crate::run::Outcome;

/// Train id of each label id of a picture; 255 for those that scoring leaves out.
fn train_ids(case: &Case, name: &str) -> Outcome<Vec<u8>> {
    let ids = case.tensor(name).to_vec::<u8>()?;
    let train = |id: u8| {
        let label = CITYSCAPES_LABELS.iter().find(|l| l.id == i16::from(id));
        label.map(|l| l.train_id as u8).ok_or_else(|| format!("no label has the id {id}").into())
    };
    ids.into_iter().map(train).collect()
}

fn vector(scores: impl Iterator<Item = Option<f64>>) -> Tensor {
    let values: Vec<f64> = scores.map(|s| s.unwrap_or(f64::NAN)).collect();
    Tensor::from_slice(&values, &[values.len()]).unwrap()
}

fn compare(failures: &mut Failures, case: &Case) -> Outcome<()> {
    let classes = Classes::cityscapes();
    let (truth, predicted) = (train_ids(case, "truth")?, train_ids(case, "pred")?);
    let mut confusion = Confusion::new(classes.len());
    // Image by image, as evaluation does.
    let pixels = case.tensor("truth").dims()[1..].iter().product();
    for (t, p) in truth.chunks(pixels).zip(predicted.chunks(pixels)) {
        confusion.add(t, p)?;
    }
    let scores = Scores::new(&confusion, &classes, None);
    let exact = Within::Each(1e-15);
    failures.compare(case, "class_iou", &vector(scores.classes.iter().map(|c| c.iou)), exact);
    failures.compare(case, "category_iou", &vector(scores.categories.iter().map(|c| c.iou)), exact);
    if case.name == "all_void" {
        // Their mean of nothing is NaN, ours 0: a number that JSON can hold.
        if (scores.miou, scores.category_miou) != (0.0, 0.0) {
            failures.add(format!("{}: means {} and {}", case.path(), scores.miou, scores.category_miou));
        }
        return Ok(());
    }
    failures.compare(case, "mean_class_iou", &Tensor::scalar(scores.miou), exact);
    failures.compare(case, "mean_category_iou", &Tensor::scalar(scores.category_miou), exact);

    // The rows and columns of the stored matrix that belong to classes are our matrix.
    let matrix = case.tensor("matrix").to_vec::<i64>()?;
    let ids = case.counts("classes");
    for (t, &row) in ids.iter().enumerate() {
        for (p, &column) in ids.iter().enumerate() {
            if confusion.count(t, p) != matrix[row * 34 + column] {
                failures.add(format!("{}: count of id {row} predicted as {column} differs", case.path()));
            }
        }
    }
    Ok(())
}

#[test]
fn confusion() {
    let mut failures = Failures::default();
    for case in Fixture::open("confusion").cases() {
        if let Err(e) = compare(&mut failures, &case) {
            failures.add(format!("{}: {e}", case.path()));
        }
    }
    failures.finish();
}

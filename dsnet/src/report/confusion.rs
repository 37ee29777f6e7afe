//! The confusion matrix: of each true class, the share of pixels that went to each predicted one.

use super::chart::{Matrix, Svg};
use crate::{metrics::Confusion, ui::thousands};

/// The matrix of these classes, rows summing to 1.
pub fn confusion_matrix(confusion: &Confusion, names: &[String]) -> Svg {
    let classes = confusion.classes().min(names.len());
    // Pixels of no predicted class are rare: their column shows only where there are some.
    let none = (0..classes).any(|t| confusion.count(t, confusion.classes()) > 0);
    let columns = classes + usize::from(none);
    let column = |p: usize| if p == classes { confusion.classes() } else { p };
    let row_of = |t: usize| -> Vec<i64> { (0..columns).map(|p| confusion.count(t, column(p))).collect() };
    let mut rows = Vec::new();
    let mut tips = Vec::new();
    for truth in 0..classes {
        let counts = row_of(truth);
        let total: i64 = counts.iter().sum();
        let share = |n: i64| n as f64 / total as f64;
        let tip = |(p, &n): (usize, &i64)| {
            let found = names[..classes].get(p).map_or("no class", String::as_str);
            let percent = 100.0 * share(n);
            let pixels = thousands(n.max(0) as u64);
            format!("{} taken for {found}\n{percent:.2} % of its pixels ({pixels})", names[truth])
                .replace(&format!("{found} taken for {found}"), &format!("{found} found"))
        };
        tips.push(counts.iter().enumerate().map(tip).collect());
        rows.push((total > 0).then(|| counts.iter().map(|&n| share(n)).collect()));
    }
    let names = names[..classes].to_vec();
    let label = "Confusion matrix: rows are true classes, columns predicted ones".into();
    Matrix { label, names, extra: none.then(|| "none".into()), rows, tips }.draw()
}

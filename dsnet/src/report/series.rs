//! Long records as few points: neighbouring steps are put together, with their mean and their extremes.

use super::chart::Series;

/// Points that a chart of this size can show.
const POINTS: usize = 240;

/// `values` (x, y) in order of x as a line through at most [`POINTS`] means, with the band of the extremes where several
/// values share a point. A point stands at the last x that it holds.
pub(super) fn condensed(name: &str, color: usize, values: &[(f64, f64)]) -> Series {
    let mut series = Series::new(name, color, Vec::new());
    for values in values.chunks(values.len().div_ceil(POINTS).max(1)) {
        let mean = values.iter().map(|v| v.1).sum::<f64>() / values.len() as f64;
        series.points.push((values[values.len() - 1].0, mean));
        if values.len() > 1 {
            let extremes = |(lo, hi): (f64, f64), v: &(f64, f64)| (lo.min(v.1), hi.max(v.1));
            series.band.push(values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), extremes));
        } else {
            series.band.push((mean, mean));
        }
    }
    if !is_condensed(values.len()) {
        series.band.clear();
    }
    series
}

/// Whether so many values are put together.
pub(super) fn is_condensed(count: usize) -> bool {
    count > POINTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_stay_and_many_are_put_together() {
        let values: Vec<(f64, f64)> = (1..=500).map(|i| (f64::from(i), f64::from(i % 3))).collect();
        let few = condensed("", 0, &values[..3]);
        assert_eq!((few.points.len(), few.band.len()), (3, 0));
        let many = condensed("", 0, &values);
        assert_eq!(many.points.len(), 167);
        assert_eq!((many.points[0], many.band[0]), ((3.0, 1.0), (0.0, 2.0)));
        assert_eq!(many.points[166].0, 500.0);
        assert!(condensed("", 0, &[]).points.is_empty());
    }
}

//! How a convolution is cut into tiles.
//!
//! On a map of 45×80 pixels a dilation of 9 leaves phases of 5×9: two tiles of four results along the first axis would do the
//! work of eight. So each axis is cut into tiles of one side, or into fours and what fits best behind them, and the cheapest
//! of all pairs is taken: the parts of a tiling are the products of the sides of both axes.

use super::Form;
use crate::cpu::conv::ConvGeometry;
use crate::cpu::simd::{Isa, Scalar};

/// Tiles of one form: all pairs of these rows and columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub form: Form,
    /// First row of results of each tile, phase by phase.
    pub rows: Vec<usize>,
    /// First column, likewise.
    pub columns: Vec<usize>,
}

/// How an axis is cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Into tiles of one side.
    Even(usize),
    /// Into fours, and at the end of each phase what leaves the least over the edge.
    Mixed,
}

const CUTS: [Cut; 4] = [Cut::Even(2), Cut::Even(3), Cut::Even(4), Cut::Mixed];

impl Cut {
    /// The tiles' sides, each with where its tiles start along an axis of `n` pixels, phase by phase.
    fn starts(self, n: usize, dilation: usize) -> Vec<(usize, Vec<usize>)> {
        let mut starts: [Vec<usize>; 3] = Default::default();
        for phase in 0..dilation.min(n) {
            let (mut at, mut left) = (phase, (n - phase).div_ceil(dilation));
            while left > 0 {
                let side = self.next(left);
                starts[side - 2].push(at);
                at += side * dilation;
                left = left.saturating_sub(side);
            }
        }
        (2..).zip(starts).filter(|(_, starts)| !starts.is_empty()).collect()
    }

    /// The side of the next tile where so many results are left.
    fn next(self, left: usize) -> usize {
        match (self, left) {
            (Self::Even(side), _) => side,
            // Five are three and two: nine values where four and one take ten.
            (Self::Mixed, 3 | 5) => 3,
            (Self::Mixed, 1 | 2) => 2,
            (Self::Mixed, _) => 4,
        }
    }
}

/// The tiling with which a convolution is fastest; none where the direct sum is, or where it is no 3×3 convolution of stride 1
/// that keeps the size. `uniform` allows one form alone: transforming weights for more of them pays only if it is done once.
/// The direct sum does `direct` times the products of the tiles in the same time.
pub(crate) fn best<T: Scalar>(g: &ConvGeometry, uniform: bool, direct: f64) -> Option<Vec<Part>> {
    if !fits::<T>(g) {
        return None;
    }
    let tilings = CUTS.iter().flat_map(|&rows| CUTS.iter().map(move |&columns| tiling(g, rows, columns)));
    let tilings = tilings.filter(|parts| !uniform || parts.len() == 1);
    let cheapest = tilings.map(|parts| (cost(g, &parts), parts)).min_by(|a, b| a.0.total_cmp(&b.0));
    cheapest.filter(|(cost, _)| cost * direct < direct_cost(g)).map(|(_, parts)| parts)
}

/// All tiles of these sides, whether they pay or not.
pub(crate) fn even(g: &ConvGeometry, [rows, columns]: [usize; 2]) -> Vec<Part> {
    tiling(g, Cut::Even(rows), Cut::Even(columns))
}

/// [`even`] with mixed sides along both axes.
#[cfg(test)]
pub(crate) fn mixed(g: &ConvGeometry) -> Vec<Part> {
    tiling(g, Cut::Mixed, Cut::Mixed)
}

fn tiling(g: &ConvGeometry, rows: Cut, columns: Cut) -> Vec<Part> {
    let (rows, columns) = (rows.starts(g.out_h, g.dilation[0]), columns.starts(g.out_w, g.dilation[1]));
    let part = |(m, rows): &(usize, Vec<usize>), (n, columns): &(usize, Vec<usize>)| Part {
        form: Form { sides: [*m, *n] },
        rows: rows.clone(),
        columns: columns.clone(),
    };
    rows.iter().flat_map(|rows| columns.iter().map(move |columns| part(rows, columns))).collect()
}

/// Whether there are tiles for it.
fn fits<T: Scalar>(g: &ConvGeometry) -> bool {
    let kernels = T::kernels(Isa::current());
    let lanes = kernels.lanes;
    let [d, across] = g.dilation;
    kernels.winograd.is_some()
        && g.groups == 1
        && g.kernel == [3, 3]
        && g.stride == [1, 1]
        && d == across
        && g.padding == [d, d]
        && (g.in_h, g.in_w) == (g.out_h, g.out_w)
        && g.c_in.is_multiple_of(lanes)
        && g.c_out.is_multiple_of(lanes)
        && g.c_in.min(g.c_out) >= 32
}

/// Relative time of the direct sum, which leaves out taps beyond the edge.
fn direct_cost(g: &ConvGeometry) -> f64 {
    let taps = |n: usize| n + 2 * n.saturating_sub(g.dilation[0]);
    0.95 * (taps(g.in_h) * taps(g.in_w)) as f64
}

/// Relative time of tiles. Those that hang over the edge cost as much as others; transforms take time in proportion to the
/// values transformed, not to the products.
fn cost(g: &ConvGeometry, parts: &[Part]) -> f64 {
    let transforms = 1.0 / g.c_in as f64 + 1.0 / g.c_out as f64;
    let part = |part: &Part| {
        // Each row of tiles reads all weights again, which takes as long as about one tile.
        let products = part.form.planes() * part.rows.len() * (part.columns.len() + 1);
        // 8 for tiles of two by two, 14 for four by four.
        let share = 2.0 + 1.5 * part.form.sides.iter().sum::<usize>() as f64;
        products as f64 * (1.0 + share * transforms)
    };
    parts.iter().map(part).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(channels: usize, d: usize) -> ConvGeometry {
        let g = ConvGeometry::new(1, [45, 80], channels, channels, [3, 3]).with_dilation([d, d]);
        ConvGeometry { padding: [d, d], out_h: 45, out_w: 80, ..g }
    }

    #[test]
    fn every_result_is_in_one_tile() {
        for (n, d) in [(1, 1), (2, 5), (7, 1), (9, 2), (45, 9), (80, 17), (45, 60)] {
            for cut in CUTS {
                let mut count = vec![0; n];
                for (side, starts) in cut.starts(n, d) {
                    for start in starts {
                        (start..n).step_by(d).take(side).for_each(|at| count[at] += 1);
                    }
                }
                assert_eq!(count, vec![1; n], "{cut:?} of {n} by {d}");
            }
        }
    }

    #[test]
    fn tiles_are_taken_where_they_save_products() {
        let sides = |d| -> Option<Vec<[usize; 2]>> {
            Some(best::<f32>(&layer(64, d), false, 1.0)?.iter().map(|part| part.form.sides).collect())
        };
        assert!(sides(1).unwrap().contains(&[4, 4]) && sides(2).unwrap().contains(&[4, 4]));
        assert_eq!(sides(5).unwrap(), [[3, 4]], "phases of 9×16");
        assert_eq!(sides(9).unwrap(), [[2, 3], [3, 3]], "phases of 5×9");
        assert_eq!(best::<f32>(&layer(64, 9), true, 1.0).unwrap().len(), 1);
        assert_eq!(best::<f32>(&layer(8, 1), false, 1.0), None);
        assert_eq!(best::<f64>(&layer(64, 1), false, 1.0), None);
        assert_eq!(best::<f32>(&layer(64, 17), true, 2.0), None, "most tiles hang over the edge");
    }
}

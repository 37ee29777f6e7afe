//! The loops of the CPU kernels: rows of a chunk, strip of columns by strip.
//!
//! What a column is normalised with, and its sums, stay in registers while a strip runs down its rows; from memory come the
//! operands alone. A column's sum goes by rows in order, whatever the strip's width.

use crate::{
    Element,
    cpu::{dispatch::vectorized, math::select, stored::Stored},
};

/// What a value is normalised with, for each column of a row. Forward and backward build it by the same
/// arithmetic, so that the backward pass finds the very mask that the forward pass applied.
pub(super) struct Coefficients<T> {
    pub(super) mean: Vec<T>,
    /// `γ·(var + eps)^−½`.
    pub(super) scale: Vec<T>,
    pub(super) beta: Vec<T>,
    /// Zero with a ReLU; NaN, below which nothing is, without.
    pub(super) floor: T,
}

/// Rows that are summed on their own: sums of sums round off less than one long sum.
const BLOCK: usize = 16;

/// `W` columns of a row from `at` on.
#[inline(always)]
fn strip<T, const W: usize>(row: &[T], at: usize) -> &[T; W] {
    &row[at..].as_chunks().0[0]
}

/// [`strip`], to be written.
#[inline(always)]
fn strip_mut<T, const W: usize>(row: &mut [T], at: usize) -> &mut [T; W] {
    &mut row[at..].as_chunks_mut().0[0]
}

/// Runs the body for each strip of a row's columns: `at` is its first column, `W` its width, as wide as is left.
macro_rules! strips {
    ($columns:expr, $at:ident, $w:ident => $body:expr) => {{
        let columns = $columns;
        let mut $at = 0;
        strips!(64, columns, $at, $w => $body);
        strips!(16, columns, $at, $w => $body);
        strips!(1, columns, $at, $w => $body);
    }};
    ($width:literal, $columns:ident, $at:ident, $w:ident => $body:expr) => {{
        const $w: usize = $width;
        while $at + $w <= $columns {
            $body;
            $at += $w;
        }
    }};
}

/// Whole rows, and what is left of one.
#[inline(always)]
fn whole<T>(x: &[T], row: usize) -> [&[T]; 2] {
    x.split_at(x.len() - x.len() % row).into()
}

/// [`whole`], to be written.
#[inline(always)]
fn whole_mut<T>(x: &mut [T], row: usize) -> [&mut [T]; 2] {
    x.split_at_mut(x.len() - x.len() % row).into()
}

vectorized! {
    /// `sum[j] += Σ row[j]`.
    pub(super) fn sum_rows<S: Stored>(x: &[S], sum: &mut [S::Real]) {
        for row in x.chunks(sum.len()) {
            for (s, &v) in sum.iter_mut().zip(row) {
                *s += v.load();
            }
        }
    }

    /// `sum[j] += Σ d`, `square[j] += Σ d²` with `d = row[j] − mean[j]`.
    pub(super) fn sum_square_rows<S: Stored>(
        x: &[S],
        mean: &[S::Real],
        sum: &mut [S::Real],
        square: &mut [S::Real],
    ) {
        for x in whole(x, mean.len()) {
            let row = x.len().min(mean.len());
            strips!(row, at, W => {
                let mean = *strip::<_, W>(mean, at);
                let [sum, square] = [&mut *sum, square].map(|v| strip_mut::<_, W>(v, at));
                let (mut all, mut all_square) = (*sum, *square);
                for rows in x.chunks(BLOCK * row) {
                    let (mut some, mut some_square) = ([S::Real::ZERO; W], [S::Real::ZERO; W]);
                    for x in rows.chunks_exact(row) {
                        let x = strip::<_, W>(x, at);
                        for j in 0..W {
                            let d = x[j].load() - mean[j];
                            some[j] += d;
                            some_square[j] += d * d;
                        }
                    }
                    for j in 0..W {
                        all[j] += some[j];
                        all_square[j] += some_square[j];
                    }
                }
                (*sum, *square) = (all, all_square);
            });
        }
    }

    /// `y = (x − mean)·scale + β`, not below `floor`.
    pub(super) fn apply_rows<S: Stored>(x: &[S], y: &mut [S], k: &Coefficients<S::Real>) {
        let row = k.mean.len();
        for (x, y) in whole(x, row).into_iter().zip(whole_mut(y, row)) {
            let row = x.len().min(row);
            strips!(row, at, W => {
                let [mean, scale, beta] = [&k.mean, &k.scale, &k.beta].map(|v| *strip::<_, W>(v, at));
                for (x, y) in x.chunks_exact(row).zip(y.chunks_exact_mut(row)) {
                    let (x, y) = (strip::<_, W>(x, at), strip_mut::<_, W>(y, at));
                    for j in 0..W {
                        let v = (x[j].load() - mean[j]) * scale[j] + beta[j];
                        y[j] = S::store(select(v < k.floor, k.floor, v));
                    }
                }
            });
        }
    }

    /// `sum[j] += Σ g'`, `product[j] += Σ g'·(x − mean)`.
    pub(super) fn reduce_rows<S: Stored>(
        x: &[S],
        g: &[S],
        k: &Coefficients<S::Real>,
        sum: &mut [S::Real],
        product: &mut [S::Real],
    ) {
        let row = k.mean.len();
        for (x, g) in whole(x, row).into_iter().zip(whole(g, row)) {
            let row = x.len().min(row);
            strips!(row, at, W => {
                let [mean, scale, beta] = [&k.mean, &k.scale, &k.beta].map(|v| *strip::<_, W>(v, at));
                let [sum, product] = [&mut *sum, product].map(|v| strip_mut::<_, W>(v, at));
                let (mut all, mut all_products) = (*sum, *product);
                for (x, g) in x.chunks_exact(row).zip(g.chunks_exact(row)) {
                    let (x, g) = (strip::<_, W>(x, at), strip::<_, W>(g, at));
                    for j in 0..W {
                        let d = x[j].load() - mean[j];
                        let g = select(d * scale[j] + beta[j] <= k.floor, S::Real::ZERO, g[j].load());
                        all[j] += g;
                        all_products[j] += g * d;
                    }
                }
                (*sum, *product) = (all, all_products);
            });
        }
    }

    /// `dx = scale·g' + (slope·(x − mean) + offset)`.
    pub(super) fn input_rows<S: Stored>(
        x: &[S],
        g: &[S],
        y: &mut [S],
        k: &Coefficients<S::Real>,
        slope: &[S::Real],
        offset: &[S::Real],
    ) {
        let row = k.mean.len();
        for ((x, g), y) in whole(x, row).into_iter().zip(whole(g, row)).zip(whole_mut(y, row)) {
            let row = x.len().min(row);
            strips!(row, at, W => {
                let [mean, scale, beta] = [&k.mean, &k.scale, &k.beta].map(|v| *strip::<_, W>(v, at));
                let (slope, offset) = (*strip::<_, W>(slope, at), *strip::<_, W>(offset, at));
                for ((x, g), y) in x.chunks_exact(row).zip(g.chunks_exact(row)).zip(y.chunks_exact_mut(row)) {
                    let (x, g, y) = (strip::<_, W>(x, at), strip::<_, W>(g, at), strip_mut::<_, W>(y, at));
                    for j in 0..W {
                        let d = x[j].load() - mean[j];
                        let g = select(d * scale[j] + beta[j] <= k.floor, S::Real::ZERO, g[j].load());
                        y[j] = S::store(scale[j] * g + (slope[j] * d + offset[j]));
                    }
                }
            });
        }
    }
}

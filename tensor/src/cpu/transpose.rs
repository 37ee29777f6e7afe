//! Copies between layouts whose adjacent axes differ (NCHW ↔ NHWC): in square tiles, so that cache lines are
//! used whole on both sides.

use rayon::prelude::*;

use super::strided::{CHUNK, Walk};
use crate::Element;

/// Side of a micro-tile that is moved through registers.
const MICRO: usize = 8;
/// Side of the tile that one parallel task moves.
const TILE: usize = 256;
/// Lines far apart that are read or written side by side: few enough for the processor to fetch ahead.
const STREAMS: usize = 16;

/// The axis of the walk along which the operand is adjacent, where that is not the last (along which the
/// result is).
pub(crate) fn crossing(walk: &Walk<1>) -> Option<usize> {
    let (last, outer) = walk.strides[0].split_last()?;
    let axis = outer.iter().position(|&s| s == 1);
    axis.filter(|_| *last > 1)
}

/// A pointer to the result that tasks share; each writes elements of its own.
struct Shared<T>(*mut T);

// SAFETY: tasks write disjoint elements, see `run`.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The pointer to element `i`.
    ///
    /// # Safety
    /// `i` must lie within the result.
    unsafe fn at(&self, i: usize) -> *mut T {
        // SAFETY: passed on to the caller.
        unsafe { self.0.add(i) }
    }
}

/// Copies the walked operand `x` to `out`, where `x` is adjacent along axis `a` of the walk (found by
/// [`crossing`]).
pub(crate) fn run<T: Element>(walk: &Walk<1>, a: usize, x: &[T], out: &mut [T]) {
    if out.is_empty() {
        return;
    }
    assert_eq!(out.len(), walk.dims.iter().product::<usize>(), "the walk covers the result");
    let strides = &walk.strides[0];
    let last = walk.dims.len() - 1;
    let (rows, cols) = (walk.dims[a], walk.dims[last]);
    let (row_tiles, col_tiles) = (rows.div_ceil(TILE), cols.div_ceil(TILE));
    let dense = |axis: usize| walk.dims[axis + 1..].iter().product::<usize>();
    let (x_step, out_step) = (strides[last], dense(a));
    let shared = Shared(out.as_mut_ptr());
    let task = |task: usize| {
        let (row0, col0) = (task % row_tiles * TILE, task / row_tiles % col_tiles * TILE);
        let mut rest = task / (row_tiles * col_tiles);
        let (mut from, mut to) = (row0 + col0 * x_step, row0 * out_step + col0);
        for axis in (0..last).rev().filter(|&axis| axis != a) {
            let i = rest % walk.dims[axis];
            rest /= walk.dims[axis];
            from += i * strides[axis];
            to += i * dense(axis);
        }
        let (rows, cols) = (TILE.min(rows - row0), TILE.min(cols - col0));
        // SAFETY: the tile lies within the walk, whose elements are those of `out`; tiles are disjoint.
        unsafe { tile(&x[from..], x_step, &shared, to, out_step, rows, cols) }
    };
    let tasks = out.len() / (rows * cols) * row_tiles * col_tiles;
    if out.len() <= CHUNK {
        (0..tasks).for_each(task);
    } else {
        let at_once = (CHUNK / (rows.min(TILE) * cols.min(TILE))).max(1);
        (0..tasks).into_par_iter().with_min_len(at_once).for_each(task);
    }
}

/// Moves `out[to + i·out_step + j] = x[i + j·x_step]` for `i < rows`, `j < cols`.
///
/// # Safety
/// Those elements of `out` must exist and be written by nobody else.
unsafe fn tile<T: Element>(
    x: &[T],
    x_step: usize,
    out: &Shared<T>,
    to: usize,
    out_step: usize,
    rows: usize,
    cols: usize,
) {
    // The side whose lines lie far apart is visited in few, long streams; a cache line of the other side is
    // finished before the next is begun.
    let (rows_at_once, cols_at_once) = if x_step > out_step { (rows, STREAMS) } else { (STREAMS, cols) };
    for (i0, j0) in blocks(rows, rows_at_once, cols, cols_at_once) {
        let (rows, cols) = (rows.min(i0 + rows_at_once), cols.min(j0 + cols_at_once));
        for i in (i0..rows).step_by(MICRO) {
            for j in (j0..cols).step_by(MICRO) {
                let (m, n) = (MICRO.min(rows - i), MICRO.min(cols - j));
                let x = &x[i + j * x_step..];
                if m == MICRO && n == MICRO {
                    assert!(x.len() >= (MICRO - 1) * x_step + MICRO);
                    // SAFETY: MICRO rows of MICRO elements lie within `x`, as asserted, and within the caller's tile.
                    unsafe { micro(x.as_ptr(), x_step, out.at(to + i * out_step + j), out_step) };
                    continue;
                }
                for r in 0..m {
                    for k in 0..n {
                        // SAFETY: element (i + r, j + k) of the caller's tile.
                        unsafe { *out.at(to + (i + r) * out_step + j + k) = x[r + k * x_step] };
                    }
                }
            }
        }
    }
}

/// The corners of blocks that cover `rows` × `cols`.
fn blocks(rows: usize, high: usize, cols: usize, wide: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).step_by(high).flat_map(move |i| (0..cols).step_by(wide).map(move |j| (i, j)))
}

/// Moves a micro-tile: `out[i·out_step + j] = x[i + j·x_step]`.
///
/// # Safety
/// Both must have all elements of the micro-tile, and nobody else may write those of `out`.
#[inline(always)]
unsafe fn micro<T: Element>(x: *const T, x_step: usize, out: *mut T, out_step: usize) {
    #[cfg(target_arch = "x86_64")]
    if size_of::<T>() == size_of::<f32>() {
        for i in (0..MICRO).step_by(4) {
            for j in (0..MICRO).step_by(4) {
                // SAFETY: a quarter of the micro-tile; elements are four bytes.
                unsafe {
                    let (x, out) = (x.add(i + j * x_step), out.add(i * out_step + j));
                    four(x.cast(), x_step, out.cast(), out_step);
                }
            }
        }
        return;
    }
    for i in 0..MICRO {
        for j in 0..MICRO {
            // SAFETY: an element of the micro-tile.
            unsafe { *out.add(i * out_step + j) = *x.add(i + j * x_step) };
        }
    }
}

/// Moves 4 × 4 elements of four bytes through vector registers (SSE, which every x86-64 processor has).
///
/// # Safety
/// As for [`micro`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn four(x: *const f32, x_step: usize, out: *mut f32, out_step: usize) {
    use std::arch::x86_64::{_mm_loadu_ps, _mm_movehl_ps, _mm_movelh_ps, _mm_storeu_ps};
    use std::arch::x86_64::{_mm_unpackhi_ps, _mm_unpacklo_ps};
    // SAFETY: promised by the caller.
    unsafe {
        let [a, b, c, d] = [0, 1, 2, 3].map(|j| _mm_loadu_ps(x.add(j * x_step)));
        let (ab_low, ab_high) = (_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        _mm_storeu_ps(out, _mm_movelh_ps(ab_low, cd_low));
        _mm_storeu_ps(out.add(out_step), _mm_movehl_ps(cd_low, ab_low));
        _mm_storeu_ps(out.add(2 * out_step), _mm_movelh_ps(ab_high, cd_high));
        _mm_storeu_ps(out.add(3 * out_step), _mm_movehl_ps(cd_high, ab_high));
    }
}

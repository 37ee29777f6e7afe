//! Copies between layouts whose adjacent axes differ (NCHW ↔ NHWC): in square tiles, so that cache lines are
//! used whole on both sides.

use rayon::prelude::*;

use super::strided::{CHUNK, Walk};
use crate::Element;

/// Side of a micro-tile that is moved through registers.
const MICRO: usize = 8;
/// Side of the tile that one parallel task moves.
const TILE: usize = 256;

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
    for i in (0..rows).step_by(MICRO) {
        for j in (0..cols).step_by(MICRO) {
            let (m, n) = (MICRO.min(rows - i), MICRO.min(cols - j));
            if m == MICRO && n == MICRO {
                let mut block = [[T::ZERO; MICRO]; MICRO];
                for (k, row) in block.iter_mut().enumerate() {
                    let start = i + (j + k) * x_step;
                    row.copy_from_slice(&x[start..start + MICRO]);
                }
                for r in 0..MICRO {
                    let line: [T; MICRO] = std::array::from_fn(|k| block[k][r]);
                    // SAFETY: elements (i + r, j..j + MICRO) of the caller's tile, adjacent in `out`.
                    unsafe { out.at(to + (i + r) * out_step + j).cast::<[T; MICRO]>().write_unaligned(line) };
                }
                continue;
            }
            for r in 0..m {
                for k in 0..n {
                    // SAFETY: element (i + r, j + k) of the caller's tile.
                    unsafe { *out.at(to + (i + r) * out_step + j + k) = x[i + r + (j + k) * x_step] };
                }
            }
        }
    }
}

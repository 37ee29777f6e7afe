//! Matrix product `C = A · B` for any strides, on the register tiles of convolution.
//!
//! B is packed once, in panels of a few vectors of columns; rows of A are read where they lie if their elements are
//! neighbours, and copied a block at a time otherwise. Sums run over the inner dimension in a fixed order, so results do not
//! depend on the number of threads.

use super::conv::Shared;
use super::simd::buffer::with_scratch;
use super::simd::table::{Block, Kernels, even_split};
use super::simd::{Isa, Scalar, Tap, Tile};
use rayon::prelude::*;
use smallvec::SmallVec;

#[cfg(test)]
mod tests;

/// Work worth a task of its own, in floating-point operations.
pub(crate) const TASK_FLOPS: usize = 2_000_000;
/// Inner dimension handled at once: a panel of B of this depth stays in the first-level cache.
const DEPTH: usize = 256;
/// Rows of A handled at once: with [`DEPTH`] they stay in the second-level cache.
const ROWS: usize = 96;

/// A matrix in memory: element (row, column) at `data[row · row_step + column · column_step]`.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'a, T> {
    /// Memory from the first element on.
    pub data: &'a [T],
    /// Elements between rows.
    pub row_step: usize,
    /// Elements between columns.
    pub column_step: usize,
}

impl<'a, T> MatRef<'a, T> {
    /// A contiguous row-major matrix of `columns` columns.
    pub fn row_major(data: &'a [T], columns: usize) -> Self {
        Self { data, row_step: columns, column_step: 1 }
    }

    /// The transpose: the same memory with the steps exchanged.
    pub fn transposed(self) -> Self {
        Self { data: self.data, row_step: self.column_step, column_step: self.row_step }
    }

    fn check(&self, rows: usize, columns: usize, name: &str) {
        if rows > 0 && columns > 0 {
            let last = (rows - 1) * self.row_step + (columns - 1) * self.column_step;
            assert!(
                last < self.data.len(),
                "matrix {name} of {rows}×{columns} reaches past its {} numbers",
                self.data.len()
            );
        }
    }
}

/// `c = a · b`: `a` is `m × k`, `b` `k × n`, `c` row-major `m × n` and overwritten.
///
/// # Panics
/// If a matrix does not fit its slice.
pub fn gemm<T: Scalar>(m: usize, k: usize, n: usize, a: MatRef<'_, T>, b: MatRef<'_, T>, c: &mut [T]) {
    a.check(m, k, "a");
    b.check(k, n, "b");
    assert_eq!(c.len(), m * n, "result of {m}×{n}");
    if m * n == 0 {
        return;
    }
    if k == 0 {
        return c.fill(T::zero());
    }
    let kernels = T::kernels(Isa::current());
    let blocks: SmallVec<[Block; 8]> = kernels.blocks(n).collect();
    let padded = n.next_multiple_of(kernels.lanes);
    with_scratch(k * padded, |packed| {
        pack(kernels, &blocks, k, b, packed);
        Product { kernels, blocks: &blocks, m, k, n, a, packed }.run(c);
    });
}

/// Packs B as `[block][row][lanes of the block]`, unused lanes zero.
fn pack<T: Scalar>(kernels: &Kernels<T>, blocks: &[Block], k: usize, b: MatRef<'_, T>, packed: &mut [T]) {
    let lanes = kernels.lanes;
    let mut rest = packed;
    let mut parts = Vec::with_capacity(blocks.len());
    for block in blocks {
        let (part, after) = rest.split_at_mut(k * block.nv * lanes);
        parts.push((block, part));
        rest = after;
    }
    parts.par_iter_mut().with_min_len((16384 / (k * lanes)).max(1)).for_each(|(block, part)| {
        let used = (block.nv - 1) * lanes + block.last;
        for (row, to) in part.chunks_exact_mut(block.nv * lanes).enumerate() {
            let from = row * b.row_step + block.start * b.column_step;
            if b.column_step == 1 {
                to[..used].copy_from_slice(&b.data[from..from + used]);
            } else {
                for (lane, to) in to[..used].iter_mut().enumerate() {
                    *to = b.data[from + lane * b.column_step];
                }
            }
            to[used..].fill(T::zero());
        }
    });
}

struct Product<'a, T: Scalar> {
    kernels: &'a Kernels<T>,
    blocks: &'a [Block],
    m: usize,
    k: usize,
    n: usize,
    a: MatRef<'a, T>,
    packed: &'a [T],
}

impl<T: Scalar> Product<'_, T> {
    fn run(&self, c: &mut [T]) {
        // Tasks: bands of rows, and runs of column blocks where a band alone is too much work.
        let rows: SmallVec<[(usize, usize); 32]> = even_split(self.m, ROWS).collect();
        let band_flops = 2 * rows[0].1.max(1) * self.k * self.n;
        let runs = (band_flops / TASK_FLOPS).clamp(1, self.blocks.len());
        let (tasks, c) = (rows.len() * runs, Shared(c.as_mut_ptr()));
        let min = (TASK_FLOPS / (band_flops / runs).max(1)).max(1);
        (0..tasks).into_par_iter().with_min_len(min).for_each(|task| {
            let (band, run) = (rows[task / runs], task % runs);
            let blocks = self.blocks.len();
            self.band(band, &self.blocks[blocks * run / runs..blocks * (run + 1) / runs], c);
        });
    }

    /// Rows `first..first + rows` of some column blocks of the result.
    fn band(&self, (first, rows): (usize, usize), blocks: &[Block], c: Shared<T>) {
        let copies = if self.a.column_step == 1 { 0 } else { rows * DEPTH.min(self.k) };
        with_scratch(copies, |copy| {
            for (inner, depth) in even_split(self.k, DEPTH) {
                let from = &self.a.data[first * self.a.row_step + inner * self.a.column_step..];
                let (x, step) = if copies == 0 {
                    (from.as_ptr(), self.a.row_step)
                } else {
                    for (row, to) in copy.chunks_exact_mut(depth).take(rows).enumerate() {
                        for (i, to) in to.iter_mut().enumerate() {
                            *to = from[row * self.a.row_step + i * self.a.column_step];
                        }
                    }
                    (copy.as_ptr(), depth)
                };
                for block in blocks {
                    let width = block.nv * self.kernels.lanes;
                    let w = &self.packed[block.start * self.k + inner * width..];
                    let heights = &self.kernels.tile[block.nv - 1];
                    let taps = [Tap { x, w: 0, len: depth, step: step as isize }];
                    for part in heights.split(rows) {
                        let tile = Tile {
                            shift: part.start as isize,
                            w: w.as_ptr(),
                            // SAFETY: row and column are inside the result, whose size `gemm` checked.
                            y: unsafe { c.0.add((first + part.start) * self.n + block.start) },
                            y_step: self.n as isize,
                            last: block.last,
                            accumulate: inner > 0,
                            ..Tile::bare(&taps)
                        };
                        // SAFETY: rows and depth are inside A (checked) or its copy, the panel inside the packed B;
                        // tiles of different tasks are disjoint; the table's instruction set is available.
                        unsafe { (part.run)(&tile) }
                    }
                }
            }
        });
    }
}

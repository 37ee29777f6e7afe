//! How a kernel walks over strided operands: `Walk` of `kernels/preamble.cuh`.

use smallvec::SmallVec;
use tensor::Layout;

use crate::error::{Error, Result};
use crate::runtime::Scalar;

/// Axes that a walk can have (`MAX_RANK`).
const MAX_RANK: usize = 8;

/// A walk over the elements of a dense result in its order in memory, and over `N` operands with it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk<const N: usize> {
    rank: i32,
    /// Outermost first.
    dims: [i32; MAX_RANK],
    /// In elements, 0 where an operand repeats.
    steps: [[i64; MAX_RANK]; N],
}

// SAFETY: the same fields in the same order as in the preamble, by C's rules of layout; padding is never read.
unsafe impl<const N: usize> Scalar for Walk<N> {}

impl<const N: usize> Walk<N> {
    /// The walk over `result`, which is dense, and `operands`, whose dims are the result's. Axes that lie behind each other
    /// in every operand become one.
    ///
    /// # Errors
    /// For more axes or elements than kernels take.
    pub fn new(op: &'static str, result: &Layout, operands: [&Layout; N]) -> Result<Self> {
        let mut axes: SmallVec<[usize; 8]> = (0..result.rank()).filter(|&a| result.dims()[a] != 1).collect();
        axes.sort_by(|&a, &b| result.strides()[b].cmp(&result.strides()[a]));
        let mut walk = Self { rank: 0, dims: [0; MAX_RANK], steps: [[0; MAX_RANK]; N] };
        if result.len() >= 1 << 31 {
            let what = format!("{} elements are more than kernels count (2^31)", result.len());
            return Err(Error::Unsupported { op, what });
        }
        for &axis in &axes {
            let dim = result.dims()[axis];
            let steps = operands.map(|o| o.strides()[axis] as i64);
            let last = (walk.rank as usize).wrapping_sub(1);
            let joins = walk.rank > 0 && (0..N).all(|k| walk.steps[k][last] == steps[k] * dim as i64);
            if joins {
                walk.dims[last] *= dim as i32;
                (0..N).for_each(|k| walk.steps[k][last] = steps[k]);
                continue;
            }
            let at = walk.rank as usize;
            if at == MAX_RANK {
                return Err(Error::Unsupported {
                    op,
                    what: format!("more than {MAX_RANK} axes do not fit a kernel's walk"),
                });
            }
            walk.dims[at] = dim as i32;
            (0..N).for_each(|k| walk.steps[k][at] = steps[k]);
            walk.rank += 1;
        }
        Ok(walk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tensor::Format;

    #[test]
    fn axes_join_where_all_operands_allow_it() {
        let dims = [2, 3, 4, 5];
        let nhwc = Layout::dense(&dims, Format::ChannelsLast);
        let walk = Walk::new("test", &nhwc, [&nhwc]).unwrap();
        assert_eq!((walk.rank, walk.dims[0], walk.steps[0][0]), (1, 120, 1));
        // One value per channel: pixels join, channels stay.
        let channel = Layout::contiguous(&[3, 1, 1]).broadcast_to(&dims);
        let walk = Walk::new("test", &nhwc, [&nhwc, &channel]).unwrap();
        assert_eq!((walk.rank, &walk.dims[..2]), (2, &[40, 3][..]));
        assert_eq!((walk.steps[0][0], walk.steps[1][0], walk.steps[1][1]), (3, 0, 1));
        assert_eq!(size_of::<Walk<2>>(), 4 + 32 + 4 + 2 * 64, "as C lays it out");
        assert!(
            Walk::new("test", &Layout::contiguous(&[1 << 31]), [&Layout::contiguous(&[1 << 31])]).is_err()
        );
    }
}

//! The same value at other places in memory: operations must not notice.

use tensor::{Format, Ops, Tensor, ops::Span};

use crate::Result;

/// How a tensor lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Dense, row-major.
    Contiguous,
    /// Dense, channels adjacent (rank 4; other ranks as `Contiguous`).
    ChannelsLast,
    /// Axes in reverse order in memory, every second place of the first axis unused and filled with NaN, so that
    /// an operation that reads it is found out.
    Strided,
}

impl Placement {
    /// Every placement.
    pub const ALL: [Self; 3] = [Self::Contiguous, Self::ChannelsLast, Self::Strided];

    /// The same value on its device, lying in memory so.
    ///
    /// # Errors
    /// Where memory runs out.
    pub fn place(self, value: &Tensor) -> Result<Tensor> {
        let rank = value.dims().len();
        match self {
            Self::Contiguous => Ok(value.to_format(Format::Contiguous)?),
            Self::ChannelsLast => Ok(value.to_format(Format::ChannelsLast)?),
            Self::Strided if rank == 0 || value.is_empty() => Ok(value.clone()),
            Self::Strided => {
                let reverse: Vec<usize> = (0..rank).rev().collect();
                let turned = value.permute(&reverse)?;
                let mut spaced = turned.dims().to_vec();
                spaced.push(1);
                let column = turned.reshape(&spaced)?;
                // Integers have no value that would give a wrong read away.
                let gap = if value.dtype().is_float() { f64::NAN } else { 0.0 };
                let pairs = Tensor::cat(&[&column.full_like(gap, &spaced)?, &column], rank)?;
                let last = turned.dims()[rank - 1];
                spaced[rank - 1] = 2 * last;
                let mut spans: Vec<Span> = spaced[..rank].iter().map(|&d| Span::all(d)).collect();
                spans[rank - 1] = Span { start: 1, len: last, step: 2 };
                Ok(pairs.reshape(&spaced[..rank])?.slice(&spans)?.permute(&reverse)?)
            }
        }
    }
}

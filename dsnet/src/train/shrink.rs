//! A recipe for smaller pictures: sizes in pixels divided, everything else as it is (`--shrink`).

use datasets::PatchGrid;

use super::values::{Crop, PatchList, Size};
use crate::{Error, Result, compile::STRIDE};

/// By how much sizes in pixels are divided; 1 leaves them.
pub(super) struct Shrink(usize);

impl Shrink {
    /// Division by `n`.
    pub fn by(n: usize) -> Result<Self> {
        if n == 0 { Err(Error::usage("shrink must be at least 1")) } else { Ok(Self(n)) }
    }

    /// Parts of smaller pictures.
    pub fn patches(&self, patches: PatchList) -> Result<PatchList> {
        let Some(grid) = patches.0 else { return Ok(patches) };
        let (height, width) = (self.divided(grid.height, 1)?, self.divided(grid.width, 1)?);
        Ok(PatchList(Some(PatchGrid { height, width, ..grid })))
    }

    /// A window that is as much smaller, its sides still what the network takes.
    pub fn crop(&self, crop: Crop) -> Result<Crop> {
        let Some(size) = crop.0.filter(|_| self.0 != 1) else { return Ok(crop) };
        let (height, width) = (self.divided(size.height, STRIDE)?, self.divided(size.width, STRIDE)?);
        Ok(Crop(Some(Size { height, width })))
    }

    /// The multiple of `unit` below.
    fn divided(&self, n: usize, unit: usize) -> Result<usize> {
        let down = n / self.0 / unit * unit;
        if down == 0 {
            return Err(Error::usage(format!("shrink {}: nothing is left of {n} pixels", self.0)));
        }
        Ok(down)
    }
}

//! Winograd's forms.

use crate::cpu::conv::ConvGeometry;

/// F(m×n, 3×3): tiles of 2 to 4 rows and columns of results. Rounding errors of four are some ten times those of the direct sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// Results of a tile, (rows, columns).
    pub sides: [usize; 2],
}

/// `G` for two, three and four results.
const G2: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
const G3: [[f64; 3]; 5] = [
    [1.0 / 2.0, 0.0, 0.0],
    [-1.0 / 2.0, -1.0 / 2.0, -1.0 / 2.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 6.0, 1.0 / 3.0, 2.0 / 3.0],
    [0.0, 0.0, 1.0],
];
const G4: [[f64; 3]; 6] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

impl Form {
    /// Inputs of a tile, (rows, columns).
    pub fn reach(self) -> [usize; 2] {
        self.sides.map(|side| side + 2)
    }

    /// Products for each channel of a tile.
    pub fn planes(self) -> usize {
        self.reach().iter().product()
    }

    /// Results of a tile.
    pub fn results(self) -> usize {
        self.sides.iter().product()
    }

    /// The loop of this form in a table of them.
    pub fn of<F: Copy>(self, table: &[[F; 3]; 3]) -> F {
        let [rows, columns] = self.sides;
        table[rows - 2][columns - 2]
    }

    /// `G` of each axis.
    pub(super) fn matrices(self) -> [&'static [[f64; 3]]; 2] {
        self.sides.map(|side| match side {
            2 => &G2[..],
            3 => &G3[..],
            _ => &G4[..],
        })
    }

    /// The geometry under which transformed weights are packed: a tap for each product.
    pub fn packing(self, g: &ConvGeometry) -> ConvGeometry {
        ConvGeometry { kernel: self.reach(), ..*g }
    }
}

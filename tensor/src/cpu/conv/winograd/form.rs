//! Winograd's forms, and the transform of weights for them.

use crate::cpu::conv::{ConvGeometry, Direction};
use crate::cpu::simd::Scalar;

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
    /// F(2×2, 3×3).
    pub const TWO: Self = Self { sides: [2, 2] };

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
    fn matrices(self) -> [&'static [[f64; 3]]; 2] {
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

    /// Numbers in the transformed weights of so many.
    pub fn transformed_len(self, weights: usize) -> usize {
        weights / 9 * self.planes()
    }

    /// Weights transformed, `U = G g Gᵀ`, in the order in which [`super::PackLayout`] wants them for this direction. The input
    /// gradient is a convolution by the filters turned by half a turn.
    pub fn transform<T: Scalar>(self, direction: Direction, weights: &[T], u: &mut [T]) {
        assert_eq!(self.transformed_len(weights.len()), u.len());
        let [down, across] = self.matrices();
        let planes = self.planes();
        let turned = direction == Direction::InputGradient;
        for (w, u) in weights.chunks_exact(9).zip(u.chunks_exact_mut(planes)) {
            let mut g: [f64; 9] = std::array::from_fn(|i| w[i].to_f64().unwrap_or(f64::NAN));
            if turned {
                g.reverse();
            }
            // G g, then (G g) Gᵀ.
            for (i, row) in down.iter().enumerate() {
                let left: [f64; 3] = std::array::from_fn(|j| (0..3).map(|k| row[k] * g[3 * k + j]).sum());
                for (j, column) in across.iter().enumerate() {
                    let value: f64 = left.iter().zip(column).map(|(a, b)| a * b).sum();
                    let at = i * across.len() + j;
                    // Packing for the gradient turns the taps round; these have been turned.
                    let at = if turned { planes - 1 - at } else { at };
                    u[at] = T::from(value).unwrap_or_else(T::nan);
                }
            }
        }
    }
}

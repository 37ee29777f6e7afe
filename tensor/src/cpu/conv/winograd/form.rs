//! Which of Winograd's forms a convolution takes, and the transform of its weights.

use crate::cpu::conv::{ConvGeometry, Direction};
use crate::cpu::simd::{Isa, Scalar};

/// F(2×2, 3×3) or F(4×4, 3×3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// 16 products for 2×2 results.
    Two,
    /// 36 products for 4×4 results; rounding errors are some ten times those of the direct sum.
    Four,
}

/// `G` of both forms.
const G2: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
const G4: [[f64; 3]; 6] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

impl Form {
    /// The form with which a convolution is fastest; none where the direct sum is, or where it is no 3×3 convolution of stride
    /// 1 that keeps the size.
    pub fn best<T: Scalar>(g: &ConvGeometry) -> Option<Self> {
        Self::candidates::<T>(g).min_by(|a, b| a.1.total_cmp(&b.1)).and_then(|(form, _)| form)
    }

    /// [`Form::best`] of those that have a weight gradient.
    pub fn best_for_gradient<T: Scalar>(g: &ConvGeometry) -> Option<Self> {
        let known = Self::candidates::<T>(g).filter(|(form, _)| *form != Some(Self::Four));
        known.min_by(|a, b| a.1.total_cmp(&b.1)).and_then(|(form, _)| form)
    }

    /// The direct sum (`None`) and the forms that are possible, with their relative times.
    fn candidates<T: Scalar>(g: &ConvGeometry) -> impl Iterator<Item = (Option<Self>, f64)> {
        let lanes = T::kernels(Isa::current()).lanes;
        let [d, across] = g.dilation;
        let fits = size_of::<T>() == 4
            && g.groups == 1
            && g.kernel == [3, 3]
            && g.stride == [1, 1]
            && d == across
            && g.padding == [d, d]
            && g.c_in.is_multiple_of(lanes)
            && g.c_out.is_multiple_of(lanes)
            && g.c_in.min(g.c_out) >= 32;
        // The direct sum leaves out taps beyond the edge; tiles that hang over it cost as much as others.
        let taps = |n: usize| n + 2 * n.saturating_sub(d);
        let direct = 0.95 * (taps(g.in_h) * taps(g.in_w)) as f64;
        // The transforms take time in proportion to the values transformed, not to the products.
        let transforms = 1.0 / g.c_in as f64 + 1.0 / g.c_out as f64;
        let size = [g.in_h, g.in_w];
        let cost = move |form: Self, share: f64| {
            let tiles: usize = size.iter().map(|&n| form.starts(n, d).len()).product();
            (Some(form), (form.planes() * tiles) as f64 * (1.0 + share * transforms))
        };
        let forms = [cost(Self::Two, 8.0), cost(Self::Four, 14.0)];
        std::iter::once((None, direct)).chain(forms.into_iter().filter(move |_| fits))
    }

    /// Results of a tile along an axis.
    pub fn side(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Inputs of a tile along an axis.
    pub fn reach(self) -> usize {
        self.side() + 2
    }

    /// Products for each channel of a tile.
    pub fn planes(self) -> usize {
        self.reach() * self.reach()
    }

    /// Position of its kernels in the tables.
    pub fn index(self) -> usize {
        self as usize
    }

    /// First result of each tile along an axis of `n` pixels, phase by phase.
    pub fn starts(self, n: usize, dilation: usize) -> Vec<usize> {
        (0..dilation.min(n)).flat_map(|phase| (phase..n).step_by(self.side() * dilation)).collect()
    }

    /// The geometry under which transformed weights are packed: a tap for each product.
    pub fn packing(self, g: &ConvGeometry) -> ConvGeometry {
        ConvGeometry { kernel: [self.reach(); 2], ..*g }
    }

    /// Numbers in the transformed weights of so many.
    pub fn transformed_len(self, weights: usize) -> usize {
        weights / 9 * self.planes()
    }

    /// Weights transformed, `U = G g Gᵀ`, in the order in which [`super::PackLayout`] wants them for this direction. The input
    /// gradient is a convolution by the filters turned by half a turn.
    pub fn transform<T: Scalar>(self, direction: Direction, weights: &[T], u: &mut [T]) {
        assert_eq!(self.transformed_len(weights.len()), u.len());
        let matrix: &[[f64; 3]] = match self {
            Self::Two => &G2,
            Self::Four => &G4,
        };
        let n = self.reach();
        let turned = direction == Direction::InputGradient;
        for (w, u) in weights.chunks_exact(9).zip(u.chunks_exact_mut(n * n)) {
            let mut g: [f64; 9] = std::array::from_fn(|i| w[i].to_f64().unwrap_or(f64::NAN));
            if turned {
                g.reverse();
            }
            // G g, then (G g) Gᵀ.
            let row = |i: usize, j: usize| (0..3).map(|k| matrix[i][k] * g[3 * k + j]).sum::<f64>();
            for i in 0..n {
                let left = [row(i, 0), row(i, 1), row(i, 2)];
                for (j, column) in matrix.iter().enumerate() {
                    let value: f64 = left.iter().zip(column).map(|(a, b)| a * b).sum();
                    // Packing for the gradient turns the taps round; these have been turned.
                    let at = if turned { n * n - 1 - (i * n + j) } else { i * n + j };
                    u[at] = T::from(value).unwrap_or_else(T::nan);
                }
            }
        }
    }
}

//! One convolution with weights that are used once, as in a training step: the fastest way is chosen by the geometry.

use half::bf16;

use super::winograd::by_tiles;
use super::{Conv, Engine, Finish, Out, Weights};
use crate::cpu::conv::{ConvGeometry, Direction, Fold, Source, winograd};

/// One convolution, or transposed one, of the channels of a source with weights packed into scratch: by tiles where they are
/// faster, else as the direct sum.
///
/// # Panics
/// If a slice's length does not fit the geometry.
pub(crate) fn once(
    geometry: &ConvGeometry,
    direction: Direction,
    source: Source<'_, bf16>,
    weights: &[bf16],
    bias: Option<&[f32]>,
    y: &mut [bf16],
) {
    let finish = Finish { bias, relu: false, residual: None, relu_last: false };
    let speed = Engine::current().speed();
    let parts = speed.and_then(|speed| winograd::best::<f32>(geometry, true, speed));
    if let Some([part]) = parts.as_deref() {
        return by_tiles(geometry, direction, part, source, weights, &finish, y);
    }
    let mut direct = |geometry: &ConvGeometry, weights: &[bf16], finish: Finish<'_>| {
        Weights::once(geometry, direction, weights, |weights| {
            Conv { geometry, sources: &[source], weights, finish, tail: None, fold: 1 }.run(Out::Bf16(y));
        });
    };
    match Fold::of(geometry, direction) {
        Some(fold) => {
            let mut folded = vec![bf16::ZERO; weights.len()];
            fold.weights(weights, &mut folded);
            let bias = bias.map(|bias| fold.repeat(bias));
            direct(&fold.geometry, &folded, Finish { bias: bias.as_deref(), ..finish });
        }
        None => direct(geometry, weights, finish),
    }
}

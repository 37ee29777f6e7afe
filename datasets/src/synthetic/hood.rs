//! The bonnet of the car that carries the camera: part of every picture in some datasets, part of no class.

use super::color::{Rgb, add, mix, scale};
use super::painter::Painter;
use crate::classes::IGNORE;
use crate::rng::Rng;

/// Paints a bonnet along the lower edge.
pub fn paint_hood(p: &mut Painter, rng: &mut Rng) {
    let (w, h) = (p.canvas.width as f32, p.canvas.height as f32);
    let rise = h * rng.range(0.05, 0.11);
    let rgb: Rgb =
        rng.pick(&[[0.10, 0.11, 0.13], [0.50, 0.52, 0.54], [0.16, 0.20, 0.30], [0.36, 0.10, 0.10]]);
    let center = [w * rng.range(0.46, 0.54), h + 4.0 * rise];
    let light = p.light;
    let sheen = mix(light.horizon, light.zenith, 0.5);
    p.canvas.ellipse(center, w * rng.range(0.62, 0.8), 5.0 * rise, Some(IGNORE), |x, y| {
        let front = ((-y - 0.75) * 4.0).clamp(0.0, 1.0);
        let base = light.on(rgb, [0.3 * x, 0.9, 0.3]);
        (add(scale(base, 0.8), scale(sheen, 0.12 + 0.25 * front)), 1.0)
    });
}

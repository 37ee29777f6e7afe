//! The camera's part after the light: exposure, colour cast, vignette, grain, and rounding to bytes.

use super::canvas::Canvas;
use super::noise::hash;
use crate::picture::{Image, LabelMap};
use crate::rng::Rng;

/// Turns a painted canvas into a sample.
pub fn develop(canvas: Canvas, rng: &mut Rng) -> (Image, LabelMap) {
    let (width, height) = (canvas.width, canvas.height);
    let exposure = rng.range(0.86, 1.12);
    let contrast = rng.range(0.92, 1.12);
    let cast = [rng.range(0.96, 1.04), 1.0, rng.range(0.96, 1.04)];
    let grain = rng.range(0.006, 0.028);
    let vignette = rng.range(0.0, 0.22);
    let seed = rng.bits();
    let (rgb, labels) = canvas.into_parts();
    let mut data = Vec::with_capacity(rgb.len() * 3);
    for y in 0..height {
        let dy = (y as f32 + 0.5) / height as f32 - 0.5;
        for x in 0..width {
            let dx = (x as f32 + 0.5) / width as f32 - 0.5;
            let gain = exposure * (1.0 - vignette * 2.0 * (dx * dx + dy * dy));
            // The sum of two uniform numbers: a triangle, near enough to a bell.
            let noise = hash(x as i32, y as i32, seed) + hash(x as i32, y as i32, seed ^ 0x5555) - 1.0;
            let chroma = hash(x as i32, y as i32, seed ^ 0x3333) - 0.5;
            let pixel = rgb[y * width + x];
            for c in 0..3 {
                let tint = if c == 1 { 0.0 } else { chroma * (c as f32 - 1.0) };
                let v = ((pixel[c] * gain * cast[c] - 0.45) * contrast + 0.45) + grain * (1.4 * noise + tint);
                data.push((v * 255.0 + 0.5).clamp(0.0, 255.0) as u8);
            }
        }
    }
    (Image::from_parts(width, height, data), LabelMap::from_parts(width, height, labels))
}

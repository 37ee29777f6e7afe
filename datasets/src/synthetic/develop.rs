//! The camera's part after the light: exposure, colour cast, vignette, grain, and rounding to bytes.

use super::canvas::Canvas;
use super::noise::bits;
use crate::dataset::Sample;
use crate::picture::Image;
use crate::rng::Rng;

/// Turns a painted canvas into a sample.
pub fn develop(canvas: Canvas, rng: &mut Rng) -> Sample {
    let (width, height) = (canvas.width, canvas.height);
    let exposure = rng.range(1.02, 1.34);
    let contrast = rng.range(0.92, 1.12);
    let cast = [rng.range(0.96, 1.04), 1.0, rng.range(0.96, 1.04)];
    let grain = rng.range(0.006, 0.028);
    let vignette = rng.range(0.0, 0.22);
    let seed = rng.bits();
    // Contrast turns about a middle grey.
    let slope = cast.map(|c| c * contrast);
    let offset = 0.45 * (1.0 - contrast);
    let rgb = canvas.colors();
    let mut data = Vec::with_capacity(rgb.len() * 3);
    for y in 0..height {
        let dy = (y as f32 + 0.5) / height as f32 - 0.5;
        for x in 0..width {
            let dx = (x as f32 + 0.5) / width as f32 - 0.5;
            let gain = exposure * (1.0 - vignette * 2.0 * (dx * dx + dy * dy));
            // The sum of two uniform numbers: a triangle, near enough to a bell.
            let h = bits(x as i32, y as i32, seed);
            let noise = ((h & 0xFFFF) + (h >> 16)) as f32 * (1.0 / 65536.0) - 1.0;
            let chroma = ((h >> 8) & 0xFF) as f32 * (1.0 / 256.0) - 0.5;
            let pixel = rgb[y * width + x];
            let tint = [-chroma, 0.0, chroma];
            data.extend([0, 1, 2].map(|c| {
                let v = pixel[c] * gain * slope[c] + offset + grain * (1.4 * noise + tint[c]);
                (v * 255.0 + 0.5) as u8
            }));
        }
    }
    Sample { image: Image::from_parts(width, height, data), labels: canvas.into_labels() }
}

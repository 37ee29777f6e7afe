//! Sky with clouds and the sun's glow, and what closes the view at the horizon.

use super::color::{Rgb, add, mix, ramp, scale};
use super::ids;
use super::light::Light;
use super::noise::{floor, fractal, hash, value};
use super::painter::Painter;
use super::street::Place;
use crate::rng::Rng;

/// Fills everything above the horizon (and below, to be painted over by the ground).
pub fn paint_sky(p: &mut Painter, rng: &mut Rng) {
    let (camera, light) = (p.camera, p.light);
    let (h, seed) = (p.canvas.height as f32, rng.bits());
    let drift = rng.range(0.0, 100.0);
    let stretch = rng.range(0.5, 1.1);
    let rows = ((camera.horizon + 2.0).max(0.0) as usize).min(p.canvas.height);
    let glow_at = (light.sun[2] > 0.05).then(|| {
        camera.project([light.sun[0] * 99.0, light.sun[1] * 99.0 + camera.height, light.sun[2] * 99.0])
    });
    for y in 0..rows {
        let rise = ((camera.horizon - y as f32) / h).max(0.0);
        // Rises fast near the horizon, as the real gradient does.
        let base = mix(light.horizon, light.zenith, (rise * 1.9).min(1.0).sqrt());
        let far = 0.10 / (rise + 0.06);
        let line = CloudLine { far, rise, seed, drift, stretch };
        for x in 0..p.canvas.width {
            let side = (x as f32 + 0.5 - camera.center) / h;
            let mut rgb = line.over(base, side, &light);
            if let Some([gx, gy]) = glow_at {
                let (dx, dy) = ((x as f32 - gx) / h, (y as f32 - gy) / h);
                let near = 1.0 / (1.0 + 60.0 * (dx * dx + dy * dy));
                rgb = add(rgb, scale(light.direct, 0.7 * near));
            }
            p.canvas.set(x, y, rgb, ids::SKY);
        }
    }
}

/// Clouds of one picture row.
struct CloudLine {
    far: f32,
    rise: f32,
    seed: u32,
    drift: f32,
    stretch: f32,
}

impl CloudLine {
    fn over(&self, base: Rgb, side: f32, light: &Light) -> Rgb {
        let (u, v) = (side * self.far * 9.0 * self.stretch + self.drift, self.far * 9.0 + self.drift);
        let n = fractal(u, v, self.seed);
        let edge = 0.72 - 0.45 * light.clouds;
        let cover = ramp(edge, edge + 0.22, n) * ramp(0.0, 0.10, self.rise);
        let bright = add(light.ambient, scale(light.direct, 0.75));
        let shade = mix(bright, scale(light.ambient, 1.05), ramp(edge, edge + 0.45, n));
        mix(base, shade, cover * 0.85)
    }
}

/// Woods, hills or roofs behind the end of the street.
pub fn paint_skyline(p: &mut Painter, rng: &mut Rng) {
    let (camera, light, place) = (p.camera, p.light, p.street.place);
    let h = p.canvas.height as f32;
    let seed = rng.bits();
    let built = match place {
        Place::City => rng.chance(0.7),
        Place::Suburb => rng.chance(0.35),
        Place::Country => rng.chance(0.1),
    };
    let height = h * if built { rng.range(0.07, 0.2) } else { rng.range(0.04, 0.13) };
    let green = [0.22, 0.30, 0.17];
    let stone = rng.pick(&[[0.46, 0.42, 0.38], [0.52, 0.47, 0.42], [0.40, 0.40, 0.43]]);
    let block = h * rng.range(0.09, 0.2);
    for x in 0..p.canvas.width {
        let side = (x as f32 - camera.center) / h;
        let (top, label) = if built {
            let column = floor((x as f32 + 7000.0) / block);
            let roof = hash(column, 1, seed);
            (height * (0.35 + 0.65 * roof), ids::BUILDING)
        } else {
            let hills = fractal(side * 4.0 + 50.0, 3.0, seed);
            let leaves = value(x as f32 * 90.0 / h, 9.0, seed);
            (height * (0.3 + 0.9 * hills + 0.12 * leaves), ids::VEGETATION)
        };
        let from = (camera.horizon - top).max(0.0) as usize;
        let to = ((camera.horizon + 2.0).max(0.0) as usize).min(p.canvas.height);
        for y in from..to {
            let v = camera.horizon - y as f32;
            let rgb = if built {
                let window = (v / (h * 0.018)) as i32 % 2 == 0 && (x as f32 / (h * 0.016)) as i32 % 2 == 0;
                scale(stone, if window { 0.72 } else { 1.0 })
            } else {
                scale(green, 0.75 + 0.5 * value(x as f32 * 60.0 / h, y as f32 * 60.0 / h, seed))
            };
            let lit = light.on(rgb, [0.0, 0.3, -0.95]);
            p.canvas.set(x, y, light.through_air(lit, 170.0), label);
        }
    }
}

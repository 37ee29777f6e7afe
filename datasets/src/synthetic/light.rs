//! Time of day and weather: where light comes from, its colour, and what distance does to it.

use super::color::{Rgb, add, mix, mul, scale};
use crate::rng::Rng;

#[derive(Debug, Clone, Copy)]
pub struct Light {
    /// Unit vector towards the sun.
    pub sun: [f32; 3],
    /// Colour of direct light; dim under clouds.
    pub direct: Rgb,
    /// Light from everywhere.
    pub ambient: Rgb,
    /// Colour of the sky overhead and above the horizon.
    pub zenith: Rgb,
    pub horizon: Rgb,
    /// Distance in metres at which haze takes half of the contrast.
    pub haze: f32,
    /// How much of the sky clouds cover, 0..1.
    pub clouds: f32,
    /// Share of windows with the light on.
    pub lit_windows: f32,
}

impl Light {
    pub fn draw(rng: &mut Rng) -> Light {
        let side = rng.range(-1.0, 1.0);
        let ahead = rng.range(-1.0, 0.9);
        let kind = rng.unit();
        let (up, mut light) = if kind < 0.45 {
            // A clear day.
            let light = Light {
                sun: [0.0; 3],
                direct: [0.72, 0.68, 0.58],
                ambient: [0.46, 0.50, 0.58],
                zenith: [0.24, 0.45, 0.78],
                horizon: [0.72, 0.82, 0.92],
                haze: rng.range(180.0, 420.0),
                clouds: rng.range(0.1, 0.6),
                lit_windows: 0.02,
            };
            (rng.range(0.7, 1.6), light)
        } else if kind < 0.65 {
            // Low sun, long shadows.
            let light = Light {
                sun: [0.0; 3],
                direct: [0.85, 0.60, 0.34],
                ambient: [0.40, 0.40, 0.50],
                zenith: [0.33, 0.45, 0.70],
                horizon: [0.98, 0.80, 0.60],
                haze: rng.range(110.0, 240.0),
                clouds: rng.range(0.1, 0.7),
                lit_windows: 0.12,
            };
            (rng.range(0.25, 0.5), light)
        } else if kind < 0.88 {
            // Overcast.
            let light = Light {
                sun: [0.0; 3],
                direct: [0.12, 0.12, 0.12],
                ambient: [0.72, 0.74, 0.78],
                zenith: [0.66, 0.70, 0.76],
                horizon: [0.86, 0.87, 0.88],
                haze: rng.range(80.0, 200.0),
                clouds: rng.range(0.6, 1.0),
                lit_windows: 0.08,
            };
            (rng.range(0.8, 1.6), light)
        } else {
            // Dusk.
            let light = Light {
                sun: [0.0; 3],
                direct: [0.16, 0.13, 0.14],
                ambient: [0.40, 0.43, 0.56],
                zenith: [0.18, 0.25, 0.45],
                horizon: [0.82, 0.60, 0.52],
                haze: rng.range(120.0, 260.0),
                clouds: rng.range(0.2, 0.8),
                lit_windows: 0.40,
            };
            (rng.range(0.3, 0.6), light)
        };
        let len = (side * side + up * up + ahead * ahead).sqrt();
        light.sun = [side / len, up / len, ahead / len];
        let strength = rng.range(0.85, 1.15);
        light.direct = scale(light.direct, strength);
        light
    }

    /// Colour of a surface with a unit `normal` in the open.
    pub fn on(&self, albedo: Rgb, normal: [f32; 3]) -> Rgb {
        let facing = normal[0] * self.sun[0] + normal[1] * self.sun[1] + normal[2] * self.sun[2];
        // What looks up sees more of the sky than what looks down.
        let open = 0.85 + 0.15 * normal[1];
        mul(albedo, add(scale(self.ambient, open), scale(self.direct, facing.max(0.0))))
    }

    /// Colour of a level surface of which `sunlit` (0..1) is in the sun.
    pub fn on_ground(&self, albedo: Rgb, sunlit: f32) -> Rgb {
        mul(albedo, add(self.ambient, scale(self.direct, self.sun[1] * sunlit)))
    }

    /// Colour of something round, `across` from -1 (its left) to 1 (its right).
    pub fn on_round(&self, albedo: Rgb, across: f32) -> Rgb {
        let front = (1.0 - across * across).max(0.0).sqrt();
        self.on(albedo, [across, 0.0, -front])
    }

    /// What remains of a colour at distance `z` (metres) through the haze.
    pub fn through_air(&self, rgb: Rgb, z: f32) -> Rgb {
        mix(rgb, self.horizon, z / (z + self.haze))
    }
}

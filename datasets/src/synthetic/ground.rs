//! The ground: carriageway with markings and wear, kerbs, sidewalks, green strips, the crossing street.

use super::camera::Camera;
use super::color::{Rgb, add, band, grey, mix, scale};
use super::ids;
use super::noise::{double, floor, fract, hash, value};
use super::painter::Painter;
use super::street::{Place, Side, Street};
use crate::rng::Rng;

/// Looks of one street's ground.
struct Ground {
    seed: u32,
    asphalt: Rgb,
    wear: f32,
    paving: Rgb,
    tile: f32,
    grass: Rgb,
    soil: Rgb,
    paint: f32,
    edge_lines: bool,
    dash: f32,
    solid: bool,
    /// What lies behind the verge.
    beyond: u8,
}

/// Which part of the ground is in the sun, by distance and offset.
pub struct Shade {
    /// Length of the shadow that each metre of the sunward building row casts across the street.
    reach: Vec<f32>,
    /// 1 when the sun stands to the right.
    from_right: bool,
    edges: [f32; 2],
    seed: u32,
}

impl Shade {
    /// `roofs[side][metre]` are the heights of what stands along the street.
    pub fn new(p: &Painter, roofs: &[Vec<f32>; 2], seed: u32) -> Shade {
        let sun = p.light.sun;
        let from_right = sun[0] > 0.0;
        let slope = sun[0].abs() / sun[1].max(0.05);
        let reach = roofs[usize::from(from_right)].iter().map(|h| h * slope).collect();
        Shade { reach, from_right, edges: [p.street.sides[0].verge, p.street.sides[1].verge], seed }
    }

    fn sunlit(&self, u: f32, z: f32) -> f32 {
        let at = z as usize;
        let reach = self.reach.get(at).copied().unwrap_or(0.0);
        let from_edge = if self.from_right { self.edges[1] - u } else { u + self.edges[0] };
        let soft = 0.2 + 0.02 * z;
        let ragged = 0.5 * value(z * 0.9, 3.0, self.seed);
        ((from_edge + ragged - reach) / soft + 0.5).clamp(0.0, 1.0)
    }
}

impl Ground {
    fn draw(rng: &mut Rng, street: &Street) -> Ground {
        let tone = rng.range(0.30, 0.46);
        let warm = rng.range(-0.015, 0.02);
        let grass =
            rng.pick(&[[0.26, 0.38, 0.15], [0.33, 0.42, 0.20], [0.40, 0.40, 0.20], [0.22, 0.34, 0.16]]);
        Ground {
            seed: rng.bits(),
            asphalt: [tone + warm, tone, tone - warm * 0.5 + 0.01],
            wear: rng.range(0.3, 1.0),
            paving: rng.pick(&[
                [0.62, 0.59, 0.56],
                [0.66, 0.64, 0.62],
                [0.60, 0.52, 0.47],
                [0.54, 0.54, 0.56],
                [0.70, 0.64, 0.55],
            ]),
            tile: rng.pick(&[0.5, 0.75, 1.2]),
            grass,
            soil: [0.42, 0.35, 0.25],
            paint: rng.range(0.55, 1.0),
            edge_lines: rng.chance(0.5),
            dash: rng.pick(&[6.0, 9.0, 12.0]),
            solid: rng.chance(0.25),
            beyond: if street.place == Place::City && rng.chance(0.6) { ids::SIDEWALK } else { ids::TERRAIN },
        }
    }

    fn road(&self, street: &Street, u: f32, z: f32, pixel: f32) -> Rgb {
        let fine = 1.0 / (1.0 + 0.08 * z);
        let grain = value(u * 9.0, z * 9.0, self.seed) - 0.5;
        let patches = double(u * 0.45, z * 0.12, self.seed ^ 5) - 0.5;
        let mut rgb = scale(self.asphalt, 1.0 + 0.10 * grain * fine + 0.30 * patches * self.wear);
        // Repairs: darker rectangles.
        let (px, pz) = (floor(u * 0.55 + 50.0), floor(z * 0.22));
        if hash(px, pz, self.seed) < 0.07 * self.wear {
            rgb = scale(rgb, 0.80);
        }
        // A drain cover now and then.
        let cell = floor(z / 7.0);
        let (mu, mz) = (hash(cell, 2, self.seed) * 5.0 - 2.5, (cell as f32 + 0.5) * 7.0);
        let (du, dz) = (u - mu, z - mz);
        if du * du + dz * dz < 0.1 && hash(cell, 3, self.seed) < 0.4 {
            rgb = scale(rgb, 0.62);
        }
        if street.crossed(z, 0.0) {
            return rgb;
        }
        let white = self.marking(street, u, z, pixel);
        mix(rgb, grey(0.86), white * self.paint)
    }

    /// How much white paint lies here, 0..1.
    fn marking(&self, street: &Street, u: f32, z: f32, pixel: f32) -> f32 {
        let mut white: f32 = 0.0;
        let line = |at: f32| band(at - 0.08, at + 0.08, u, pixel);
        if let Some((from, to)) = street.zebra {
            if z > from && z < to {
                let inside = band(-street.sides[0].road, street.sides[1].road, u, pixel);
                return inside * band(0.0, 0.5, fract(u), pixel);
            }
            if z > from - 1.6 && z < from - 1.1 {
                // The stop line, across the own direction.
                return band(street.middle, street.sides[1].road, u, pixel);
            }
        }
        let dashed = if fract(z / self.dash) < 0.45 { 1.0 } else { 0.0 };
        let in_city = street.place != Place::Suburb || self.edge_lines;
        if in_city {
            white = white.max(line(street.middle) * if self.solid { 1.0 } else { dashed });
        }
        for &at in &street.lanes {
            white = white.max(line(at) * dashed);
        }
        if self.edge_lines {
            let right = street.sides[1].road - if street.sides[1].parking { 2.2 } else { 0.3 };
            white = white.max(line(right));
        }
        white
    }

    fn paved(&self, u: f32, z: f32, pixel: f32) -> Rgb {
        let t = self.tile;
        let (cu, cz) = (floor(u / t), floor(z / t));
        let tone = 1.0 + 0.12 * (hash(cu, cz, self.seed) - 0.5) / (1.0 + 0.1 * z);
        let joint =
            band(0.0, 0.05, fract(u / t) * t, pixel).max(band(0.0, 0.05, fract(z / t) * t, pixel * 3.0));
        let dirt = double(u * 0.7, z * 0.4, self.seed ^ 9) - 0.5;
        scale(self.paving, (tone + 0.18 * dirt) * (1.0 - 0.28 * joint))
    }

    fn green(&self, u: f32, z: f32) -> Rgb {
        let patch = double(u * 0.5, z * 0.3, self.seed ^ 21);
        let blades = value(u * 7.0, z * 3.0, self.seed ^ 22) - 0.5;
        let bare = ((patch - 0.62) * 6.0).clamp(0.0, 0.8);
        scale(mix(self.grass, self.soil, bare), 0.92 + 0.35 * blades / (1.0 + 0.03 * z) + 0.3 * (patch - 0.5))
    }

    /// Colour and class at offset `u`, distance `z`; one pixel is `pixel` metres wide.
    fn look(&self, street: &Street, u: f32, z: f32, pixel: f32) -> (Rgb, u8) {
        let side: &Side = &street.sides[usize::from(u > 0.0)];
        let out = u.abs();
        if out < side.road || street.crossed(z, 0.0) {
            let mut rgb = self.road(street, u, z, pixel);
            if let Some(track) = street.track {
                let rail = band(0.68, 0.76, (u - track).abs(), pixel);
                rgb = mix(rgb, [0.42, 0.41, 0.42], 0.3 * band(-1.3, 1.3, u - track, pixel));
                rgb = mix(rgb, [0.26, 0.24, 0.24], rail);
            }
            return (rgb, ids::ROAD);
        }
        if out < side.walk {
            let kerb = band(0.0, 0.16, out - side.road, pixel);
            return (mix(self.paved(u, z, pixel), [0.70, 0.69, 0.67], kerb), ids::SIDEWALK);
        }
        if out < side.verge || self.beyond == ids::TERRAIN {
            return (self.green(u, z), ids::TERRAIN);
        }
        (self.paved(u, z, pixel), ids::SIDEWALK)
    }
}

/// Fills everything below the horizon.
pub fn paint_ground(p: &mut Painter, rng: &mut Rng, roofs: &[Vec<f32>; 2]) {
    let ground = Ground::draw(rng, &p.street);
    let shade = Shade::new(p, roofs, rng.bits());
    let light = p.light;
    let Camera { focal, center, horizon, height } = p.camera;
    let from = (horizon.max(0.0) as usize).min(p.canvas.height);
    for y in from..p.canvas.height {
        let below = y as f32 + 0.5 - horizon;
        if below < 0.2 {
            continue;
        }
        let z = focal * height / below;
        let pixel = z / focal;
        let bend = p.street.bend_at(z.min(200.0));
        // A wet sheen of the sky far ahead.
        let sheen = 0.10 * z / (z + 60.0);
        for x in 0..p.canvas.width {
            let u = (x as f32 + 0.5 - center) * pixel - bend;
            let (albedo, label) = ground.look(&p.street, u, z, pixel);
            let lit = light.on_ground(albedo, shade.sunlit(u, z));
            let rgb = light.through_air(add(lit, scale(light.horizon, sheen)), z);
            p.canvas.set(x, y, rgb, label);
        }
    }
}

//! Walls, fences and hedges along the street.

use super::color::{Rgb, band, mix, scale};
use super::ids;
use super::noise::{double, floor, fract, hash, value};
use super::painter::{Painter, Spot, Thing};
use crate::rng::Rng;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Brick,
    Concrete,
    Pickets,
    Mesh,
    Rails,
    Hedge,
}

pub struct Barrier {
    kind: Kind,
    u: f32,
    z0: f32,
    z1: f32,
    height: f32,
    rgb: Rgb,
    paint: Rgb,
    seed: u32,
}

/// What a lot's border is to be labelled as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Border {
    Wall,
    Fence,
    Hedge,
}

impl Barrier {
    /// A barrier `u` metres right of the street's line, from `z0` to `z1`.
    pub fn draw(rng: &mut Rng, border: Border, u: f32, (z0, z1): (f32, f32)) -> Barrier {
        let kind = match border {
            Border::Wall => rng.pick(&[Kind::Brick, Kind::Concrete, Kind::Concrete]),
            Border::Fence => rng.pick(&[Kind::Pickets, Kind::Mesh, Kind::Rails]),
            Border::Hedge => Kind::Hedge,
        };
        let (rgb, height) = match kind {
            Kind::Brick => (rng.pick(&[[0.55, 0.33, 0.26], [0.60, 0.42, 0.33]]), rng.range(1.3, 2.6)),
            Kind::Concrete => {
                (rng.pick(&[[0.63, 0.62, 0.60], [0.58, 0.55, 0.50], [0.70, 0.67, 0.61]]), rng.range(1.2, 3.2))
            }
            Kind::Pickets => {
                (rng.pick(&[[0.84, 0.83, 0.80], [0.46, 0.33, 0.22], [0.26, 0.33, 0.27]]), rng.range(1.0, 1.7))
            }
            Kind::Mesh => (rng.pick(&[[0.50, 0.53, 0.54], [0.22, 0.36, 0.27]]), rng.range(1.5, 2.4)),
            Kind::Rails => (rng.pick(&[[0.20, 0.21, 0.23], [0.70, 0.70, 0.68]]), rng.range(0.9, 1.3)),
            Kind::Hedge => (rng.pick(&[[0.20, 0.32, 0.13], [0.25, 0.36, 0.15]]), rng.range(0.9, 2.0)),
        };
        let paint =
            rng.pick(&[[0.30, 0.42, 0.66], [0.70, 0.28, 0.32], [0.32, 0.55, 0.40], [0.75, 0.66, 0.30]]);
        Barrier { kind, u, z0, z1, height, rgb, paint, seed: rng.bits() }
    }

    /// Height in metres, for shadows.
    pub fn height(&self) -> f32 {
        self.height
    }

    fn look(&self, s: Spot) -> (Rgb, f32) {
        match self.kind {
            Kind::Brick => {
                let row = s.v / 0.2;
                let tone = hash(floor(s.u * 2.2 + 0.5 * fract(row * 0.5)), floor(row), self.seed) - 0.5;
                let near = 1.0 / (1.0 + 8.0 * s.pixel_v);
                (
                    scale(
                        self.rgb,
                        1.0 + 0.35 * near * tone + 0.15 * (double(s.u * 0.5, s.v, self.seed) - 0.5),
                    ),
                    1.0,
                )
            }
            Kind::Concrete => {
                let stains = double(s.u * 0.6, s.v * 0.9, self.seed) - 0.5;
                let joint = band(0.0, 0.07, fract(s.u / 2.5) * 2.5, s.pixel_u);
                let mut rgb = scale(self.rgb, (1.0 + 0.28 * stains) * (1.0 - 0.35 * joint));
                // Somebody was here with a spray can.
                let tag = value(s.u * 0.8, s.v * 1.7, self.seed ^ 8);
                if self.seed.is_multiple_of(3) && tag > 0.66 && s.v < 0.8 * self.height {
                    rgb = mix(rgb, self.paint, 0.7);
                }
                (rgb, 1.0)
            }
            Kind::Pickets => {
                let slat = band(0.03, 0.13, fract(s.u / 0.18) * 0.18, s.pixel_u);
                let rail = band(0.3, 0.4, s.v, s.pixel_v).max(band(
                    self.height - 0.35,
                    self.height - 0.25,
                    s.v,
                    s.pixel_v,
                ));
                (self.rgb, (slat.max(rail)).max(0.15))
            }
            Kind::Mesh => {
                let post = band(0.0, 0.08, fract(s.u / 2.5) * 2.5, s.pixel_u);
                let top = band(self.height - 0.08, self.height, s.v, s.pixel_v);
                (self.rgb, post.max(top).max(0.42))
            }
            Kind::Rails => {
                let post = band(0.0, 0.08, fract(s.u / 1.8) * 1.8, s.pixel_u);
                let bars = band(0.0, 0.03, fract(s.u / 0.15) * 0.15, s.pixel_u);
                let top = band(self.height - 0.08, self.height, s.v, s.pixel_v);
                (self.rgb, post.max(top).max(bars).max(0.2))
            }
            Kind::Hedge => {
                let leaves = value(s.u * 6.0, s.v * 6.0, self.seed) - 0.5;
                let lumps = double(s.u * 0.9, s.v * 1.3, self.seed ^ 4) - 0.5;
                (scale(self.rgb, 1.0 + 0.55 * leaves + 0.6 * lumps), 1.0)
            }
        }
    }
}

impl Thing for Barrier {
    fn distance(&self) -> f32 {
        self.z1
    }

    fn paint(&self, p: &mut Painter) {
        let light = p.light;
        let label = match self.kind {
            Kind::Brick | Kind::Concrete => ids::WALL,
            Kind::Pickets | Kind::Mesh | Kind::Rails => ids::FENCE,
            Kind::Hedge => ids::VEGETATION,
        };
        let normal = [-self.u.signum(), 0.0, 0.0];
        let base = |z: f32| [self.u + p.street.bend_at(z), z];
        let (a, b) = (base(self.z0), base(self.z1));
        p.wall(a, b, (0.0, self.height), Some(label), |s| {
            let (rgb, opacity) = self.look(s);
            let foot = 1.0 - 0.25 / (1.0 + 5.0 * s.v.max(0.0));
            (light.through_air(scale(light.on(rgb, normal), foot), s.z), opacity)
        });
        // Solid ones have a top that shows from above when low.
        if label == ids::WALL && self.height < p.camera.height {
            let w = 0.25 * self.u.signum();
            let top = [
                [a[0], self.height, a[1]],
                [b[0], self.height, b[1]],
                [b[0] + w, self.height, b[1]],
                [a[0] + w, self.height, a[1]],
            ];
            let rgb = light.through_air(light.on_ground(scale(self.rgb, 1.05), 1.0), self.z0);
            p.flat(&top, Some(label), rgb);
        }
    }
}

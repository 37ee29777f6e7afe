//! Buildings: a textured front along the street, the wall that faces the camera, and a roof.

use super::color::{Rgb, band, grey, mix, scale};
use super::ids;
use super::light::Light;
use super::noise::{double, floor, fract, hash};
use super::painter::{Painter, Spot, Thing};
use crate::rng::Rng;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Skin {
    Plaster,
    Brick,
    Glass,
    Panels,
}

/// One house front between two points of the ground, with its gable end.
pub struct Building {
    /// Offsets of the front from the street's line and its far side, positive to the right.
    front: f32,
    back: f32,
    z0: f32,
    z1: f32,
    height: f32,
    roof: f32,
    seed: u32,
    skin: Skin,
    wall: Rgb,
    trim: Rgb,
    tiles: Rgb,
    storey: f32,
    bay: f32,
    window: (f32, f32),
    shop: bool,
    sign: Rgb,
}

impl Building {
    /// A building on the side `sign` (-1 left, 1 right) from `z0` to `z1`, its front `offset` metres out.
    pub fn draw(rng: &mut Rng, side: f32, offset: f32, (z0, z1): (f32, f32), city: bool) -> Building {
        let skin = match rng.unit() {
            k if k < 0.55 => Skin::Plaster,
            k if k < 0.75 => Skin::Brick,
            k if k < 0.87 || !city => Skin::Panels,
            _ => Skin::Glass,
        };
        let wall = match skin {
            Skin::Plaster => rng.pick(&[
                [0.83, 0.77, 0.66],
                [0.76, 0.71, 0.64],
                [0.86, 0.84, 0.79],
                [0.78, 0.66, 0.52],
                [0.70, 0.58, 0.50],
                [0.62, 0.65, 0.64],
                [0.82, 0.72, 0.55],
                [0.66, 0.50, 0.43],
            ]),
            Skin::Brick => {
                rng.pick(&[[0.56, 0.32, 0.25], [0.62, 0.40, 0.30], [0.50, 0.37, 0.30], [0.66, 0.54, 0.43]])
            }
            Skin::Glass => rng.pick(&[[0.36, 0.42, 0.47], [0.30, 0.36, 0.44], [0.45, 0.47, 0.47]]),
            Skin::Panels => rng.pick(&[[0.64, 0.63, 0.61], [0.55, 0.56, 0.58], [0.70, 0.68, 0.63]]),
        };
        let storey = rng.range(2.9, 3.7);
        let storeys = if city { 2 + rng.below(5) } else { 1 + rng.below(2) };
        let pitched = skin != Skin::Glass && rng.chance(if city { 0.45 } else { 0.9 });
        let depth = if city { rng.range(9.0, 14.0) } else { rng.range(7.0, 10.0) };
        Building {
            front: side * offset,
            back: side * (offset + depth),
            z0,
            z1,
            height: storey * storeys as f32 + rng.range(0.3, 1.2),
            roof: if pitched { rng.range(1.8, 3.6) } else { 0.0 },
            seed: rng.bits(),
            skin,
            wall: scale(wall, rng.range(0.82, 1.05)),
            trim: rng.pick(&[[0.90, 0.89, 0.86], [0.55, 0.50, 0.45], [0.38, 0.36, 0.36]]),
            tiles: rng.pick(&[
                [0.46, 0.24, 0.18],
                [0.35, 0.22, 0.19],
                [0.30, 0.30, 0.33],
                [0.52, 0.33, 0.24],
            ]),
            storey,
            bay: rng.range(1.9, 3.4),
            window: (rng.range(0.38, 0.62), rng.range(0.45, 0.68)),
            shop: city && rng.chance(0.5),
            sign: rng.pick(&[
                [0.70, 0.16, 0.14],
                [0.13, 0.30, 0.56],
                [0.14, 0.42, 0.28],
                [0.85, 0.62, 0.15],
                [0.24, 0.22, 0.22],
                [0.86, 0.85, 0.82],
            ]),
        }
    }

    /// Height of the eaves, for shadows.
    pub fn height(&self) -> f32 {
        self.height + 0.6 * self.roof
    }

    fn wall_color(&self, s: Spot) -> Rgb {
        let dirt = double(s.u * 0.35, s.v * 0.5, self.seed) - 0.5;
        let mut rgb = scale(self.wall, 1.0 + 0.16 * dirt - 0.10 / (1.0 + s.v.max(0.0)));
        match self.skin {
            Skin::Brick => {
                let (row, near) = (s.v / 0.22, 1.0 / (1.0 + 6.0 * s.pixel_v));
                let tone =
                    hash(floor(s.u * 1.4 + hash(floor(row), 1, self.seed)), floor(row), self.seed) - 0.5;
                rgb = scale(
                    rgb,
                    1.0 + near * (0.30 * tone - 0.25 * band(0.0, 0.2, fract(row), s.pixel_v / 0.22)),
                );
            }
            Skin::Panels => {
                let joint = band(0.0, 0.06, fract(s.v / self.storey) * self.storey, s.pixel_v).max(band(
                    0.0,
                    0.06,
                    fract(s.u / (2.0 * self.bay)) * 2.0 * self.bay,
                    s.pixel_u,
                ));
                rgb = scale(rgb, 1.0 - 0.30 * joint);
            }
            Skin::Plaster | Skin::Glass => {}
        }
        rgb
    }

    /// Glass of one window: dark with a reflection of the sky, now and then a lamp behind it.
    fn glass(&self, bay: i32, floor: i32, rise: f32, light: &Light) -> Rgb {
        let pane = hash(bay, floor, self.seed ^ 77);
        if hash(bay, floor, self.seed ^ 78) < light.lit_windows {
            return [0.98, 0.84, 0.52];
        }
        let mirrored = mix(light.horizon, light.zenith, rise);
        let curtain = if pane > 0.75 { 0.25 } else { 0.0 };
        mix(mix([0.10, 0.12, 0.15], mirrored, 0.22 + 0.3 * pane), grey(0.75), curtain)
    }

    /// The painted front, lit as a surface with this normal.
    fn front_color(&self, s: Spot, light: &Light, normal: [f32; 3], blank: bool) -> Rgb {
        let wall = light.on(self.wall_color(s), normal);
        if s.v > self.height - 0.35 && s.v <= self.height {
            return light.on(scale(self.trim, 0.9), normal);
        }
        if blank {
            return wall;
        }
        if self.shop && s.v < 3.2 {
            return self.shop_front(s, light, normal, wall);
        }
        let up = s.v - if self.shop { 3.2 } else { 0.4 };
        let (floor_at, bay) = (floor(up / self.storey), floor(s.u / self.bay));
        let (fu, fv) = (fract(s.u / self.bay) * self.bay, fract(up / self.storey) * self.storey);
        if up < 0.0 || (floor_at as f32 + 1.0) * self.storey > self.height {
            return wall;
        }
        let door = !self.shop && floor_at == 0 && bay % 5 == 2;
        let (half, tall) = if self.skin == Skin::Glass {
            (self.bay * 0.46, self.storey * 0.82)
        } else {
            (self.bay * self.window.0 * 0.5, self.storey * self.window.1)
        };
        let sill = if door { -0.4 } else { (self.storey - tall) * 0.55 };
        let top = if door { 2.1 } else { sill + tall };
        let middle = 0.5 * self.bay;
        let inside = |margin: f32| {
            band(middle - half - margin, middle + half + margin, fu, s.pixel_u)
                * band(sill - margin, top + margin, fv, s.pixel_v)
        };
        let frame = light.on(self.trim, normal);
        let pane = if door {
            light.on(scale(self.sign, 0.55), normal)
        } else {
            let glass = self.glass(bay, floor_at, (fv - sill) / tall, light);
            // The cross bar, and the shadow of the lintel.
            let bar = band(middle - 0.05, middle + 0.05, fu, s.pixel_u);
            let lintel = 0.35 * band(top - 0.25, top, fv, s.pixel_v);
            scale(mix(glass, frame, bar), 1.0 - lintel)
        };
        mix(mix(wall, frame, inside(0.14)), pane, inside(0.0))
    }

    fn shop_front(&self, s: Spot, light: &Light, normal: [f32; 3], wall: Rgb) -> Rgb {
        if s.v > 2.55 {
            let letters =
                hash(floor(s.u * 2.6), floor(s.v * 4.0), self.seed) > 0.6 && s.v > 2.7 && s.v < 3.05;
            let board = if letters { mix(self.sign, grey(0.9), 0.7) } else { self.sign };
            return light.on(board, normal);
        }
        let width = 2.0 * self.bay;
        let fu = fract(s.u / width) * width;
        let pane = band(0.25, width - 0.25, fu, s.pixel_u) * band(0.45, 2.45, s.v, s.pixel_v);
        let bay = floor(s.u / width);
        let goods = hash(floor(s.u * 3.0), floor(s.v * 2.5), self.seed ^ 3);
        let glass = mix(self.glass(bay, -1, s.v / 2.5, light), [0.75, 0.60, 0.40], 0.35 * goods);
        mix(wall, glass, pane)
    }
}

impl Thing for Building {
    fn distance(&self) -> f32 {
        self.z1
    }

    fn paint(&self, p: &mut Painter) {
        let light = p.light;
        let front = |z: f32| [self.front + p.street.bend_at(z), z];
        let (near, far) = (front(self.z0), front(self.z1));
        let back_near = [self.back + p.street.bend_at(self.z0), self.z0];
        let side = self.front.signum();
        if self.roof > 0.0 {
            self.paint_roof(p, near, far, side);
        }
        // The end wall, which looks at the camera.
        p.wall(near, back_near, (0.0, self.height), Some(ids::BUILDING), |s| {
            let rgb = self.front_color(s, &light, [0.0, 0.0, -1.0], self.seed.is_multiple_of(3));
            (light.through_air(rgb, s.z), 1.0)
        });
        let normal = [-side, 0.0, 0.0];
        p.wall(near, far, (0.0, self.height), Some(ids::BUILDING), |s| {
            (light.through_air(self.front_color(s, &light, normal, false), s.z), 1.0)
        });
    }
}

impl Building {
    fn paint_roof(&self, p: &mut Painter, near: [f32; 2], far: [f32; 2], side: f32) {
        let light = p.light;
        let half = 0.5 * (self.back - self.front);
        let (eaves, ridge) = (self.height, self.height + self.roof);
        let z0 = near[1].max(super::camera::NEAR);
        let len = (half * half + self.roof * self.roof).sqrt();
        let normal = [-side * self.roof / len, half.abs() / len, 0.0];
        let gable = [[near[0], eaves, z0], [near[0] + 2.0 * half, eaves, z0], [near[0] + half, ridge, z0]];
        let wall = light.through_air(light.on(self.wall, [0.0, 0.0, -1.0]), z0);
        p.flat(&gable, Some(ids::BUILDING), wall);
        let slope = [
            [near[0], eaves, z0],
            [far[0], eaves, far[1]],
            [far[0] + half, ridge, far[1]],
            [near[0] + half, ridge, z0],
        ];
        let seed = self.seed;
        let lit = light.on(self.tiles, normal);
        let z = 0.5 * (z0 + far[1]);
        p.face(&slope, Some(ids::BUILDING), |x, y| {
            let tile = 0.9 + 0.2 * hash(floor(x * 0.7), floor(y * 0.9), seed);
            (light.through_air(scale(lit, tile), z), 1.0)
        });
    }
}

/// A building that closes the view: a front across the end of the street.
pub struct Closing {
    building: Building,
    half: f32,
    z: f32,
}

impl Closing {
    pub fn draw(rng: &mut Rng, z: f32) -> Closing {
        let building = Building::draw(rng, 1.0, 0.0, (z, z + 10.0), true);
        Closing { building, half: rng.range(14.0, 40.0), z }
    }
}

impl Thing for Closing {
    fn distance(&self) -> f32 {
        self.z
    }

    fn paint(&self, p: &mut Painter) {
        let light = p.light;
        let middle = p.street.bend_at(self.z);
        let (a, b) = ([middle - self.half, self.z], [middle + self.half, self.z]);
        let top = self.building.height;
        p.wall(a, b, (0.0, top), Some(ids::BUILDING), |s| {
            let rgb = self.building.front_color(s, &light, [0.0, 0.0, -1.0], false);
            (light.through_air(rgb, s.z), 1.0)
        });
    }
}

//! Trees and bushes: a trunk and a heap of leafy lumps, brighter towards the sun.

use super::color::{Rgb, scale};
use super::ids;
use super::noise::{hash, value};
use super::painter::{Painter, Thing};
use crate::rng::Rng;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Broad,
    Slender,
    Conifer,
    Bush,
}

pub struct Plant {
    u: f32,
    z: f32,
    height: f32,
    width: f32,
    form: Form,
    leaf: Rgb,
    bark: Rgb,
    seed: u32,
}

impl Plant {
    pub fn tree(rng: &mut Rng, u: f32, z: f32) -> Plant {
        let form = match rng.unit() {
            k if k < 0.68 => Form::Broad,
            k if k < 0.84 => Form::Slender,
            _ => Form::Conifer,
        };
        let height = rng.range(4.5, 10.0);
        let spread = match form {
            Form::Broad => rng.range(0.5, 0.8),
            Form::Slender => rng.range(0.25, 0.38),
            Form::Conifer | Form::Bush => rng.range(0.38, 0.55),
        };
        Plant::new(rng, u, z, height, height * spread, form)
    }

    pub fn bush(rng: &mut Rng, u: f32, z: f32) -> Plant {
        let height = rng.range(0.7, 2.2);
        let width = height * rng.range(1.0, 1.8);
        Plant::new(rng, u, z, height, width, Form::Bush)
    }

    fn new(rng: &mut Rng, u: f32, z: f32, height: f32, width: f32, form: Form) -> Plant {
        let leaf = match form {
            Form::Conifer => rng.pick(&[[0.13, 0.25, 0.15], [0.16, 0.28, 0.16]]),
            _ => rng.pick(&[
                [0.24, 0.36, 0.13],
                [0.30, 0.42, 0.15],
                [0.20, 0.32, 0.12],
                [0.36, 0.42, 0.16],
                [0.48, 0.42, 0.14],
                [0.27, 0.33, 0.18],
            ]),
        };
        Plant { u, z, height, width, form, leaf, bark: [0.32, 0.26, 0.21], seed: rng.bits() }
    }

    fn random(&self, n: i32) -> f32 {
        hash(n, 11, self.seed)
    }
}

impl Thing for Plant {
    fn distance(&self) -> f32 {
        self.z
    }

    fn paint(&self, p: &mut Painter) {
        let (light, s) = (p.light, p.camera.scale(self.z));
        let [bx, _, _] = p.at(self.u, 0.0, self.z);
        let foot = p.camera.project([bx, 0.0, self.z]);
        let (h, w) = (self.height * s, self.width * s);
        let air = |rgb: Rgb| light.through_air(rgb, self.z);
        if self.form != Form::Bush {
            p.shadow(bx, self.z, 0.3 * self.width, 0.3 * self.width, 1.0);
            let r = (0.018 * self.height * s).max(0.4);
            let top = [foot[0] + 0.02 * h * (self.random(0) - 0.5), foot[1] - 0.6 * h];
            p.canvas.stroke((foot, 1.3 * r), (top, 0.7 * r), Some(ids::VEGETATION), |_, across| {
                (air(light.on_round(self.bark, across)), 1.0)
            });
        }
        if self.form == Form::Conifer {
            return self.paint_conifer(p, foot, h, w);
        }
        let lumps = if s > 12.0 {
            16
        } else if s > 5.0 {
            9
        } else {
            5
        };
        let (low, tall) = match self.form {
            Form::Broad => (0.32, 0.68),
            Form::Slender => (0.16, 0.84),
            Form::Conifer | Form::Bush => (0.0, 1.0),
        };
        for n in 0..lumps {
            // From the top down, so that lower lumps lie in front; spread like an egg.
            let t = (n as f32 + 0.5) / lumps as f32;
            let belly = 1.0 - (2.0 * t - 1.0) * (2.0 * t - 1.0);
            let dx = (self.random(n * 3 + 1) - 0.5) * w * (0.35 + 0.45 * belly);
            let r = 0.5 * w * (0.30 + 0.30 * belly) * (0.8 + 0.4 * self.random(n * 3 + 2));
            let ry = r * if self.form == Form::Slender { 1.5 } else { 0.9 };
            let bottom = foot[1] - low * h;
            let y = bottom - (1.0 - t) * (tall * h - 1.2 * ry).max(0.0) - 0.6 * ry;
            let rise = 1.0 - t;
            self.paint_lump(p, [foot[0] + dx, y], r, ry, rise, n);
        }
    }
}

impl Plant {
    fn paint_lump(&self, p: &mut Painter, c: [f32; 2], rx: f32, ry: f32, rise: f32, n: i32) {
        let light = p.light;
        let seed = self.seed.wrapping_add(n as u32);
        let detail = (rx * 0.35).clamp(1.0, 7.0);
        let tone = 0.85 + 0.3 * self.random(n * 3 + 3);
        let z = self.z;
        p.canvas.blob(
            c,
            rx,
            ry,
            Some(ids::VEGETATION),
            |x, y| {
                0.45 * (value(x * 2.6 + 9.0, y * 2.6, seed) - 0.42)
                    + 0.2 * (hash((x * 37.0) as i32, (y * 37.0) as i32, seed) - 0.5)
            },
            |x, y| {
                let leaves = value(x * detail, y * detail, seed ^ 1);
                let round = (1.0 - x * x - y * y).max(0.0).sqrt();
                let normal = [0.8 * x, 0.35 - 0.8 * y, -0.6 * round];
                let shade = 0.50 + 0.65 * leaves + 0.22 * rise - 0.18 * y;
                (light.through_air(scale(light.on(self.leaf, normal), shade * tone), z), 1.0)
            },
        );
    }

    fn paint_conifer(&self, p: &mut Painter, foot: [f32; 2], h: f32, w: f32) {
        let light = p.light;
        let (seed, z) = (self.seed, self.z);
        for tier in 0..5 {
            let t = tier as f32 / 5.0;
            let base = foot[1] - h * (0.12 + 0.72 * t);
            let half = 0.5 * w * (1.0 - 0.78 * t);
            let tip = base - h * (0.34 - 0.10 * t);
            let points = [[foot[0] - half, base], [foot[0] + half, base], [foot[0], tip.max(foot[1] - h)]];
            p.canvas.polygon(&points, Some(ids::VEGETATION), |x, y| {
                let needles = value(x * 0.8, y * 0.8, seed);
                let across = ((x - foot[0]) / half.max(0.5)).clamp(-1.0, 1.0);
                let under = 0.75 + 0.35 * (base - y) / (base - tip).max(1.0);
                let rgb =
                    scale(light.on(self.leaf, [0.8 * across, 0.4, -0.5]), (0.6 + 0.7 * needles) * under);
                (light.through_air(rgb, z), 1.0)
            });
        }
    }
}

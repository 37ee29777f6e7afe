//! What stands on poles: lamps, traffic lights, traffic signs; and plain posts.

use super::canvas::Point;
use super::color::{Rgb, scale};
use super::ids;
use super::painter::{Painter, Thing};
use crate::rng::Rng;

enum Head {
    Lamp { arm: f32 },
    Light { phase: usize, arm: f32 },
    Signs(Vec<Sign>),
    None,
}

#[derive(Clone, Copy)]
struct Sign {
    shape: Shape,
    size: f32,
    rim: Rgb,
    face: Rgb,
    mark: Rgb,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Disc,
    Triangle,
    Yield,
    Square,
    Diamond,
    Octagon,
    Board,
}

/// A pole and what it carries.
pub struct Pole {
    u: f32,
    z: f32,
    height: f32,
    radius: f32,
    rgb: Rgb,
    head: Head,
}

const RED: Rgb = [0.78, 0.10, 0.12];
const BLUE: Rgb = [0.10, 0.28, 0.66];
const WHITE: Rgb = [0.93, 0.93, 0.92];
const YELLOW: Rgb = [0.95, 0.77, 0.12];
const BLACK: Rgb = [0.08, 0.08, 0.09];

impl Pole {
    /// A street lamp whose arm reaches towards the road.
    pub fn lamp(rng: &mut Rng, u: f32, z: f32) -> Pole {
        let rgb = rng.pick(&[[0.50, 0.51, 0.52], [0.33, 0.36, 0.34], [0.62, 0.62, 0.60]]);
        let arm = -u.signum() * rng.range(0.8, 2.0);
        Pole {
            u,
            z,
            height: rng.range(5.5, 8.5),
            radius: rng.range(0.07, 0.12),
            rgb,
            head: Head::Lamp { arm },
        }
    }

    /// A traffic light, on a post or hanging from an arm over the road.
    pub fn light(rng: &mut Rng, u: f32, z: f32) -> Pole {
        let overhead = rng.chance(0.4);
        let arm = if overhead { -u.signum() * rng.range(2.0, 3.5) } else { 0.0 };
        let height = if overhead { rng.range(5.2, 6.0) } else { rng.range(2.4, 3.2) };
        let rgb = rng.pick(&[[0.42, 0.43, 0.44], [0.56, 0.56, 0.55], [0.24, 0.26, 0.26]]);
        Pole {
            u,
            z,
            height,
            radius: rng.range(0.07, 0.11),
            rgb,
            head: Head::Light { phase: rng.below(4), arm },
        }
    }

    /// One or two traffic signs on a post.
    pub fn sign(rng: &mut Rng, u: f32, z: f32) -> Pole {
        let mut signs = vec![Sign::draw(rng)];
        if signs[0].shape != Shape::Board && rng.chance(0.3) {
            signs.push(Sign::draw(rng));
        }
        // Boards stand high; below a pair there must still be room to walk.
        let board = signs[0].shape == Shape::Board;
        let height = if board { rng.range(3.4, 4.4) } else { rng.range(2.3, 3.2) };
        if let [first, second] = signs[..]
            && height - 2.0 * (first.size + second.size) < 1.0
        {
            signs.pop();
        }
        Pole { u, z, height, radius: 0.045, rgb: [0.56, 0.57, 0.58], head: Head::Signs(signs) }
    }

    /// A bollard.
    pub fn post(rng: &mut Rng, u: f32, z: f32) -> Pole {
        let rgb = rng.pick(&[[0.30, 0.30, 0.32], [0.66, 0.66, 0.64], [0.55, 0.20, 0.18]]);
        Pole { u, z, height: rng.range(0.8, 1.1), radius: 0.075, rgb, head: Head::None }
    }
}

impl Sign {
    fn draw(rng: &mut Rng) -> Sign {
        let shape = rng.pick(&[
            Shape::Disc,
            Shape::Disc,
            Shape::Triangle,
            Shape::Yield,
            Shape::Square,
            Shape::Diamond,
            Shape::Octagon,
            Shape::Board,
        ]);
        let (rim, face, mark) = match shape {
            Shape::Disc => {
                rng.pick(&[(RED, WHITE, BLACK), (BLUE, BLUE, WHITE), (RED, BLUE, RED), (RED, RED, WHITE)])
            }
            Shape::Triangle => (RED, WHITE, BLACK),
            Shape::Yield => (RED, WHITE, WHITE),
            Shape::Square => rng.pick(&[(WHITE, BLUE, WHITE), (WHITE, WHITE, BLACK)]),
            Shape::Diamond => (WHITE, YELLOW, YELLOW),
            Shape::Octagon => (WHITE, RED, WHITE),
            Shape::Board => {
                rng.pick(&[(WHITE, BLUE, WHITE), (BLACK, YELLOW, BLACK), (WHITE, [0.10, 0.42, 0.26], WHITE)])
            }
        };
        let size = if shape == Shape::Board { rng.range(0.5, 0.8) } else { rng.range(0.33, 0.48) };
        Sign { shape, size, rim, face, mark }
    }

    fn outline(&self, c: Point, r: f32) -> Vec<Point> {
        let at = |points: &[[f32; 2]]| points.iter().map(|p| [c[0] + p[0] * r, c[1] + p[1] * r]).collect();
        match self.shape {
            Shape::Disc => Vec::new(),
            Shape::Triangle => at(&[[0.0, -1.0], [1.05, 0.8], [-1.05, 0.8]]),
            Shape::Yield => at(&[[0.0, 1.0], [1.05, -0.8], [-1.05, -0.8]]),
            Shape::Square => at(&[[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]),
            Shape::Diamond => at(&[[0.0, -1.1], [1.1, 0.0], [0.0, 1.1], [-1.1, 0.0]]),
            Shape::Octagon => at(&[
                [-0.42, -1.0],
                [0.42, -1.0],
                [1.0, -0.42],
                [1.0, 0.42],
                [0.42, 1.0],
                [-0.42, 1.0],
                [-1.0, 0.42],
                [-1.0, -0.42],
            ]),
            Shape::Board => at(&[[-1.5, -0.65], [1.5, -0.65], [1.5, 0.65], [-1.5, 0.65]]),
        }
    }

    fn paint(&self, p: &mut Painter, c: Point, s: f32, z: f32) {
        let light = p.light;
        let ink = |rgb: Rgb| {
            let lit = light.through_air(light.on(rgb, [0.0, 0.15, -0.98]), z);
            move |_: f32, _: f32| (lit, 1.0)
        };
        let r = self.size * s;
        let label = Some(ids::TRAFFIC_SIGN);
        if self.shape == Shape::Disc {
            p.canvas.ellipse(c, r, r, label, ink(self.rim));
            p.canvas.ellipse(c, 0.76 * r, 0.76 * r, None, ink(self.face));
            let bar = [[-0.45, -0.13], [0.45, -0.13], [0.45, 0.13], [-0.45, 0.13]];
            p.canvas.polygon(&bar.map(|q| [c[0] + q[0] * r, c[1] + q[1] * r]), None, ink(self.mark));
            return;
        }
        p.canvas.polygon(&self.outline(c, r), label, ink(self.rim));
        p.canvas.polygon(&self.outline(c, 0.8 * r), None, ink(self.face));
        match self.shape {
            Shape::Board => {
                for (y, half) in [(-0.28, 1.0), (0.0, 0.7), (0.28, 0.9)] {
                    let bar = [
                        [-1.2, y - 0.07],
                        [-1.2 + 2.0 * half, y - 0.07],
                        [-1.2 + 2.0 * half, y + 0.07],
                        [-1.2, y + 0.07],
                    ];
                    p.canvas.polygon(&bar.map(|q| [c[0] + q[0] * r, c[1] + q[1] * r]), None, ink(self.mark));
                }
            }
            _ => p.canvas.ellipse(c, 0.2 * r, 0.34 * r, None, ink(self.mark)),
        }
    }
}

impl Thing for Pole {
    fn distance(&self) -> f32 {
        self.z
    }

    fn paint(&self, p: &mut Painter) {
        let (light, s, z) = (p.light, p.camera.scale(self.z), self.z);
        let [x, _, _] = p.at(self.u, 0.0, z);
        p.shadow(x, z, 0.15, 0.15, 0.3);
        let foot = p.camera.project([x, 0.0, z]);
        let top = [foot[0], foot[1] - self.height * s];
        // Never thinner than the grid can show.
        let r = (self.radius * s).max(0.55);
        let label = Some(ids::POLE);
        let rgb = self.rgb;
        let metal = move |_: f32, across: f32| (light.through_air(light.on_round(rgb, across), z), 1.0);
        p.canvas.stroke((foot, r), (top, 0.8 * r), label, metal);
        match &self.head {
            Head::None => {}
            Head::Lamp { arm } => {
                let end = [top[0] + arm * s, top[1] - 0.3 * s];
                p.canvas.stroke((top, 0.7 * r), (end, 0.6 * r), label, metal);
                let glow = if light.lit_windows > 0.3 { [1.0, 0.92, 0.70] } else { [0.80, 0.80, 0.78] };
                p.canvas.ellipse(end, (0.35 * s).max(0.8), (0.12 * s).max(0.5), label, |_, _| {
                    (light.through_air(glow, z), 1.0)
                });
            }
            Head::Light { phase, arm } => {
                let end = [top[0] + arm * s, top[1]];
                if *arm != 0.0 {
                    p.canvas.stroke((top, 0.8 * r), (end, 0.6 * r), label, metal);
                }
                self.paint_light(p, [end[0], end[1] + 0.1 * s], s, *phase);
            }
            Head::Signs(signs) => {
                let mut y = top[1];
                for sign in signs {
                    y += sign.size * s;
                    sign.paint(p, [top[0], y], s, z);
                    y += sign.size * s;
                }
            }
        }
    }
}

impl Pole {
    fn paint_light(&self, p: &mut Painter, c: Point, s: f32, phase: usize) {
        let (light, z) = (p.light, self.z);
        let (w, h) = ((0.24 * s).max(0.85), (0.62 * s).max(1.8));
        let case = light.through_air(light.on([0.13, 0.14, 0.14], [0.0, 0.0, -1.0]), z);
        let corners =
            [[c[0] - w, c[1] - h], [c[0] + w, c[1] - h], [c[0] + w, c[1] + h], [c[0] - w, c[1] + h]];
        p.canvas.polygon(&corners, Some(ids::TRAFFIC_LIGHT), |_, _| (case, 1.0));
        let lamps: [(Rgb, bool); 3] = [
            ([0.98, 0.16, 0.10], phase == 0 || phase == 3),
            ([1.0, 0.72, 0.10], phase == 1 || phase == 3),
            ([0.15, 0.90, 0.50], phase == 2),
        ];
        for (n, (rgb, on)) in lamps.into_iter().enumerate() {
            let y = c[1] + h * (n as f32 - 1.0) * 0.62;
            let shown = if on { rgb } else { scale(rgb, 0.28) };
            p.canvas.ellipse([c[0], y], 0.68 * w, 0.28 * h, None, |_, _| {
                (light.through_air(shown, 0.4 * z), 1.0)
            });
        }
    }
}

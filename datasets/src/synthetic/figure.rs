//! People: a pedestrian, and the rider of a two-wheeler. Limbs are strokes between joints in space, so a
//! figure looks right from any side.

use super::canvas::Point;
use super::color::{Rgb, scale};
use super::ids;
use super::painter::{Painter, Thing};
use crate::rng::Rng;

/// Colours of a person.
#[derive(Clone, Copy)]
pub struct Clothes {
    pub skin: Rgb,
    pub hair: Rgb,
    pub top: Rgb,
    pub legs: Rgb,
    pub shoes: Rgb,
}

impl Clothes {
    pub fn draw(rng: &mut Rng) -> Clothes {
        let bright = rng.chance(0.45);
        let top = if bright {
            rng.pick(&[
                [0.76, 0.16, 0.16],
                [0.92, 0.90, 0.86],
                [0.90, 0.66, 0.16],
                [0.26, 0.46, 0.72],
                [0.36, 0.60, 0.42],
                [0.78, 0.50, 0.62],
            ])
        } else {
            rng.pick(&[
                [0.14, 0.15, 0.18],
                [0.24, 0.26, 0.33],
                [0.36, 0.33, 0.30],
                [0.30, 0.20, 0.18],
                [0.46, 0.47, 0.48],
            ])
        };
        Clothes {
            skin: rng.pick(&[[0.86, 0.68, 0.56], [0.74, 0.55, 0.43], [0.50, 0.35, 0.26], [0.36, 0.25, 0.19]]),
            hair: rng.pick(&[[0.10, 0.08, 0.07], [0.30, 0.20, 0.13], [0.55, 0.42, 0.26], [0.60, 0.59, 0.57]]),
            top,
            legs: rng.pick(&[[0.16, 0.19, 0.28], [0.11, 0.11, 0.12], [0.40, 0.36, 0.30], [0.26, 0.31, 0.40]]),
            shoes: rng.pick(&[[0.10, 0.09, 0.09], [0.75, 0.74, 0.72], [0.30, 0.20, 0.14]]),
        }
    }
}

/// A place and direction on the ground: local (ahead, up, right) to world.
#[derive(Clone, Copy)]
pub struct Frame {
    pub x: f32,
    pub z: f32,
    /// Unit vector ahead, (x, z).
    pub ahead: [f32; 2],
}

impl Frame {
    pub fn at(&self, l: f32, v: f32, w: f32) -> [f32; 3] {
        let [dx, dz] = self.ahead;
        [self.x + dx * l + dz * w, v, self.z + dz * l - dx * w]
    }
}

/// Strokes between points of a frame.
pub struct Limbs<'a> {
    pub p: &'a mut Painter,
    pub frame: Frame,
    pub label: u8,
}

impl Limbs<'_> {
    fn point(&self, [l, v, w]: [f32; 3]) -> (Point, f32) {
        let world = self.frame.at(l, v, w);
        (self.p.camera.project(world), self.p.camera.scale(world[2]))
    }

    /// A rounded limb from `a` to `b` (ahead, up, right) with radii in metres.
    pub fn limb(&mut self, a: [f32; 3], ra: f32, b: [f32; 3], rb: f32, rgb: Rgb) {
        let ((a, sa), (b, sb)) = (self.point(a), self.point(b));
        let (light, z) = (self.p.light, self.frame.z);
        self.p.canvas.stroke(
            (a, (ra * sa).max(0.25)),
            (b, (rb * sb).max(0.25)),
            Some(self.label),
            |_, across| (light.through_air(light.on_round(rgb, across), z), 1.0),
        );
    }

    /// A ball.
    pub fn ball(&mut self, c: [f32; 3], rx: f32, ry: f32, rgb: Rgb) {
        let (c, s) = self.point(c);
        let (light, z) = (self.p.light, self.frame.z);
        self.p.canvas.ellipse(c, (rx * s).max(0.4), (ry * s).max(0.4), Some(self.label), |x, y| {
            let front = (1.0 - x * x - y * y).max(0.0).sqrt();
            (light.through_air(light.on(rgb, [x, -y, -front]), z), 1.0)
        });
    }
}

/// Somebody walking or standing.
pub struct Pedestrian {
    u: f32,
    z: f32,
    tall: f32,
    clothes: Clothes,
    ahead: [f32; 2],
    stride: f32,
    swing: f32,
    coat: bool,
    bag: Option<Rgb>,
}

impl Pedestrian {
    pub fn draw(rng: &mut Rng, u: f32, z: f32) -> Pedestrian {
        let ahead = rng.pick(&[[0.0, 1.0], [0.0, -1.0], [0.0, 1.0], [0.0, -1.0], [1.0, 0.0], [-1.0, 0.0]]);
        Pedestrian::facing(rng, u, z, ahead)
    }

    pub fn facing(rng: &mut Rng, u: f32, z: f32, ahead: [f32; 2]) -> Pedestrian {
        let child = rng.chance(0.1);
        let tall = if child { rng.range(1.0, 1.35) } else { rng.range(1.58, 1.9) };
        let bag = rng.chance(0.35).then(|| Clothes::draw(rng).top);
        Pedestrian {
            u,
            z,
            tall: tall / 1.75,
            clothes: Clothes::draw(rng),
            ahead,
            stride: rng.range(0.05, 0.38),
            swing: rng.pick(&[-1.0, 1.0]),
            coat: rng.chance(0.3),
            bag,
        }
    }
}

impl Thing for Pedestrian {
    fn distance(&self) -> f32 {
        self.z
    }

    fn paint(&self, p: &mut Painter) {
        let [x, _, z] = p.at(self.u, 0.0, self.z);
        p.shadow(x, z, 0.28, 0.2, 1.2);
        let frame = Frame { x, z, ahead: self.ahead };
        let (k, c) = (self.tall, self.clothes);
        let stride = self.stride * self.swing;
        let mut body = Limbs { p, frame, label: ids::PERSON };
        // The far side first: it depends on which way the figure looks.
        let order = if self.ahead[0] > 0.5 { [-1.0, 1.0] } else { [1.0, -1.0] };
        let at = |l: f32, v: f32, w: f32| [l * k, v * k, w * k];
        for side in order {
            let step = stride * side;
            body.limb(
                at(0.0, 0.88, 0.10 * side),
                0.095 * k,
                at(0.55 * step + 0.03, 0.47, 0.10 * side),
                0.075 * k,
                c.legs,
            );
            body.limb(
                at(0.55 * step + 0.03, 0.47, 0.10 * side),
                0.07 * k,
                at(step, 0.08, 0.10 * side),
                0.05 * k,
                c.legs,
            );
            body.limb(
                at(step - 0.05, 0.05, 0.10 * side),
                0.05 * k,
                at(step + 0.13, 0.04, 0.10 * side),
                0.045 * k,
                c.shoes,
            );
        }
        let arm = |body: &mut Limbs, side: f32| {
            let step = -0.6 * stride * side;
            body.limb(
                at(0.0, 1.40, 0.20 * side),
                0.06 * k,
                at(0.5 * step, 1.12, 0.26 * side),
                0.05 * k,
                scale(c.top, 0.92),
            );
            body.limb(
                at(0.5 * step, 1.12, 0.26 * side),
                0.05 * k,
                at(step + 0.05, 0.88, 0.25 * side),
                0.04 * k,
                scale(c.top, 0.92),
            );
            body.ball(at(step + 0.06, 0.84, 0.25 * side), 0.05 * k, 0.05 * k, c.skin);
        };
        arm(&mut body, order[0]);
        if self.coat {
            body.limb(at(0.0, 1.35, 0.0), 0.19 * k, at(0.0, 0.66, 0.0), 0.20 * k, c.top);
        }
        let across = if self.ahead[1].abs() > 0.5 { 0.09 } else { 0.0 };
        for side in [-across, across] {
            body.limb(at(0.0, 1.36, side), 0.13 * k, at(0.0, 0.92, 0.8 * side), 0.12 * k, c.top);
        }
        if let Some(bag) = self.bag {
            // A backpack, seen from behind or from the side.
            if self.ahead[1] > -0.5 {
                body.limb(at(-0.16, 1.32, 0.0), 0.13 * k, at(-0.17, 1.05, 0.0), 0.14 * k, bag);
            }
        }
        arm(&mut body, order[1]);
        paint_head(&mut body, at(0.02, 1.62, 0.0), k, c, self.ahead[1] > 0.5);
    }
}

/// Head, neck and hair around the given centre.
fn paint_head(body: &mut Limbs, [l, v, w]: [f32; 3], k: f32, c: Clothes, from_behind: bool) {
    body.limb([l - 0.02 * k, v - 0.20 * k, w], 0.055 * k, [l, v - 0.06 * k, w], 0.055 * k, c.skin);
    if from_behind {
        body.ball([l, v, w], 0.105 * k, 0.13 * k, c.hair);
        return;
    }
    body.ball([l - 0.015 * k, v + 0.02 * k, w], 0.108 * k, 0.13 * k, c.hair);
    body.ball([l + 0.03 * k, v - 0.025 * k, w], 0.088 * k, 0.105 * k, c.skin);
}

/// Where a rider's body touches the machine, in (ahead, up) of its frame.
pub struct Seat {
    pub hip: [f32; 2],
    pub shoulder: [f32; 2],
    pub hand: [f32; 2],
    pub foot: [f32; 2],
    pub helmet: Option<Rgb>,
}

/// A rider on a two-wheeler, labelled as rider.
pub fn paint_rider(p: &mut Painter, frame: Frame, seat: &Seat, c: Clothes) {
    let from_behind = frame.ahead[1] > 0.5;
    let order = if frame.ahead[0] > 0.3 { [-1.0, 1.0] } else { [1.0, -1.0] };
    let mut body = Limbs { p, frame, label: ids::RIDER };
    let knee = [0.5 * (seat.hip[0] + seat.foot[0]) + 0.22, 0.5 * (seat.hip[1] + seat.foot[1]) + 0.10];
    for (n, side) in order.into_iter().enumerate() {
        // One pedal is up when the other is down.
        let lift = if n == 0 { 0.14 } else { 0.0 };
        let (foot, knee) = ([seat.foot[0], seat.foot[1] + lift], [knee[0], knee[1] + 0.5 * lift]);
        body.limb(
            [seat.hip[0], seat.hip[1], 0.10 * side],
            0.105,
            [knee[0], knee[1], 0.16 * side],
            0.08,
            c.legs,
        );
        body.limb([knee[0], knee[1], 0.16 * side], 0.075, [foot[0], foot[1], 0.14 * side], 0.055, c.legs);
        body.limb(
            [foot[0] - 0.05, foot[1] - 0.03, 0.14 * side],
            0.05,
            [foot[0] + 0.14, foot[1] - 0.03, 0.14 * side],
            0.045,
            c.shoes,
        );
        if n == 0 {
            arm(&mut body, seat, side, c);
        }
    }
    for side in [-0.09, 0.09] {
        let (s, h) = (seat.shoulder, seat.hip);
        body.limb([s[0], s[1] - 0.04, side], 0.14, [h[0], h[1] + 0.04, side], 0.13, c.top);
    }
    arm(&mut body, seat, order[1], c);
    let head = [seat.shoulder[0] + 0.10, seat.shoulder[1] + 0.26, 0.0];
    match seat.helmet {
        None => paint_head(&mut body, head, 1.0, c, from_behind),
        Some(rgb) => {
            body.ball([head[0] + 0.03, head[1] - 0.05, 0.0], 0.10, 0.12, c.skin);
            body.ball([head[0] - 0.01, head[1] + 0.03, 0.0], 0.135, 0.125, rgb);
        }
    }
}

fn arm(body: &mut Limbs, seat: &Seat, side: f32, c: Clothes) {
    let (s, h) = (seat.shoulder, seat.hand);
    let elbow = [0.5 * (s[0] + h[0]), 0.5 * (s[1] + h[1]) - 0.08, 0.27 * side];
    let sleeve = scale(c.top, 0.92);
    body.limb([s[0], s[1] - 0.03, 0.19 * side], 0.065, elbow, 0.055, sleeve);
    body.limb(elbow, 0.055, [h[0], h[1], 0.24 * side], 0.045, sleeve);
    body.ball([h[0], h[1], 0.24 * side], 0.05, 0.05, c.skin);
}

//! Two-wheelers: bicycles and motorcycles, ridden or parked.

use super::color::{Rgb, scale};
use super::figure::{Clothes, Frame, Limbs, Seat, paint_rider};
use super::ids;
use super::painter::{Painter, Thing};
use crate::rng::Rng;

/// Sine and cosine of 45 degrees.
const R: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// Directions of a circle in eight steps of 22.5 degrees (half of it; the rest is the negative).
const HALF_CIRCLE: [[f32; 2]; 8] = [
    [1.0, 0.0],
    [0.923_879_5, 0.382_683_43],
    [R, R],
    [0.382_683_43, 0.923_879_5],
    [0.0, 1.0],
    [-0.382_683_43, 0.923_879_5],
    [-R, R],
    [-0.923_879_5, 0.382_683_43],
];

pub struct Cycle {
    u: f32,
    z: f32,
    ahead: [f32; 2],
    motor: bool,
    frame: Rgb,
    rider: Option<(Clothes, Option<Rgb>)>,
}

impl Cycle {
    pub fn draw(rng: &mut Rng, u: f32, z: f32, motor: bool, ridden: bool, ahead: [f32; 2]) -> Cycle {
        let helmet =
            rng.pick(&[[0.85, 0.85, 0.84], [0.12, 0.12, 0.14], [0.75, 0.15, 0.14], [0.18, 0.35, 0.65]]);
        let wears = motor || rng.chance(0.4);
        let frame = rng.pick(&[
            [0.70, 0.12, 0.12],
            [0.14, 0.15, 0.17],
            [0.15, 0.32, 0.62],
            [0.75, 0.75, 0.74],
            [0.20, 0.48, 0.32],
            [0.85, 0.60, 0.15],
        ]);
        let clothes = Clothes::draw(rng);
        Cycle { u, z, ahead, motor, frame, rider: ridden.then(|| (clothes, wears.then_some(helmet))) }
    }
}

impl Thing for Cycle {
    fn distance(&self) -> f32 {
        self.z
    }

    fn paint(&self, p: &mut Painter) {
        let [x, _, z] = p.at(self.u, 0.0, self.z);
        let along = if self.ahead[0].abs() > 0.5 { (0.8, 0.25) } else { (0.25, 0.8) };
        p.shadow(x, z, along.0, along.1, 1.0);
        let frame = Frame { x, z, ahead: self.ahead };
        if self.motor {
            self.paint_motorcycle(p, frame);
        } else {
            self.paint_bicycle(p, frame);
        }
        if let Some((clothes, helmet)) = self.rider {
            let seat = if self.motor {
                Seat {
                    hip: [-0.25, 0.86],
                    shoulder: [0.02, 1.36],
                    hand: [0.42, 1.02],
                    foot: [0.02, 0.34],
                    helmet,
                }
            } else {
                Seat {
                    hip: [-0.22, 1.0],
                    shoulder: [0.10, 1.47],
                    hand: [0.42, 1.05],
                    foot: [0.0, 0.26],
                    helmet,
                }
            };
            paint_rider(p, frame, &seat, clothes);
        }
    }
}

impl Cycle {
    /// A wheel around (l, r): a see-through disc that is labelled whole, and the tyre.
    fn wheel(&self, limbs: &mut Limbs, l: f32, r: f32, tyre: f32, hub: Rgb) {
        let point = |c: f32, s: f32| [l + c * r, r + tyre + s * r, 0.0];
        let circle: Vec<[f32; 3]> = HALF_CIRCLE
            .iter()
            .map(|d| point(d[0], d[1]))
            .chain(HALF_CIRCLE.iter().map(|d| point(-d[0], -d[1])))
            .collect();
        let frame = limbs.frame;
        let disc: Vec<[f32; 3]> = circle.iter().map(|c| frame.at(c[0], c[1], c[2])).collect();
        let label = Some(limbs.label);
        limbs.p.face(&disc, label, |_, _| (hub, 0.30));
        for i in 0..circle.len() {
            let (a, b) = (circle[i], circle[(i + 1) % circle.len()]);
            limbs.limb(a, tyre, b, tyre, [0.09, 0.09, 0.10]);
        }
    }

    fn paint_bicycle(&self, p: &mut Painter, frame: Frame) {
        let mut b = Limbs { p, frame, label: ids::BICYCLE };
        for l in [0.52, -0.52] {
            self.wheel(&mut b, l, 0.31, 0.035, [0.35, 0.35, 0.37]);
        }
        let tube = 0.025;
        let (hub_f, hub_r, crank) = ([0.52, 0.34, 0.0], [-0.52, 0.34, 0.0], [-0.02, 0.30, 0.0]);
        let (head, saddle) = ([0.36, 0.86, 0.0], [-0.20, 0.84, 0.0]);
        for (from, to) in
            [(hub_r, crank), (hub_r, saddle), (crank, saddle), (crank, head), (saddle, head), (head, hub_f)]
        {
            b.limb(from, tube, to, tube, self.frame);
        }
        let dark = [0.10, 0.10, 0.11];
        b.limb(saddle, tube, [-0.22, 0.95, 0.0], tube, dark);
        b.limb([-0.34, 0.96, 0.0], 0.055, [-0.12, 0.95, 0.0], 0.035, dark);
        b.limb(head, tube, [0.38, 1.02, 0.0], tube, dark);
        b.limb([0.40, 1.03, -0.26], 0.025, [0.40, 1.03, 0.26], 0.025, dark);
    }

    fn paint_motorcycle(&self, p: &mut Painter, frame: Frame) {
        let mut m = Limbs { p, frame, label: ids::MOTORCYCLE };
        let (dark, metal) = ([0.12, 0.12, 0.13], [0.48, 0.48, 0.50]);
        for l in [0.68, -0.66] {
            self.wheel(&mut m, l, 0.26, 0.075, [0.25, 0.25, 0.27]);
        }
        m.limb([0.68, 0.33, 0.0], 0.06, [0.42, 0.95, 0.0], 0.06, metal);
        m.limb([-0.62, 0.36, 0.0], 0.06, [-0.10, 0.42, 0.0], 0.09, metal);
        m.limb([-0.10, 0.42, 0.0], 0.20, [0.20, 0.46, 0.0], 0.18, scale(metal, 0.7));
        m.limb([-0.60, 0.74, 0.0], 0.11, [0.0, 0.74, 0.0], 0.13, dark);
        m.limb([-0.02, 0.78, 0.0], 0.16, [0.34, 0.84, 0.0], 0.17, self.frame);
        m.limb([-0.78, 0.66, 0.0], 0.08, [-0.52, 0.66, 0.0], 0.12, self.frame);
        m.limb([0.60, 0.66, 0.0], 0.10, [0.78, 0.60, 0.0], 0.09, self.frame);
        m.limb([0.42, 1.02, -0.32], 0.035, [0.42, 1.02, 0.32], 0.035, dark);
        if frame.ahead[1] < -0.3 {
            m.ball([0.55, 0.88, 0.0], 0.12, 0.12, [0.95, 0.94, 0.85]);
        } else {
            m.ball([-0.85, 0.68, 0.0], 0.09, 0.06, [0.80, 0.10, 0.10]);
        }
    }
}

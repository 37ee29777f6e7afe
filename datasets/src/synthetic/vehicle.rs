//! Cars, trucks, buses and trams, put together from solids.

use super::color::{Rgb, mix, scale};
use super::figure::Frame;
use super::ids;
use super::painter::{Painter, Thing};
use super::solid::{Solid, rect};
use crate::rng::Rng;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Car,
    Van,
    Truck,
    Bus,
    Train,
}

/// Which way a vehicle points.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Heading {
    Away,
    Towards,
    Left,
    Right,
}

pub struct Vehicle {
    kind: Kind,
    u: f32,
    z: f32,
    heading: Heading,
    turn: f32,
    length: f32,
    width: f32,
    height: f32,
    paint: Rgb,
    second: Rgb,
    /// Shape of the cabin: where windscreen and rear window stand, as shares of the length from the rear.
    cabin: [f32; 4],
    waist: f32,
    lamps: bool,
}

const GLASS: Rgb = [0.10, 0.13, 0.16];

impl Vehicle {
    /// A vehicle whose middle stands `u` metres right of the street's line at distance `z`.
    pub fn draw(rng: &mut Rng, kind: Kind, u: f32, z: f32, heading: Heading) -> Vehicle {
        let car_paint = rng.pick(&[
            [0.82, 0.83, 0.84],
            [0.90, 0.90, 0.89],
            [0.14, 0.15, 0.17],
            [0.09, 0.09, 0.10],
            [0.44, 0.46, 0.49],
            [0.58, 0.60, 0.62],
            [0.62, 0.10, 0.11],
            [0.12, 0.22, 0.46],
            [0.22, 0.38, 0.60],
            [0.32, 0.36, 0.28],
            [0.70, 0.62, 0.48],
            [0.80, 0.55, 0.12],
        ]);
        let (length, width, height, paint, cabin, waist) = match kind {
            Kind::Car => {
                let cabin =
                    rng.pick(&[[0.05, 0.20, 0.56, 0.74], [0.16, 0.30, 0.58, 0.75], [0.02, 0.08, 0.55, 0.72]]);
                (rng.range(3.8, 4.8), rng.range(1.7, 1.9), rng.range(1.42, 1.72), car_paint, cabin, 0.60)
            }
            Kind::Van => {
                (rng.range(4.9, 5.8), 2.0, rng.range(2.0, 2.5), car_paint, [0.0, 0.02, 0.74, 0.90], 0.52)
            }
            Kind::Truck => (
                rng.range(6.5, 9.0),
                2.45,
                rng.range(3.1, 3.8),
                rng.pick(&[
                    [0.76, 0.14, 0.12],
                    [0.92, 0.92, 0.90],
                    [0.16, 0.32, 0.58],
                    [0.90, 0.70, 0.14],
                    [0.18, 0.42, 0.28],
                ]),
                [0.0; 4],
                0.0,
            ),
            Kind::Bus => (
                rng.range(10.0, 12.5),
                2.5,
                rng.range(2.95, 3.2),
                rng.pick(&[
                    [0.86, 0.66, 0.10],
                    [0.82, 0.12, 0.12],
                    [0.92, 0.92, 0.92],
                    [0.16, 0.36, 0.64],
                    [0.20, 0.52, 0.42],
                ]),
                [0.0; 4],
                0.0,
            ),
            Kind::Train => (
                rng.range(18.0, 30.0),
                2.4,
                rng.range(3.3, 3.6),
                rng.pick(&[
                    [0.88, 0.82, 0.68],
                    [0.84, 0.20, 0.14],
                    [0.22, 0.42, 0.66],
                    [0.86, 0.86, 0.86],
                    [0.30, 0.56, 0.30],
                ]),
                [0.0; 4],
                0.0,
            ),
        };
        let second = rng.pick(&[
            [0.88, 0.88, 0.86],
            [0.62, 0.64, 0.66],
            [0.24, 0.26, 0.30],
            [0.40, 0.52, 0.62],
            [0.80, 0.74, 0.60],
        ]);
        let turn = rng.range(-0.04, 0.04) * if kind == Kind::Train { 0.0 } else { 1.0 };
        Vehicle {
            kind,
            u,
            z,
            heading,
            turn,
            length,
            width,
            height,
            paint,
            second,
            cabin,
            waist,
            lamps: rng.chance(0.5),
        }
    }

    /// Stands it along the kerb with the lights off.
    pub fn park(&mut self) {
        self.turn *= 0.5;
        self.lamps = false;
    }

    /// Length in metres.
    pub fn length(&self) -> f32 {
        self.length
    }

    fn label(&self) -> u8 {
        match self.kind {
            Kind::Car | Kind::Van => ids::CAR,
            Kind::Truck => ids::TRUCK,
            Kind::Bus => ids::BUS,
            Kind::Train => ids::TRAIN,
        }
    }

    fn frame(&self, p: &Painter) -> Frame {
        let [x, _, z] = p.at(self.u, 0.0, self.z);
        let along = 2.0 * p.street.bend * self.z + self.turn;
        let ahead = match self.heading {
            Heading::Away => [along, 1.0],
            Heading::Towards => [-along, -1.0],
            Heading::Right => [1.0, self.turn],
            Heading::Left => [-1.0, self.turn],
        };
        let len = (ahead[0] * ahead[0] + ahead[1] * ahead[1]).sqrt();
        Frame { x, z, ahead: [ahead[0] / len, ahead[1] / len] }
    }
}

impl Thing for Vehicle {
    fn distance(&self) -> f32 {
        match self.heading {
            Heading::Away | Heading::Towards => self.z - 0.5 * self.length,
            Heading::Left | Heading::Right => self.z - 0.5 * self.width,
        }
    }

    fn paint(&self, p: &mut Painter) {
        let frame = self.frame(p);
        let along = matches!(self.heading, Heading::Away | Heading::Towards);
        let (hx, hz) = if along { (self.width, self.length) } else { (self.length, self.width) };
        p.shadow(frame.x, frame.z, 0.52 * hx, 0.52 * hz, 0.5 * self.height);
        let mut solid = Solid { p, frame, label: self.label() };
        match self.kind {
            Kind::Car | Kind::Van => self.paint_car(&mut solid),
            Kind::Truck => self.paint_truck(&mut solid),
            Kind::Bus | Kind::Train => self.paint_coach(&mut solid),
        }
    }
}

impl Vehicle {
    fn paint_car(&self, s: &mut Solid) {
        let (l, half, h) = (self.length, 0.5 * self.width, self.height);
        let (rear, front) = (-0.5 * l, 0.5 * l);
        let waist = self.waist * h;
        let nose = if self.kind == Kind::Van { waist } else { 0.86 * waist };
        let paint = self.paint;
        let under = scale(paint, 0.35);
        let axles = [rear + 0.19 * l, front - 0.18 * l];
        s.treads(half, &axles, 0.31);
        let body = [
            [rear + 0.05, 0.22],
            [front - 0.06, 0.22],
            [front, 0.45],
            [front - 0.03, nose],
            [front - 0.26 * l, waist],
            [rear + 0.05 * l, waist],
            [rear, 0.80 * waist],
            [rear, 0.40],
        ];
        s.prism(&body, half, paint, &[under, under, paint, paint, paint, paint, paint, under], 0.12);
        let at = |k: usize| rear + self.cabin[k] * l;
        let roof = [[at(0), waist], [at(3), waist], [at(2), h], [at(1), h]];
        s.prism(&roof, half - 0.10, paint, &[paint, GLASS, paint, GLASS], 0.16);
        // Side windows with the pillar between them.
        let lean = |k: usize, other: usize, t: f32| at(k) + (at(other) - at(k)) * t;
        let pillar = 0.5 * (at(1) + at(2));
        let (low, high) = (waist + 0.06, h - 0.10);
        let (t0, t1) = (0.12, 0.78);
        let glazed_from = if self.kind == Kind::Van { lean(3, 2, 0.0) - 0.32 * l } else { at(0) };
        let back = [
            [lean(0, 1, t0).max(glazed_from) + 0.12, low],
            [pillar - 0.05, low],
            [pillar - 0.05, high],
            [lean(0, 1, t1).max(glazed_from) + 0.12, high],
        ];
        let ahead = [
            [pillar + 0.05, low],
            [lean(3, 2, t0) - 0.10, low],
            [lean(3, 2, t1) - 0.10, high],
            [pillar + 0.05, high],
        ];
        if self.kind == Kind::Car {
            s.on_sides(half - 0.095, &back, GLASS, 0.22);
        }
        s.on_sides(half - 0.095, &ahead, GLASS, 0.22);
        s.on_sides(half + 0.005, &rect(rear + 0.3 * l, rear + 0.31 * l, 0.34, waist), scale(paint, 0.6), 0.0);
        s.wheels(half + 0.01, &axles, 0.31);
        // Lamps, plate and bumper.
        let (lamp_rear, lamp_front) = if self.lamps {
            ([0.95, 0.14, 0.10], [1.0, 0.98, 0.90])
        } else {
            ([0.50, 0.06, 0.06], [0.80, 0.82, 0.84])
        };
        let spread = (half - 0.36, half - 0.06);
        s.pair_on_end(rear - 0.01, false, spread, (0.62 * waist, 0.80 * waist), lamp_rear);
        s.pair_on_end(front + 0.01, true, spread, (0.60 * nose, 0.80 * nose), lamp_front);
        s.on_end(rear - 0.01, false, &rect(-0.26, 0.26, 0.46, 0.57), [0.92, 0.92, 0.90], 0.0);
        s.on_end(front + 0.01, true, &rect(-0.26, 0.26, 0.36, 0.47), [0.92, 0.92, 0.90], 0.0);
        s.on_end(front + 0.01, true, &rect(-0.5, 0.5, 0.54, 0.70), [0.10, 0.10, 0.11], 0.05);
        s.on_end(rear - 0.01, false, &rect(-half + 0.04, half - 0.04, 0.28, 0.42), scale(paint, 0.4), 0.0);
    }

    fn paint_truck(&self, s: &mut Solid) {
        let (l, half, h) = (self.length, 0.5 * self.width, self.height);
        let (rear, front) = (-0.5 * l, 0.5 * l);
        let cab = 1.9;
        let axles = [rear + 0.16 * l, rear + 0.32 * l, front - 0.9];
        s.treads(half, &axles, 0.48);
        let box_shape = rect(rear, front - cab - 0.25, 0.95, h);
        let low = rect(rear + 0.1, front - 0.4, 0.5, 0.98);
        let cab_shape =
            [[front - cab, 0.5], [front, 0.5], [front, 1.7], [front - 0.22, 2.75], [front - cab, 2.75]];
        let load = self.second;
        let dark = [0.16, 0.16, 0.17];
        s.prism(&low, half - 0.25, dark, &[dark], 0.0);
        let draw_box = |s: &mut Solid| {
            s.prism(&box_shape, half, load, &[load, scale(load, 0.9), scale(load, 0.95), load], 0.03);
            let (a, b) = (rear + 0.06 * l, front - cab - 0.6);
            s.on_sides(half + 0.005, &rect(a, b, 1.5, 0.62 * h + 0.3), mix(self.paint, load, 0.25), 0.03);
            s.on_end(rear - 0.005, false, &rect(-0.03, 0.03, 1.05, h - 0.15), scale(load, 0.6), 0.0);
            s.on_end(rear - 0.005, false, &rect(-half, half, 0.95, 1.06), dark, 0.0);
            s.pair_on_end(rear - 0.01, false, (half - 0.45, half - 0.1), (0.96, 1.10), [0.80, 0.10, 0.09]);
        };
        let draw_cab = |s: &mut Solid| {
            s.prism(
                &cab_shape,
                half - 0.06,
                self.paint,
                &[dark, self.paint, GLASS, self.paint, self.paint],
                0.10,
            );
            s.on_sides(
                half - 0.05,
                &[[front - 1.35, 1.6], [front - 0.12, 1.6], [front - 0.3, 2.45], [front - 1.35, 2.45]],
                GLASS,
                0.2,
            );
            s.on_end(front + 0.01, true, &rect(-half + 0.2, half - 0.2, 0.95, 1.35), dark, 0.05);
            s.pair_on_end(front + 0.01, true, (half - 0.5, half - 0.15), (0.65, 0.85), [0.95, 0.94, 0.86]);
        };
        // The farther part first.
        if self.heading == Heading::Away {
            draw_cab(s);
            draw_box(s);
        } else {
            draw_box(s);
            draw_cab(s);
        }
        s.wheels(half, &axles, 0.48);
    }

    fn paint_coach(&self, s: &mut Solid) {
        let (l, half, h) = (self.length, 0.5 * self.width, self.height);
        let (rear, front) = (-0.5 * l, 0.5 * l);
        let tram = self.kind == Kind::Train;
        let floor = if tram { 0.25 } else { 0.32 };
        let axles = [rear + 0.24 * l, front - 0.22 * l];
        if !tram {
            s.treads(half, &axles, 0.48);
        }
        let slant = if tram { 0.45 } else { 0.12 };
        let body = [
            [rear + 0.1, floor],
            [front - 0.1, floor],
            [front, 1.2],
            [front - slant, h],
            [rear + if tram { slant } else { 0.05 }, h],
            [rear, 1.2],
        ];
        let roof = scale(self.paint, 0.8);
        s.prism(&body, half, self.paint, &[roof, self.paint, self.paint, roof, self.paint, self.paint], 0.08);
        let stripe = mix(self.second, self.paint, 0.2);
        s.on_sides(half + 0.005, &rect(rear + 0.1, front - 0.1, floor + 0.15, 0.85), stripe, 0.05);
        // Windows, doors and the joints between cars.
        let (low, high) = (1.25, h - 0.50);
        let bays = (l / 1.5) as usize;
        let pitch = (l - 1.2) / bays as f32;
        for i in 0..bays {
            let a = rear + 0.6 + i as f32 * pitch;
            let door = i % 4 == 2;
            let bottom = if door { floor + 0.1 } else { low };
            s.on_sides(half + 0.008, &rect(a + 0.08, a + pitch - 0.08, bottom, high), GLASS, 0.22);
            if door {
                let m = a + 0.5 * pitch;
                s.on_sides(half + 0.012, &rect(m - 0.04, m + 0.04, bottom, high), self.paint, 0.05);
            }
        }
        if tram {
            for k in [0.33, 0.67] {
                let m = rear + k * l;
                s.on_sides(half + 0.015, &rect(m - 0.25, m + 0.25, floor, h), [0.15, 0.15, 0.16], 0.0);
            }
        } else {
            s.wheels(half + 0.01, &axles, 0.48);
        }
        for (at, ahead) in [(rear - 0.01, false), (front + 0.01, true)] {
            let top = if tram { h - 0.75 } else { h - 0.55 };
            s.on_end(at, ahead, &rect(-half + 0.12, half - 0.12, 1.3, top), GLASS, 0.22);
            s.on_end(at, ahead, &rect(-0.75, 0.75, h - 0.42, h - 0.14), [0.06, 0.06, 0.06], 0.0);
            s.on_end(
                at - if ahead { -0.01 } else { 0.01 },
                ahead,
                &rect(-0.55, 0.45, h - 0.34, h - 0.22),
                [0.98, 0.66, 0.10],
                0.0,
            );
            let rgb = if ahead { [1.0, 0.97, 0.86] } else { [0.85, 0.10, 0.10] };
            s.pair_on_end(at, ahead, (half - 0.45, half - 0.12), (0.7, 0.92), rgb);
        }
    }
}

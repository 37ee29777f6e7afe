//! Puts a street scene together: draws the plan, fills it with things, paints them from far to near.

use super::barrier::{Barrier, Border};
use super::building::{Building, Closing};
use super::camera::Camera;
use super::canvas::Canvas;
use super::cycle::Cycle;
use super::figure::Pedestrian;
use super::furniture::Pole;
use super::ground::paint_ground;
use super::hood::paint_hood;
use super::ids;
use super::light::Light;
use super::painter::{Painter, Thing};
use super::plant::Plant;
use super::sky::{paint_sky, paint_skyline};
use super::street::{FAR, Place, Side, Street};
use super::vehicle::{Heading, Kind, Vehicle};
use crate::rng::Rng;

/// The content of a scene while it is being drawn up.
struct Scene<'a> {
    rng: &'a mut Rng,
    street: Street,
    things: Vec<Box<dyn Thing>>,
    /// Heights along the left and right building lines, by metre: they cast the long shadows.
    roofs: [Vec<f32>; 2],
}

/// Paints one scene; everything in it comes from `rng`.
pub fn paint(rng: &mut Rng, width: usize, height: usize) -> Canvas {
    let camera = Camera::draw(rng, width, height);
    let light = Light::draw(rng);
    let street = Street::draw(rng);
    let roofs = [vec![0.0; FAR as usize], vec![0.0; FAR as usize]];
    let mut scene = Scene { rng, street, things: Vec::new(), roofs };
    scene.fill();
    let Scene { rng, street, mut things, roofs } = scene;
    let mut painter = Painter { canvas: Canvas::new(width, height, ids::SKY), camera, light, street };
    let p = &mut painter;
    paint_sky(p, rng);
    paint_skyline(p, rng);
    paint_ground(p, rng, &roofs);
    // A stable sort: equal distances keep the order of drawing up.
    things.sort_by(|a, b| b.distance().total_cmp(&a.distance()));
    for thing in &things {
        thing.paint(p);
    }
    if rng.chance(0.35) {
        paint_hood(p, rng);
    }
    painter.canvas
}

impl Scene<'_> {
    fn add(&mut self, thing: impl Thing + 'static) {
        self.things.push(Box::new(thing));
    }

    fn fill(&mut self) {
        for side in 0..2 {
            self.lots(side);
            self.street_trees(side);
            self.side_furniture(side);
            self.parked(side);
            self.on_sidewalk(side);
        }
        if self.street.place != Place::Country && self.rng.chance(0.35) {
            let z = self.rng.range(75.0, FAR);
            let closing = Closing::draw(self.rng, z);
            self.add(closing);
        }
        self.crossing();
        self.traffic();
        self.two_wheelers();
    }

    fn side(&self, side: usize) -> (Side, f32) {
        (self.street.sides[side], if side == 0 { -1.0 } else { 1.0 })
    }

    fn roof(&mut self, side: usize, (z0, z1): (f32, f32), height: f32) {
        for z in z0.max(0.0) as usize..(z1.max(0.0) as usize).min(FAR as usize) {
            self.roofs[side][z] = height;
        }
    }

    /// What stands behind the sidewalks, lot by lot.
    fn lots(&mut self, side: usize) {
        let (edges, sign) = self.side(side);
        let mut z = self.rng.range(-8.0, 3.0);
        while z < FAR {
            let length = match self.street.place {
                Place::City => self.rng.range(8.0, 20.0),
                Place::Suburb => self.rng.range(9.0, 16.0),
                Place::Country => self.rng.range(10.0, 25.0),
            };
            let mut end = z + length;
            if let Some((from, to)) = self.street.crossing {
                if z >= from - 3.0 && z < to + 1.0 {
                    z = to + 1.0;
                    continue;
                }
                if z < from {
                    end = end.min(from - 1.0);
                }
            }
            if end - z > 2.5 {
                self.lot(side, edges, sign, (z, end));
            }
            z = end + if self.street.place == Place::City && self.rng.chance(0.7) { 0.0 } else { 2.0 };
        }
    }

    fn lot(&mut self, side: usize, edges: Side, sign: f32, (z0, z1): (f32, f32)) {
        let built = match self.street.place {
            Place::City => 0.80,
            Place::Suburb => 0.66,
            Place::Country => 0.10,
        };
        let city = self.street.place == Place::City;
        if self.rng.chance(built) {
            let setback = if city { 0.0 } else { self.rng.range(2.5, 7.0) };
            let building = Building::draw(self.rng, sign, edges.verge + setback, (z0, z1), city);
            self.roof(side, (z0, z1), (building.height() - setback).max(0.0));
            self.add(building);
            if !city {
                self.border(side, edges, sign, (z0, z1), 0.75);
                if self.rng.chance(0.5) {
                    let (u, z) = (sign * (edges.verge + 1.3), self.rng.range(z0, z1));
                    let plant = Plant::bush(self.rng, u, z);
                    self.plant(plant, z);
                }
            }
            return;
        }
        // An open lot: a garden, a park, a field.
        self.border(
            side,
            edges,
            sign,
            (z0, z1),
            if self.street.place == Place::Country { 0.45 } else { 0.8 },
        );
        let trees = 1 + self.rng.below(if city { 3 } else { 4 });
        for _ in 0..trees {
            let (u, z) = (sign * (edges.verge + self.rng.range(1.5, 12.0)), self.rng.range(z0, z1));
            let plant =
                if self.rng.chance(0.7) { Plant::tree(self.rng, u, z) } else { Plant::bush(self.rng, u, z) };
            self.plant(plant, z);
        }
    }

    fn plant(&mut self, plant: Plant, z: f32) {
        // Leaves right before the lens would fill the picture.
        if z > 5.0 {
            self.add(plant);
        }
    }

    fn border(&mut self, side: usize, edges: Side, sign: f32, z: (f32, f32), chance: f32) {
        if !self.rng.chance(chance) {
            return;
        }
        let border =
            self.rng.pick(&[Border::Wall, Border::Fence, Border::Fence, Border::Hedge, Border::Wall]);
        let barrier = Barrier::draw(self.rng, border, sign * edges.verge, z);
        if self.roofs[side].get(z.0.max(0.0) as usize).is_some_and(|h| *h == 0.0) {
            self.roof(side, z, barrier.height());
        }
        self.add(barrier);
    }

    fn street_trees(&mut self, side: usize) {
        let (edges, sign) = self.side(side);
        let chance = match self.street.place {
            Place::City => 0.4,
            Place::Suburb => 0.5,
            Place::Country => 0.55,
        };
        if !self.rng.chance(chance) {
            return;
        }
        let u =
            if edges.verge - edges.walk > 0.8 { 0.5 * (edges.walk + edges.verge) } else { edges.walk - 0.5 };
        let step = self.rng.range(7.0, 16.0);
        let mut z = self.rng.range(7.0, 16.0);
        while z < 95.0 {
            if !self.street.crossed(z, 3.0) && self.rng.chance(0.85) {
                let jitter = self.rng.range(-0.2, 0.2);
                let tree = Plant::tree(self.rng, sign * (u + jitter), z);
                self.add(tree);
            }
            z += step * self.rng.range(0.85, 1.2);
        }
    }

    fn side_furniture(&mut self, side: usize) {
        let (edges, sign) = self.side(side);
        let u = sign * (edges.road + 0.45);
        if self.rng.chance(0.7) {
            let (mut z, step) = (self.rng.range(6.0, 24.0), self.rng.range(18.0, 30.0));
            while z < 90.0 {
                let lamp = Pole::lamp(self.rng, u, z);
                self.add(lamp);
                z += step;
            }
        }
        let most = if self.street.place == Place::Country { 3 } else { 4 };
        for _ in 0..self.rng.below(most) {
            let z = self.rng.range(5.0, 38.0);
            if !self.street.crossed(z, 1.0) {
                let sign = Pole::sign(self.rng, u, z);
                self.add(sign);
            }
        }
        if self.street.place == Place::City && self.rng.chance(0.15) {
            let (mut z, end) = (self.rng.range(5.0, 14.0), self.rng.range(18.0, 34.0));
            while z < end {
                if !self.street.crossed(z, 1.0) {
                    let post = Pole::post(self.rng, u, z);
                    self.add(post);
                }
                z += 1.8;
            }
        }
    }

    fn parked(&mut self, side: usize) {
        let (edges, sign) = self.side(side);
        if !edges.parking {
            return;
        }
        let mut z = self.rng.range(5.0, 14.0);
        while z < 80.0 {
            let free = self.street.crossed(z, 5.0)
                || self.street.zebra.is_some_and(|(a, b)| z > a - 3.0 && z < b + 3.0);
            if !free && self.rng.chance(0.72) {
                let kind = match self.rng.unit() {
                    k if k < 0.90 => Kind::Car,
                    k if k < 0.97 => Kind::Van,
                    _ => Kind::Truck,
                };
                let heading = if side == 0 { Heading::Towards } else { Heading::Away };
                let u = sign * (edges.road - 1.05);
                let mut car = Vehicle::draw(self.rng, kind, u, z, heading);
                car.park();
                z += 0.5 * car.length();
                self.add(car);
            }
            z += self.rng.range(3.4, 5.6);
        }
    }

    fn on_sidewalk(&mut self, side: usize) {
        let (edges, sign) = self.side(side);
        let width = edges.walk - edges.road;
        if width < 1.0 {
            return;
        }
        let most = match self.street.place {
            Place::City => 6,
            Place::Suburb => 3,
            Place::Country => 2,
        };
        for _ in 0..self.rng.below(most) {
            let u = sign * (edges.road + self.rng.range(0.6, (width - 0.3).max(0.7)));
            let z = self.rng.range(5.5, 38.0);
            let person = Pedestrian::draw(self.rng, u, z);
            self.add(person);
            if self.rng.chance(0.25) {
                let friend = Pedestrian::draw(self.rng, u + 0.6, z + 0.2);
                self.add(friend);
            }
        }
        if self.rng.chance(0.22) {
            // Two-wheelers left at the kerb.
            let motor = self.rng.chance(0.4);
            let mut z = self.rng.range(6.0, 20.0);
            for _ in 0..1 + self.rng.below(4) {
                let ahead = self.rng.pick(&[[1.0, 0.0], [-1.0, 0.0], [0.8, 0.6], [-0.6, 0.8]]);
                let cycle = Cycle::draw(self.rng, sign * (edges.road + 0.95), z, motor, false, ahead);
                self.add(cycle);
                z += 0.9;
            }
        }
    }

    /// Traffic lights, people and vehicles at the crossing street.
    fn crossing(&mut self) {
        let Some((from, to)) = self.street.crossing else { return };
        let lights = match self.street.place {
            Place::City => 0.95,
            Place::Suburb => 0.7,
            Place::Country => 0.4,
        };
        if self.rng.chance(lights) {
            for side in 0..2 {
                let (edges, sign) = self.side(side);
                let near = Pole::light(self.rng, sign * (edges.road + 0.5), from - 1.0);
                self.add(near);
                let far = Pole::light(self.rng, sign * (edges.road + 0.6), to + 0.8);
                self.add(far);
            }
        }
        if let Some((a, b)) = self.street.zebra
            && self.rng.chance(0.55)
        {
            for _ in 0..1 + self.rng.below(4) {
                let (u, z) = (self.rng.range(-4.5, 4.5), self.rng.range(a, b));
                let ahead = self.rng.pick(&[[1.0, 0.0], [-1.0, 0.0]]);
                let person = Pedestrian::facing(self.rng, u, z, ahead);
                self.add(person);
            }
        }
        if self.rng.chance(0.55) {
            for (z, heading) in [(0.3, Heading::Right), (0.72, Heading::Left)] {
                if self.rng.chance(0.6) {
                    let kind = match self.rng.unit() {
                        k if k < 0.62 => Kind::Car,
                        k if k < 0.70 => Kind::Van,
                        k if k < 0.86 => Kind::Truck,
                        _ => Kind::Bus,
                    };
                    let u = self.rng.range(-14.0, 14.0);
                    let vehicle = Vehicle::draw(self.rng, kind, u, from + (to - from) * z, heading);
                    self.add(vehicle);
                }
            }
        }
    }

    /// Vehicles in the lanes, and the tram.
    fn traffic(&mut self) {
        let country = self.street.place == Place::Country;
        let kind = |rng: &mut Rng| match rng.unit() {
            k if k < 0.78 => Kind::Car,
            k if k < 0.84 => Kind::Van,
            k if k < 0.93 => Kind::Truck,
            _ => Kind::Bus,
        };
        let mut z = self.rng.range(13.0, 45.0);
        while z < 90.0 && self.rng.chance(0.6) {
            let kind = kind(self.rng);
            let u = self.rng.range(-0.3, 0.3);
            let vehicle = Vehicle::draw(self.rng, kind, u, z, Heading::Away);
            z += vehicle.length() + self.rng.range(4.0, 30.0);
            self.add(vehicle);
        }
        let lanes: Vec<f32> = std::iter::once(self.street.middle - 1.65)
            .chain(self.street.lanes.iter().map(|l| l - 1.65))
            .collect();
        for u in lanes {
            let mut z = self.rng.range(11.0, 60.0);
            while z < 90.0 && self.rng.chance(if country { 0.45 } else { 0.65 }) {
                let kind = kind(self.rng);
                let vehicle = Vehicle::draw(self.rng, kind, u, z, Heading::Towards);
                z += vehicle.length() + self.rng.range(3.0, 25.0);
                self.add(vehicle);
            }
        }
        if let Some(u) = self.street.track
            && self.rng.chance(0.6)
        {
            let heading = self.rng.pick(&[Heading::Away, Heading::Towards]);
            let z = self.rng.range(22.0, 55.0);
            let tram = Vehicle::draw(self.rng, Kind::Train, u, z, heading);
            self.add(tram);
        }
    }

    /// Cyclists and motorcyclists on the carriageway.
    fn two_wheelers(&mut self) {
        let [left, right] = self.street.sides;
        let kerb = |s: Side| s.road - if s.parking { 2.9 } else { 0.8 };
        if self.rng.chance(0.30) {
            let (motor, z) = (self.rng.chance(0.45), self.rng.range(6.0, 12.0));
            let cycle = Cycle::draw(self.rng, kerb(right), z, motor, true, [0.0, 1.0]);
            self.add(cycle);
        }
        if self.rng.chance(0.20) {
            let (motor, z) = (self.rng.chance(0.4), self.rng.range(7.0, 20.0));
            let cycle = Cycle::draw(self.rng, -kerb(left), z, motor, true, [0.0, -1.0]);
            self.add(cycle);
        }
        if let Some((from, _)) = self.street.crossing
            && self.rng.chance(0.35)
        {
            let (motor, u) = (self.rng.chance(0.3), self.rng.range(-5.0, 5.0));
            let ahead = self.rng.pick(&[[1.0, 0.0], [-1.0, 0.0]]);
            let cycle = Cycle::draw(self.rng, u, from + 0.8, motor, true, ahead);
            self.add(cycle);
        }
    }
}

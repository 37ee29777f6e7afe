//! The plan of the street: what lies how far to the left and right, how it bends, where another street
//! crosses. Ground and objects both read it, so they agree.

use crate::rng::Rng;

/// Where lots, trees and vehicles end, in metres ahead.
pub const FAR: f32 = 120.0;

/// The kind of place; decides what is built along the street.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    City,
    Suburb,
    Country,
}

/// One side of the street. Distances are from the camera's lane line, positive outwards.
#[derive(Debug, Clone, Copy)]
pub struct Side {
    /// Edge of the carriageway.
    pub road: f32,
    /// Whether cars are parked along the edge.
    pub parking: bool,
    /// Outer edge of the sidewalk (equal to `road` where there is none).
    pub walk: f32,
    /// Outer edge of the green strip beyond it; lots begin here.
    pub verge: f32,
}

#[derive(Debug, Clone)]
pub struct Street {
    pub place: Place,
    /// The street's middle at distance z lies at `bend` z² to the right.
    pub bend: f32,
    /// Left and right.
    pub sides: [Side; 2],
    /// Offset of the marked line between the directions, and of further lane lines.
    pub middle: f32,
    pub lanes: Vec<f32>,
    /// Distances at which a crossing street begins and ends.
    pub crossing: Option<(f32, f32)>,
    /// A zebra crossing before it.
    pub zebra: Option<(f32, f32)>,
    /// Offset of the middle of a tram track.
    pub track: Option<f32>,
}

impl Street {
    pub fn draw(rng: &mut Rng) -> Street {
        let kind = rng.unit();
        let place = match kind {
            k if k < 0.58 => Place::City,
            k if k < 0.84 => Place::Suburb,
            _ => Place::Country,
        };
        let lane = rng.range(2.9, 3.6);
        // The camera drives in the right-hand lane; its middle is x = 0.
        let own = 0.5 * lane + rng.range(-0.3, 0.3);
        let middle = -own;
        let mut right_road = lane - own;
        let mut left_road = own + lane;
        let mut lanes = Vec::new();
        if place == Place::City && rng.chance(0.35) {
            lanes.push(-left_road);
            left_road += lane;
        }
        let track = (place == Place::City && rng.chance(0.34)).then(|| {
            let at = -(left_road + 1.7);
            left_road += 3.4;
            at
        });
        let parking = if place == Place::Country { 0.05 } else { 0.55 };
        let (park_left, park_right) = (rng.chance(parking), rng.chance(parking));
        left_road += if park_left { 2.2 } else { 0.0 };
        right_road += if park_right { 2.2 } else { 0.3 };
        let mut side = |road: f32, parking: bool| {
            let walk = match place {
                Place::City => rng.range(2.2, 4.5),
                Place::Suburb => rng.range(1.5, 2.6),
                Place::Country if rng.chance(0.35) => rng.range(1.2, 2.0),
                Place::Country => 0.0,
            };
            let verge = match place {
                Place::City if rng.chance(0.25) => rng.range(0.8, 2.5),
                Place::City => 0.0,
                Place::Suburb => rng.range(0.3, 3.0),
                Place::Country => rng.range(3.0, 10.0),
            };
            Side { road, parking, walk: road + walk, verge: road + walk + verge }
        };
        let sides = [side(left_road, park_left), side(right_road, park_right)];
        let crossing = rng.chance(0.45).then(|| {
            let at = rng.range(13.0, 42.0);
            (at, at + rng.range(7.0, 11.0))
        });
        let zebra = crossing
            .filter(|_| place != Place::Country && rng.chance(0.7))
            .map(|(at, _)| (at - 4.5, at - 1.5));
        let bend = if rng.chance(0.5) { 0.0 } else { rng.range(-0.0022, 0.0022) };
        Street { place, bend, sides, middle, lanes, crossing, zebra, track }
    }

    /// Sideways position of the street's own line at distance `z`.
    pub fn bend_at(&self, z: f32) -> f32 {
        self.bend * z * z
    }

    /// Whether distance `z` lies in the crossing street, with `margin` metres before and after.
    pub fn crossed(&self, z: f32, margin: f32) -> bool {
        self.crossing.is_some_and(|(from, to)| z > from - margin && z < to + margin)
    }
}

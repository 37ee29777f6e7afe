//! The pinhole camera behind the windscreen. World axes in metres: x right, y up from the road, z ahead.

use super::canvas::Point;
use crate::rng::Rng;

/// Nothing nearer than this is drawn, in metres.
pub const NEAR: f32 = 1.0;

#[derive(Debug, Clone, Copy)]
pub struct Camera {
    /// Pixels per metre at one metre distance.
    pub focal: f32,
    /// Column straight ahead.
    pub center: f32,
    /// Row of the horizon.
    pub horizon: f32,
    /// Height above the road in metres.
    pub height: f32,
}

impl Camera {
    pub fn draw(rng: &mut Rng, width: usize, height: usize) -> Camera {
        let (w, h) = (width as f32, height as f32);
        Camera {
            focal: 0.375 * (w + 2.0 * h) * rng.range(0.88, 1.1),
            center: w * rng.range(0.45, 0.55),
            horizon: h * rng.range(0.40, 0.49),
            height: rng.range(1.3, 1.9),
        }
    }

    /// Where a point of the world appears.
    pub fn project(&self, [x, y, z]: [f32; 3]) -> Point {
        let s = self.focal / z.max(0.1);
        [self.center + x * s, self.horizon + (self.height - y) * s]
    }

    /// Pixels per metre at distance `z`.
    pub fn scale(&self, z: f32) -> f32 {
        self.focal / z.max(0.1)
    }
}

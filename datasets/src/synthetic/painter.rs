//! The canvas together with camera, light and street: shapes given in metres.

use super::camera::{Camera, NEAR};
use super::canvas::{Canvas, Ink, Point};
use super::color::Rgb;
use super::light::Light;
use super::street::Street;

pub struct Painter {
    pub canvas: Canvas,
    pub camera: Camera,
    pub light: Light,
    pub street: Street,
}

/// Something that stands in the street. Things are painted from far to near.
pub trait Thing {
    /// Distance that decides the order.
    fn distance(&self) -> f32;
    fn paint(&self, p: &mut Painter);
}

/// A place on a wall: along it and up it in metres, distance from the camera, metres per pixel.
#[derive(Clone, Copy)]
pub struct Spot {
    pub u: f32,
    pub v: f32,
    pub z: f32,
    pub pixel_u: f32,
    pub pixel_v: f32,
}

impl Painter {
    /// World position of a point `u` metres right of the street's line at distance `z`.
    pub fn at(&self, u: f32, y: f32, z: f32) -> [f32; 3] {
        [u + self.street.bend_at(z), y, z]
    }

    /// A convex flat polygon in space; nothing when any corner is too near.
    pub fn face(&mut self, corners: &[[f32; 3]], label: Option<u8>, shade: impl Fn(f32, f32) -> Ink) {
        if corners.iter().any(|c| c[2] < NEAR) {
            return;
        }
        let mut points = [[0.0; 2]; 16];
        let n = corners.len().min(16);
        for (p, c) in points.iter_mut().zip(corners) {
            *p = self.camera.project(*c);
        }
        self.canvas.polygon(&points[..n], label, shade);
    }

    /// A face of one colour.
    pub fn flat(&mut self, corners: &[[f32; 3]], label: Option<u8>, rgb: Rgb) {
        self.face(corners, label, |_, _| (rgb, 1.0));
    }

    /// A straight upright wall over the ground line from `a` to `b` (x, z), between heights `y0` and `y1`.
    /// The part nearer than [`NEAR`] is cut off; `u` counts from `a` all the same.
    pub fn wall(
        &mut self,
        a: [f32; 2],
        b: [f32; 2],
        (y0, y1): (f32, f32),
        label: Option<u8>,
        shade: impl Fn(Spot) -> Ink,
    ) {
        if a[1] < NEAR && b[1] < NEAR {
            return;
        }
        let cut = |p: [f32; 2], q: [f32; 2]| {
            if p[1] >= NEAR {
                return p;
            }
            let t = (NEAR - p[1]) / (q[1] - p[1]);
            [p[0] + (q[0] - p[0]) * t, NEAR]
        };
        let (ca, cb) = (cut(a, b), cut(b, a));
        let corners = [[ca[0], y0, ca[1]], [cb[0], y0, cb[1]], [cb[0], y1, cb[1]], [ca[0], y1, ca[1]]];
        let points: [Point; 4] = corners.map(|c| self.camera.project(c));
        let camera = self.camera;
        let (dx, dz) = (b[0] - a[0], b[1] - a[1]);
        let length = (dx * dx + dz * dz).sqrt();
        self.canvas.polygon(&points, label, |px, py| {
            // The viewing ray of this column meets the wall's line at a + t (b - a).
            let ray = (px - camera.center) / camera.focal;
            let slant = dx - ray * dz;
            let t = (ray * a[1] - a[0]) / if slant.abs() < 1e-5 { 1e-5 } else { slant };
            let t = t.clamp(0.0, 1.0);
            let z = (a[1] + t * dz).max(NEAR);
            let v = camera.height - (py - camera.horizon) * z / camera.focal;
            let pixel_v = z / camera.focal;
            // A wall seen at a grazing angle shows more of its length per pixel.
            let pixel_u = (pixel_v * length / slant.abs().max(1e-5)).min(length);
            shade(Spot { u: t * length, v, z, pixel_u, pixel_v })
        });
    }

    /// Darkens the ground under and beside something: a rectangle around (x, z) with half sides, moved away
    /// from the sun for something `height` metres high.
    pub fn shadow(&mut self, x: f32, z: f32, half_x: f32, half_z: f32, height: f32) {
        let sun = self.light.sun;
        let reach = height / sun[1].max(0.3);
        let strength = 0.30 + 0.25 * (self.light.direct[0] / 0.8).min(1.0);
        for (part, alpha) in [(0.0, strength), (0.5, 0.5 * strength)] {
            let (sx, sz) = (-sun[0] * reach * part, -sun[2] * reach * part);
            let (x0, x1) = (x - half_x + sx.min(0.0), x + half_x + sx.max(0.0));
            let (z0, z1) = ((z - half_z + sz.min(0.0)).max(NEAR), (z + half_z + sz.max(0.0)).max(NEAR));
            let corners = [[x0, 0.0, z0], [x1, 0.0, z0], [x1, 0.0, z1], [x0, 0.0, z1]];
            self.face(&corners, None, |_, _| ([0.03, 0.03, 0.05], alpha));
        }
    }
}

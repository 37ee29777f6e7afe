//! Solids with a flat side: prisms drawn face by face in perspective, and decorations stuck onto their faces.
//! What vehicles are made of.

use super::color::{Rgb, add, mix, scale};
use super::figure::Frame;
use super::painter::Painter;

const TYRE: Rgb = [0.06, 0.06, 0.07];

/// Draws prisms and what is stuck onto them, in a vehicle's frame.
pub struct Solid<'a> {
    pub p: &'a mut Painter,
    pub frame: Frame,
    pub label: u8,
}

impl Solid<'_> {
    /// Whether a face at local point `at` with local normal (ahead, up, right) looks at the camera.
    fn visible(&self, at: [f32; 3], normal: [f32; 3]) -> bool {
        let w = self.frame.at(at[0], at[1], at[2]);
        let n = self.world(normal);
        let height = self.p.camera.height;
        n[0] * -w[0] + n[1] * (height - w[1]) + n[2] * -w[2] > 0.0
    }

    fn world(&self, [l, v, w]: [f32; 3]) -> [f32; 3] {
        let [dx, dz] = self.frame.ahead;
        [dx * l + dz * w, v, dz * l - dx * w]
    }

    /// A polygon in local coordinates, lit by its local normal, with a little sky mirrored in it.
    fn face(&mut self, points: &[[f32; 3]], normal: [f32; 3], rgb: Rgb, gloss: f32, label: Option<u8>) {
        let n = self.world(normal);
        let corners: Vec<[f32; 3]> = points.iter().map(|c| self.frame.at(c[0], c[1], c[2])).collect();
        let (light, z) = (self.p.light, self.frame.z);
        let sky =
            scale(mix(light.horizon, light.zenith, n[1].max(0.0)), gloss * (0.35 + 0.65 * n[1].max(0.0)));
        let lit = light.through_air(add(light.on(rgb, n), sky), z);
        let top = corners.iter().map(|c| self.p.camera.project(*c)[1]).fold(f32::MAX, f32::min);
        let low = corners.iter().map(|c| self.p.camera.project(*c)[1]).fold(f32::MIN, f32::max);
        let span = (low - top).max(1.0);
        // Darker towards the road.
        self.p.face(&corners, label, |_, y| (scale(lit, 1.06 - 0.16 * (y - top) / span), 1.0));
    }

    /// A convex outline in (ahead, up), counter-clockwise, extruded from -half to half across.
    pub fn prism(&mut self, outline: &[[f32; 2]], half: f32, side: Rgb, edges: &[Rgb], gloss: f32) {
        let label = Some(self.label);
        for i in 0..outline.len() {
            let (a, b) = (outline[i], outline[(i + 1) % outline.len()]);
            let (dl, dv) = (b[0] - a[0], b[1] - a[1]);
            let len = (dl * dl + dv * dv).sqrt().max(1e-4);
            let normal = [dv / len, -dl / len, 0.0];
            if self.visible([a[0], a[1], 0.0], normal) {
                let quad = [[a[0], a[1], -half], [b[0], b[1], -half], [b[0], b[1], half], [a[0], a[1], half]];
                self.face(&quad, normal, edges[i % edges.len()], gloss, label);
            }
        }
        for w in [-half, half] {
            let normal = [0.0, 0.0, w.signum()];
            if self.visible([0.0, 0.5, w], normal) {
                let points: Vec<[f32; 3]> = outline.iter().map(|q| [q[0], q[1], w]).collect();
                self.face(&points, normal, side, gloss, label);
            }
        }
    }

    /// A decoration on the side that is seen.
    pub fn on_sides(&mut self, half: f32, outline: &[[f32; 2]], rgb: Rgb, gloss: f32) {
        for w in [-half, half] {
            let normal = [0.0, 0.0, w.signum()];
            if self.visible([0.0, 0.5, w], normal) {
                let points: Vec<[f32; 3]> = outline.iter().map(|q| [q[0], q[1], w]).collect();
                self.face(&points, normal, rgb, gloss, None);
            }
        }
    }

    /// A decoration (across, up) on the upright face at `l`, which looks ahead or back.
    pub fn on_end(&mut self, l: f32, ahead: bool, outline: &[[f32; 2]], rgb: Rgb, gloss: f32) {
        let normal = [if ahead { 1.0 } else { -1.0 }, 0.0, 0.0];
        if self.visible([l, 0.5, 0.0], normal) {
            let points: Vec<[f32; 3]> = outline.iter().map(|q| [l, q[1], q[0]]).collect();
            self.face(&points, normal, rgb, gloss, None);
        }
    }

    /// Wheels on the visible side; they reach below the body and so carry the label.
    pub fn wheels(&mut self, half: f32, at: &[f32], r: f32) {
        for w in [-half, half] {
            let normal = [0.0, 0.0, w.signum()];
            if !self.visible([0.0, 0.5, w], normal) {
                continue;
            }
            for &l in at {
                for (size, rgb, label) in [(1.0, TYRE, Some(self.label)), (0.58, [0.48, 0.49, 0.50], None)] {
                    let ring: Vec<[f32; 3]> =
                        RING.iter().map(|q| [l + q[0] * r * size, r + q[1] * r * size, w]).collect();
                    self.face(&ring, normal, rgb, 0.0, label);
                }
            }
        }
    }

    /// The tyres as seen under the body from the front or back.
    pub fn treads(&mut self, half: f32, at: &[f32], r: f32) {
        let first = at.iter().copied().fold(f32::MAX, f32::min) - r;
        let last = at.iter().copied().fold(f32::MIN, f32::max) + r;
        for (l, sign) in [(first, -1.0), (last, 1.0)] {
            if self.visible([l, 0.3, 0.0], [sign, 0.0, 0.0]) {
                for w in [-half, half - 0.22] {
                    let tread = [[l, 0.0, w], [l, 0.0, w + 0.22], [l, 1.2 * r, w + 0.22], [l, 1.2 * r, w]];
                    self.face(&tread, [sign, 0.0, 0.0], TYRE, 0.0, Some(self.label));
                }
            }
        }
    }

    /// A pair of decorations on an end, near its left and right rim: `inner`..`outer` metres from the middle.
    pub fn pair_on_end(
        &mut self,
        l: f32,
        ahead: bool,
        (inner, outer): (f32, f32),
        (y0, y1): (f32, f32),
        rgb: Rgb,
    ) {
        self.on_end(l, ahead, &rect(inner, outer, y0, y1), rgb, 0.06);
        self.on_end(l, ahead, &rect(-outer, -inner, y0, y1), rgb, 0.06);
    }
}

/// A circle in twelve corners.
const RING: [[f32; 2]; 12] = [
    [1.0, 0.0],
    [0.866, 0.5],
    [0.5, 0.866],
    [0.0, 1.0],
    [-0.5, 0.866],
    [-0.866, 0.5],
    [-1.0, 0.0],
    [-0.866, -0.5],
    [-0.5, -0.866],
    [0.0, -1.0],
    [0.5, -0.866],
    [0.866, -0.5],
];

/// The corners of an upright rectangle.
pub fn rect(x0: f32, x1: f32, y0: f32, y1: f32) -> [[f32; 2]; 4] {
    [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
}

//! The painter's canvas: colour and label per pixel, and the few shapes everything is made of.
//!
//! Every shape knows how much of a pixel it covers, which smooths its edge in the picture; the label changes
//! where it covers at least half. So image and labels always agree to the half pixel.

use super::color::{Rgb, mix};
use crate::picture::LabelMap;

/// A point on the canvas, in pixels from the top left corner.
pub type Point = [f32; 2];

/// Colour and opacity of a shape at one pixel.
pub type Ink = (Rgb, f32);

pub struct Canvas {
    pub width: usize,
    pub height: usize,
    rgb: Vec<Rgb>,
    labels: Vec<u8>,
}

impl Canvas {
    pub fn new(width: usize, height: usize, label: u8) -> Canvas {
        let n = width * height;
        Canvas { width, height, rgb: vec![[0.0; 3]; n], labels: vec![label; n] }
    }

    /// The colours, `[height][width]`.
    pub fn colors(&self) -> &[Rgb] {
        &self.rgb
    }

    /// The labels alone.
    pub fn into_labels(self) -> LabelMap {
        LabelMap::from_parts(self.width, self.height, self.labels)
    }

    /// Replaces colour and label of one pixel.
    pub fn set(&mut self, x: usize, y: usize, rgb: Rgb, label: u8) {
        self.rgb[y * self.width + x] = rgb;
        self.labels[y * self.width + x] = label;
    }

    fn blend(&mut self, at: usize, coverage: f32, label: Option<u8>, (rgb, opacity): Ink) {
        if let (Some(label), true) = (label, coverage >= 0.5) {
            self.labels[at] = label;
        }
        self.rgb[at] = mix(self.rgb[at], rgb, coverage * opacity);
    }

    /// Pixels from `lo` to `hi`, limited to `0..n`.
    fn pixels(lo: f32, hi: f32, n: usize) -> std::ops::Range<usize> {
        let limit = |v: f32| v.clamp(0.0, n as f32) as usize;
        // Widened by a pixel: the exact coverage decides.
        limit(lo - 1.0)..limit(hi + 2.0)
    }

    /// A convex polygon, in either direction of turning. `shade` gets pixel centres; without a `label` the
    /// labels stay.
    pub fn polygon(&mut self, points: &[Point], label: Option<u8>, shade: impl Fn(f32, f32) -> Ink) {
        let n = points.len();
        if points.iter().flatten().any(|v| !v.is_finite()) {
            return;
        }
        let area: f32 = (0..n)
            .map(|i| {
                let (a, b) = (points[i], points[(i + 1) % n]);
                a[0] * b[1] - a[1] * b[0]
            })
            .sum();
        let turn = if area > 0.0 { 1.0 } else { -1.0 };
        // Inward half planes: a x + b y + c is the distance to the edge.
        let mut planes = [[0.0f32; 3]; 16];
        let mut count = 0;
        for i in 0..n.min(16) {
            let (p, q) = (points[i], points[(i + 1) % n]);
            let (dx, dy) = (q[0] - p[0], q[1] - p[1]);
            let len = (dx * dx + dy * dy).sqrt();
            if len > 1e-4 {
                let (a, b) = (-dy / len * turn, dx / len * turn);
                planes[count] = [a, b, -(a * p[0] + b * p[1])];
                count += 1;
            }
        }
        if count < 3 {
            return;
        }
        let planes = &planes[..count];
        let bound = |k: usize, f: fn(f32, f32) -> f32| points.iter().map(|p| p[k]).reduce(f).unwrap_or(0.0);
        let (left, right) = (bound(0, f32::min), bound(0, f32::max));
        for y in Canvas::pixels(bound(1, f32::min), bound(1, f32::max), self.height) {
            let cy = y as f32 + 0.5;
            // Where the row can be covered at all, and where it is covered whole.
            let (mut lo, mut hi, mut whole_lo, mut whole_hi) = (left, right, left - 9.0, right + 9.0);
            for &[a, b, c] in planes {
                let d = b * cy + c;
                if a > 1e-5 {
                    lo = lo.max((-0.5 - d) / a);
                    whole_lo = whole_lo.max((0.5 - d) / a);
                } else if a < -1e-5 {
                    hi = hi.min((-0.5 - d) / a);
                    whole_hi = whole_hi.min((0.5 - d) / a);
                } else if d < 0.5 {
                    whole_lo = f32::MAX;
                    if d < -0.5 {
                        hi = -9.0;
                    }
                }
            }
            if lo > hi {
                continue;
            }
            for x in Canvas::pixels(lo, hi, self.width) {
                let cx = x as f32 + 0.5;
                let coverage = if cx >= whole_lo && cx <= whole_hi {
                    1.0
                } else {
                    let outside: f32 =
                        planes.iter().map(|p| (0.5 - (p[0] * cx + p[1] * cy + p[2])).clamp(0.0, 1.0)).sum();
                    1.0 - outside
                };
                if coverage > 0.0 {
                    self.blend(y * self.width + x, coverage, label, shade(cx, cy));
                }
            }
        }
    }

    /// An upright ellipse. `shade` gets the position relative to the centre, 1 at the rim.
    pub fn ellipse(
        &mut self,
        c: Point,
        rx: f32,
        ry: f32,
        label: Option<u8>,
        shade: impl Fn(f32, f32) -> Ink,
    ) {
        self.blob(c, rx, ry, label, |_, _| 0.0, shade);
    }

    /// An ellipse whose rim is moved by `rough` (0 leaves it, 0.3 pulls it in by about a third).
    pub fn blob(
        &mut self,
        c: Point,
        rx: f32,
        ry: f32,
        label: Option<u8>,
        rough: impl Fn(f32, f32) -> f32,
        shade: impl Fn(f32, f32) -> Ink,
    ) {
        if !(rx > 0.0 && ry > 0.0 && c[0].is_finite() && c[1].is_finite()) {
            return;
        }
        let sharp = rx.min(ry);
        for y in Canvas::pixels(c[1] - ry * 1.2, c[1] + ry * 1.2, self.height) {
            let dy = (y as f32 + 0.5 - c[1]) / ry;
            let half = rx * (1.44 - dy * dy).max(0.0).sqrt();
            for x in Canvas::pixels(c[0] - half, c[0] + half, self.width) {
                let dx = (x as f32 + 0.5 - c[0]) / rx;
                let r = (dx * dx + dy * dy).sqrt();
                if r > 1.2 + 1.0 / sharp {
                    continue;
                }
                let coverage = ((1.0 - r - rough(dx, dy)) * sharp + 0.5).clamp(0.0, 1.0);
                if coverage > 0.0 {
                    self.blend(y * self.width + x, coverage, label, shade(dx, dy));
                }
            }
        }
    }

    /// A line from `a` to `b` with round ends and a half width that goes from `ra` to `rb`. `shade` gets the
    /// position along it (0..1) and across it (-1 left rim in the picture, 1 right rim).
    pub fn stroke(
        &mut self,
        (a, ra): (Point, f32),
        (b, rb): (Point, f32),
        label: Option<u8>,
        shade: impl Fn(f32, f32) -> Ink,
    ) {
        if [a, b].iter().flatten().any(|v| !v.is_finite()) {
            return;
        }
        let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
        let inv = 1.0 / (dx * dx + dy * dy).max(1e-6);
        let r = ra.max(rb);
        let slope = if dy.abs() > 1e-3 { dx / dy } else { 0.0 };
        for y in Canvas::pixels(a[1].min(b[1]) - r, a[1].max(b[1]) + r, self.height) {
            let cy = y as f32 + 0.5;
            // Steep lines touch only a few pixels of a row.
            let (lo, hi) = if dy.abs() > dx.abs() {
                let x = a[0] + slope * (cy.clamp(a[1].min(b[1]), a[1].max(b[1])) - a[1]);
                (x - 1.5 * r, x + 1.5 * r)
            } else {
                (a[0].min(b[0]) - r, a[0].max(b[0]) + r)
            };
            for x in Canvas::pixels(lo, hi, self.width) {
                let cx = x as f32 + 0.5;
                let t = (((cx - a[0]) * dx + (cy - a[1]) * dy) * inv).clamp(0.0, 1.0);
                let (ex, ey) = (cx - a[0] - dx * t, cy - a[1] - dy * t);
                let radius = ra + (rb - ra) * t;
                // Lines thinner than a pixel cover it in part.
                let coverage = (radius - (ex * ex + ey * ey).sqrt() + 0.5).clamp(0.0, 1.0).min(2.0 * radius);
                if coverage > 0.0 {
                    let across = (ex / radius.max(0.3)).clamp(-1.0, 1.0);
                    self.blend(y * self.width + x, coverage, label, shade(t, across));
                }
            }
        }
    }
}

//! Colours as three floats (0 black, 1 white) and what is done with them.

pub type Rgb = [f32; 3];

pub fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t]
}

pub fn scale(a: Rgb, s: f32) -> Rgb {
    [a[0] * s, a[1] * s, a[2] * s]
}

pub fn mul(a: Rgb, b: Rgb) -> Rgb {
    [a[0] * b[0], a[1] * b[1], a[2] * b[2]]
}

pub fn add(a: Rgb, b: Rgb) -> Rgb {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub fn grey(v: f32) -> Rgb {
    [v, v, v]
}

/// 0 below `lo`, 1 above `hi`, a straight ramp between.
pub fn ramp(lo: f32, hi: f32, x: f32) -> f32 {
    ((x - lo) / (hi - lo)).clamp(0.0, 1.0)
}

/// How much of a pixel of width `pixel` around `x` lies in `[lo, hi]`: a box filter, so that fine patterns
/// fade into their mean in the distance instead of flickering.
pub fn band(lo: f32, hi: f32, x: f32, pixel: f32) -> f32 {
    let p = pixel.max(1e-4);
    (((x + 0.5 * p).min(hi) - (x - 0.5 * p).max(lo)) / p).clamp(0.0, 1.0)
}

//! Lattice noise made of integer hashing and additions: bit-identical on every machine.

/// The whole number at or below `x`, for |x| below 2³¹. (`f32::floor` is a library call on plain x86-64.)
pub fn floor(x: f32) -> i32 {
    let i = x as i32;
    i - i32::from(x < i as f32)
}

/// `x` minus its floor, in [0, 1).
pub fn fract(x: f32) -> f32 {
    x - floor(x) as f32
}

/// 32 random bits that belong to a lattice point.
pub fn bits(x: i32, y: i32, seed: u32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x9E37_79B1)
        ^ (y as u32).wrapping_mul(0x85EB_CA77)
        ^ seed.wrapping_mul(0xC2B2_AE3D);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^ (h >> 15)
}

/// A random number in [0, 1) that belongs to a lattice point.
pub fn hash(x: i32, y: i32, seed: u32) -> f32 {
    (bits(x, y, seed) >> 8) as f32 / (1u32 << 24) as f32
}

/// Smooth noise in [0, 1) with features of size 1.
pub fn value(x: f32, y: f32, seed: u32) -> f32 {
    let (ix, iy) = (floor(x), floor(y));
    let (fx, fy) = (x - ix as f32, y - iy as f32);
    let (sx, sy) = (fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy));
    let (jx, jy) = (ix.wrapping_add(1), iy.wrapping_add(1));
    let top = hash(ix, iy, seed) * (1.0 - sx) + hash(jx, iy, seed) * sx;
    let low = hash(ix, jy, seed) * (1.0 - sx) + hash(jx, jy, seed) * sx;
    top * (1.0 - sy) + low * sy
}

/// Two octaves of [`value`], in [0, 1).
pub fn double(x: f32, y: f32, seed: u32) -> f32 {
    (value(x, y, seed) * 2.0 + value(x * 2.7, y * 2.7, seed.wrapping_add(1))) / 3.0
}

/// Three octaves of [`value`], in [0, 1).
pub fn fractal(x: f32, y: f32, seed: u32) -> f32 {
    (value(x, y, seed) * 4.0
        + value(x * 2.03, y * 2.03, seed.wrapping_add(1)) * 2.0
        + value(x * 4.11, y * 4.11, seed.wrapping_add(2)))
        / 7.0
}

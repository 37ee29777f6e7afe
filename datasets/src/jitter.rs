//! Colour jitter: brightness, contrast and saturation, each changed by a random factor.

use crate::dataset::Area;
use crate::picture::Image;
use crate::rng::Rng;

/// Marks the random stream of colours: turning jitter on leaves scales, crops and mirroring as they are.
const STREAM: u64 = 0x636F_6C72;

/// Shares of red, green and blue in the grey of a pixel (ITU-R BT.601).
const GREY: [f32; 3] = [0.299, 0.587, 0.114];

/// Factors of one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter {
    /// On every value.
    pub brightness: f32,
    /// On the distance from the mean grey of the picture.
    pub contrast: f32,
    /// On the distance from the pixel's grey.
    pub saturation: f32,
}

impl Jitter {
    /// Each factor uniform in 1 ± `strength`, from (seed, epoch, index).
    pub fn draw(strength: f32, seed: u64, epoch: usize, index: usize) -> Jitter {
        let mut rng = Rng::new(seed, &[STREAM, epoch as u64, index as u64]);
        let mut factor = || rng.range(1.0 - strength, 1.0 + strength);
        Jitter { brightness: factor(), contrast: factor(), saturation: factor() }
    }

    /// Changes the pixels of `area`; brightness first, then contrast, then saturation, rounded and limited once, at the end.
    pub fn apply(&self, image: &Image, area: Area) -> Image {
        let (width, height) = image.size();
        let mut data = image.data().to_vec();
        if !area.lies_in((width, height)) {
            return Image::from_parts(width, height, data);
        }
        let rows = area.top..area.top + area.height;
        let row = |y: usize| (y * width + area.left) * 3..(y * width + area.left + area.width) * 3;
        // Exact sums of bytes, so that the mean does not depend on an order.
        let mut sums = [0_u64; 3];
        for y in rows.clone() {
            for pixel in data[row(y)].chunks_exact(3) {
                sums.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += u64::from(v));
            }
        }
        let pixels = (area.width * area.height) as f32;
        let mean: f32 = sums.iter().zip(GREY).map(|(&sum, share)| share * (sum as f32 / pixels)).sum();
        let mean = self.brightness * mean;
        for y in rows {
            for pixel in data[row(y)].chunks_exact_mut(3) {
                let contrasted: [f32; 3] = std::array::from_fn(|c| {
                    mean + self.contrast * (self.brightness * f32::from(pixel[c]) - mean)
                });
                let grey: f32 = contrasted.iter().zip(GREY).map(|(v, share)| v * share).sum();
                for (value, v) in pixel.iter_mut().zip(contrasted) {
                    *value = (grey + self.saturation * (v - grey) + 0.5) as u8;
                }
            }
        }
        Image::from_parts(width, height, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        let mut rng = Rng::new(1, &[2]);
        Image::new(9, 7, (0..9 * 7 * 3).map(|_| 60 + (rng.bits() % 100) as u8).collect()).unwrap()
    }

    const ALL: Area = Area { left: 0, top: 0, width: 9, height: 7 };
    const NONE: Jitter = Jitter { brightness: 1.0, contrast: 1.0, saturation: 1.0 };

    fn grey(image: &Image) -> f32 {
        let sum: f32 = image
            .data()
            .chunks_exact(3)
            .map(|p| p.iter().zip(GREY).map(|(&v, g)| f32::from(v) * g).sum::<f32>())
            .sum();
        sum / 63.0
    }

    #[test]
    fn factors_of_one_change_nothing() {
        assert_eq!(NONE.apply(&image(), ALL), image());
    }

    #[test]
    fn each_factor_does_its_own() {
        let from = image();
        let bright = Jitter { brightness: 1.25, ..NONE }.apply(&from, ALL);
        assert!((grey(&bright) - 1.25 * grey(&from)).abs() < 0.6);
        let flat = Jitter { contrast: 0.0, ..NONE }.apply(&from, ALL);
        let level = grey(&from).round() as u8;
        assert!(flat.data().iter().all(|&v| v.abs_diff(level) <= 1), "{:?}", flat.data());
        let grey_only = Jitter { saturation: 0.0, ..NONE }.apply(&from, ALL);
        assert!(grey_only.data().chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]));
        assert!((grey(&grey_only) - grey(&from)).abs() < 0.6);
        // Values stop at the ends of a byte.
        let white = Jitter { brightness: 9.0, ..NONE }.apply(&from, ALL);
        assert!(white.data().iter().all(|&v| v == 255));
    }

    #[test]
    fn pixels_outside_the_area_stay() {
        let (from, area) = (image(), Area { left: 2, top: 1, width: 4, height: 3 });
        let to = Jitter { brightness: 1.4, ..NONE }.apply(&from, area);
        for y in 0..7 {
            for x in 0..9 {
                let within = (2..6).contains(&x) && (1..4).contains(&y);
                assert_eq!(to.pixel(x, y) != from.pixel(x, y), within, "{x}, {y}");
            }
        }
    }

    #[test]
    fn draws_depend_on_the_key_and_stay_in_range() {
        let draw = |seed, epoch, index| Jitter::draw(0.4, seed, epoch, index);
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        assert!([draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4)].iter().all(|d| *d != draw(1, 2, 3)));
        for i in 0..200 {
            let d = draw(9, 0, i);
            let factors = [d.brightness, d.contrast, d.saturation];
            assert!(factors.iter().all(|f| (0.6..1.4).contains(f)), "{d:?}");
        }
    }
}

//! Random scale, crop, mirroring and colours. What happens to a sample is drawn from (seed, epoch, index) alone, so
//! the order of loading and the number of threads cannot change it.

use crate::dataset::{Area, Normalization, Sample};
use crate::error::{Error, Result};
use crate::jitter::Jitter;
use crate::resize::Window;
use crate::rng::Rng;

/// Marks the random stream of augmentation, apart from those of shuffling and scene drawing.
const STREAM: u64 = 0x6175_676D;

/// By how much a sample is resized before cropping.
#[derive(Debug, Clone, PartialEq)]
pub enum Scale {
    /// Always the same factor.
    Fixed(f32),
    /// Uniform between two factors.
    Uniform(f32, f32),
    /// One of these factors; the paper's {0.5, 1.0}.
    Choice(Vec<f32>),
}

/// What may be done to a training sample. The default does nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Augment {
    /// Resizing, before the crop.
    pub scale: Scale,
    /// Height and width of a window cut out at a random place. Where the scaled sample is smaller, the image
    /// is padded with the dataset's mean colour and the labels with "ignore".
    pub crop: Option<(usize, usize)>,
    /// Mirror left and right in half of the cases.
    pub flip: bool,
    /// Change brightness, contrast and saturation of the image by factors in 1 ± this, 0 to 1; 0 leaves them.
    pub jitter: f32,
}

impl Default for Augment {
    fn default() -> Augment {
        Augment { scale: Scale::Fixed(1.0), crop: None, flip: false, jitter: 0.0 }
    }
}

/// One draw of an [`Augment`] for a sample of known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    window: Window,
}

impl Augment {
    /// Errors when a factor is not positive and finite (or above 16), the choice is empty or the crop has
    /// no pixels.
    pub fn validate(&self) -> Result<()> {
        let good = |f: &f32| f.is_finite() && *f > 0.0 && *f <= 16.0;
        let fine = match &self.scale {
            Scale::Fixed(f) => good(f),
            Scale::Uniform(a, b) => good(a) && good(b) && a <= b,
            Scale::Choice(all) => !all.is_empty() && all.iter().all(good),
        };
        if !fine {
            let scale = &self.scale;
            return Err(Error::Options(format!(
                "scale {scale:?}: factors must be above 0 and at most 16, ranges in rising order, choices not empty"
            )));
        }
        if let Some((h, w)) = self.crop
            && (h == 0 || w == 0 || (h as u64).saturating_mul(w as u64) > crate::MAX_PIXELS)
        {
            return Err(Error::Options(format!("cannot crop to {h}x{w} (height x width) pixels")));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(Error::Options(format!("jitter can be 0 to 1, not {}", self.jitter)));
        }
        Ok(())
    }

    /// The change of colours of sample `index` in `epoch`, where there is one.
    pub fn draw_jitter(&self, seed: u64, epoch: usize, index: usize) -> Option<Jitter> {
        (self.jitter > 0.0).then(|| Jitter::draw(self.jitter, seed, epoch, index))
    }

    /// The geometry for sample `index` of `size` (width, height) in `epoch`.
    pub fn draw(&self, seed: u64, epoch: usize, index: usize, size: (usize, usize)) -> Geometry {
        let mut rng = Rng::new(seed, &[STREAM, epoch as u64, index as u64]);
        let factor = match &self.scale {
            Scale::Fixed(f) => *f,
            Scale::Uniform(a, b) => rng.range(*a, *b),
            Scale::Choice(all) if all.is_empty() => 1.0,
            Scale::Choice(all) => rng.pick(all),
        };
        let side = |n: usize| ((n as f32 * factor).round() as usize).max(1);
        let scaled = (side(size.0), side(size.1));
        let out = self.crop.map_or(scaled, |(h, w)| (w, h));
        // Both signs of the slack are room to place the window in.
        let mut place = |have: usize, want: usize| {
            let slack = have.abs_diff(want);
            let at = rng.below(slack + 1) as isize;
            if have >= want { at } else { at - slack as isize }
        };
        let origin = (place(scaled.0, out.0), place(scaled.1, out.1));
        let flip = rng.chance(0.5) && self.flip;
        Geometry { window: Window { scaled, origin, out, flip } }
    }
}

impl Geometry {
    /// Width and height of what [`Geometry::apply`] returns.
    pub fn size(&self) -> (usize, usize) {
        self.window.out
    }

    /// Width and height after resizing, before the window is cut out.
    pub fn scaled(&self) -> (usize, usize) {
        self.window.scaled
    }

    /// Left and top of the window in the resized sample, not yet mirrored; negative where it begins in the padding.
    pub fn origin(&self) -> (isize, isize) {
        self.window.origin
    }

    /// Whether left and right are exchanged.
    pub fn flipped(&self) -> bool {
        self.window.flip
    }

    /// The part of the result that is no padding; empty where all of it is.
    pub fn picture(&self) -> Area {
        let Window { scaled, origin, out, flip } = self.window;
        let along = |origin: isize, scaled: usize, out: usize| {
            let from = (-origin).clamp(0, out as isize) as usize;
            let to = (scaled as isize - origin).clamp(from as isize, out as isize) as usize;
            (from, to - from)
        };
        let (left, width) = along(origin.0, scaled.0, out.0);
        let (top, height) = along(origin.1, scaled.1, out.1);
        Area { left: if flip { out.0 - left - width } else { left }, top, width, height }
    }

    /// Whether a sample of `size` (width, height) comes out as it went in.
    pub fn is_identity(&self, size: (usize, usize)) -> bool {
        self.window == Window { scaled: size, origin: (0, 0), out: size, flip: false }
    }

    /// Applies the same geometry to image (bilinear) and labels (nearest).
    pub fn apply(&self, sample: &Sample, normalization: &Normalization) -> Sample {
        Sample {
            image: self.window.image(&sample.image, normalization.mean_color()),
            labels: self.window.labels(&sample.labels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Image, LabelMap};
    use crate::resize::{resize_image, resize_labels};

    const NORM: Normalization = Normalization { mean: [0.2, 0.4, 0.6], std: [1.0; 3] };

    fn sample(w: usize, h: usize) -> Sample {
        let mut rng = Rng::new(1, &[w as u64, h as u64]);
        let image = Image::new(w, h, (0..w * h * 3).map(|_| rng.bits() as u8).collect()).unwrap();
        let labels = LabelMap::new(w, h, (0..w * h).map(|_| rng.below(19) as u8).collect()).unwrap();
        Sample { image, labels }
    }

    #[test]
    fn doing_nothing_does_nothing() {
        let s = sample(13, 7);
        let g = Augment::default().draw(1, 2, 3, s.image.size());
        assert_eq!(g.apply(&s, &NORM), s);
    }

    #[test]
    fn one_pass_equals_resize_then_crop() {
        let s = sample(40, 30);
        let a = Augment { scale: Scale::Uniform(0.8, 2.0), crop: Some((20, 24)), flip: true, jitter: 0.0 };
        for epoch in 0..40 {
            let g = a.draw(5, epoch, 1, (40, 30));
            let w = g.window;
            let out = g.apply(&s, &NORM);
            let image = resize_image(&s.image, w.scaled.0, w.scaled.1).unwrap();
            let labels = resize_labels(&s.labels, w.scaled.0, w.scaled.1).unwrap();
            assert_eq!(out.image.size(), (24, 20));
            for y in 0..20 {
                for x in 0..24 {
                    let from = if w.flip { 23 - x } else { x };
                    let (sx, sy) =
                        ((from as isize + w.origin.0) as usize, (y as isize + w.origin.1) as usize);
                    assert_eq!(out.image.pixel(x, y), image.pixel(sx, sy));
                    assert_eq!(out.labels.at(x, y), labels.at(sx, sy));
                }
            }
        }
    }

    #[test]
    fn small_samples_are_padded_with_mean_and_ignore() {
        let s = sample(10, 6);
        let a = Augment { crop: Some((9, 16)), flip: true, ..Augment::default() };
        let mut places = std::collections::HashSet::new();
        for index in 0..200 {
            let g = a.draw(0, 0, index, (10, 6));
            let out = g.apply(&s, &NORM);
            let kept = out.labels.data().iter().filter(|&&v| v != 255).count();
            assert_eq!(kept, 60);
            let a = g.picture();
            for (i, &v) in out.labels.data().iter().enumerate() {
                let within = (a.left..a.left + a.width).contains(&(i % 16))
                    && (a.top..a.top + a.height).contains(&(i / 16));
                assert_eq!(within, v != 255, "{a:?} {i}");
            }
            for (i, &v) in out.labels.data().iter().enumerate() {
                if v == 255 {
                    assert_eq!(out.image.pixel(i % 16, i / 16), NORM.mean_color());
                }
            }
            places.insert(out.labels.data().iter().position(|&v| v != 255));
        }
        assert_eq!(places.len(), 7 * 4, "every placement occurs");
    }

    #[test]
    fn draws_depend_on_the_key_and_nothing_else() {
        let a = Augment {
            scale: Scale::Choice(vec![0.5, 1.0, 1.5]),
            crop: Some((32, 32)),
            flip: true,
            jitter: 0.0,
        };
        let draw = |seed, epoch, index| a.draw(seed, epoch, index, (100, 80));
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        let others = [draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4), draw(3, 2, 1)];
        assert!(others.iter().all(|&g| g != draw(1, 2, 3)));
        let flips = (0..1000).filter(|&i| draw(9, 0, i).flipped()).count();
        assert!((420..580).contains(&flips), "{flips}");
    }

    #[test]
    fn nonsense_is_refused() {
        let with = |scale| Augment { scale, ..Augment::default() }.validate();
        for bad in
            [Scale::Fixed(0.0), Scale::Fixed(f32::NAN), Scale::Uniform(2.0, 1.0), Scale::Choice(vec![])]
        {
            assert!(with(bad).is_err());
        }
        assert!(Augment { crop: Some((0, 4)), ..Augment::default() }.validate().is_err());
        assert!(with(Scale::Choice(vec![0.5, 1.0])).is_ok());
        assert!(Augment { jitter: 1.5, ..Augment::default() }.validate().is_err());
        assert!(Augment { jitter: f32::NAN, ..Augment::default() }.validate().is_err());
    }
}

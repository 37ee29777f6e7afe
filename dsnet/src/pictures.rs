//! Pictures of predictions for people.

use datasets::{Classes, Dataset, Image, LabelMap, Normalization, render, resize_labels, shrink_image};

use crate::{Error, Result, infer::Predictor};

/// How strongly class colours cover the image.
pub const OPACITY: f32 = 0.55;

/// Colour of pixels whose class was not found, on the grey of an error map: vermilion, which stands apart from grey for
/// every kind of colour vision.
pub const ERROR_COLOR: [u8; 3] = [230, 80, 0];

/// A sample with what a model made of it; all of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Where the sample comes from.
    pub name: String,
    /// What the camera saw.
    pub image: Image,
    /// What is there.
    pub truth: LabelMap,
    /// What the model found.
    pub found: LabelMap,
}

/// Which of `len` samples to show when `count` are wanted: spread over all of them.
pub fn spread(len: usize, count: usize) -> impl ExactSizeIterator<Item = usize> {
    let count = count.min(len);
    (0..count).map(move |i| i * len / count)
}

impl Prediction {
    /// Runs `model` on a sample.
    ///
    /// # Errors
    /// Where the sample can not be read or the model fails.
    pub fn new(
        model: &Predictor<'_>,
        dataset: &dyn Dataset,
        normalization: &Normalization,
        index: usize,
    ) -> Result<Self> {
        let sample = dataset.load(index)?;
        let found = model.segment(&sample.image, normalization)?;
        let name = dataset.name(index).to_owned();
        Ok(Self { name, image: sample.image, truth: sample.labels, found })
    }

    /// The same at no more than `width` columns.
    ///
    /// # Errors
    /// None in practice: the size comes from the picture's own.
    pub fn shrunk(&self, width: usize) -> Result<Self> {
        let (w, h) = self.image.size();
        let width = width.clamp(1, w);
        let height = (h * width / w).max(1);
        Ok(Self {
            name: self.name.clone(),
            image: shrink_image(&self.image, width, height)?,
            truth: resize_labels(&self.truth, width, height)?,
            found: resize_labels(&self.found, width, height)?,
        })
    }

    /// Image, truth, prediction, and prediction over image, side by side in the dataset's palette.
    ///
    /// # Errors
    /// Where their sizes differ.
    pub fn panel(&self, classes: &Classes) -> Result<Image> {
        let overlay = render::overlay(&self.image, &self.found, classes, OPACITY)?;
        let (truth, found) = (render::colorize(&self.truth, classes), render::colorize(&self.found, classes));
        Ok(render::side_by_side(&[&self.image, &truth, &found, &overlay], 4)?)
    }

    /// Where the model is wrong: [`ERROR_COLOR`] on the image in pale grey; pixels without a true class are dark.
    ///
    /// # Errors
    /// Where sizes differ.
    pub fn error_map(&self) -> Result<Image> {
        let (width, height) = self.image.size();
        if self.truth.size() != (width, height) || self.found.size() != (width, height) {
            return Err(Error::message(format!("{}: image and label maps differ in size", self.name)));
        }
        let ids = self.truth.data().iter().zip(self.found.data());
        let pixels = self.image.data().chunks_exact(3).zip(ids);
        let data = pixels.flat_map(|(pixel, (&truth, &found))| {
            let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
            let luma = (2 * r + 5 * g + b) / 8;
            match truth {
                datasets::IGNORE => [(40 + luma * 60 / 255) as u8; 3],
                _ if truth == found => [(140 + luma * 100 / 255) as u8; 3],
                _ => ERROR_COLOR,
            }
        });
        Ok(Image::new(width, height, data.collect())?)
    }

    /// Share of the labelled pixels whose class was found; `None` where none is labelled.
    pub fn accuracy(&self) -> Option<f64> {
        let labelled =
            self.truth.data().iter().zip(self.found.data()).filter(|(t, _)| **t != datasets::IGNORE);
        let (hits, all) =
            labelled.fold((0u64, 0u64), |(hits, all), (t, f)| (hits + u64::from(t == f), all + 1));
        (all > 0).then(|| hits as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction() -> Prediction {
        Prediction {
            name: "a".into(),
            image: Image::new(4, 1, vec![255; 12]).unwrap(),
            truth: LabelMap::new(4, 1, vec![0, 1, 255, 2]).unwrap(),
            found: LabelMap::new(4, 1, vec![0, 2, 0, 2]).unwrap(),
        }
    }

    #[test]
    fn errors_stand_out_and_the_unlabelled_are_left_alone() {
        let p = prediction();
        let map = p.error_map().unwrap();
        assert_eq!([map.pixel(0, 0), map.pixel(3, 0)], [[240; 3]; 2]);
        assert_eq!((map.pixel(1, 0), map.pixel(2, 0)), (ERROR_COLOR, [100; 3]));
        assert_eq!(p.accuracy(), Some(2.0 / 3.0));
        let other = Prediction { found: LabelMap::new(1, 1, vec![0]).unwrap(), ..prediction() };
        assert!(other.error_map().is_err());
    }

    #[test]
    fn panels_shrink() {
        let p = prediction();
        assert_eq!(p.panel(&Classes::camvid()).unwrap().size(), (4 * 4 + 3 * 4, 1));
        let small = p.shrunk(2).unwrap();
        assert_eq!((small.image.size(), small.truth.size()), ((2, 1), (2, 1)));
        assert_eq!(p.shrunk(100).unwrap(), p);
    }

    #[test]
    fn samples_are_spread() {
        assert_eq!(spread(100, 4).collect::<Vec<_>>(), [0, 25, 50, 75]);
        assert_eq!(spread(2, 6).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(spread(0, 6).len(), 0);
    }
}

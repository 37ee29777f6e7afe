//! Whether options suit the data, as far as that can be told before all of it is looked over.

use datasets::{Augment, Dataset, Scale};

use super::{TrainConfig, values::Size};
use crate::{Error, Result, compile::STRIDE, ui::counted};

impl TrainConfig {
    /// Fails where these samples can not become batches that the model takes: too few for one, parts that do not cover a picture,
    /// sides that are no multiples of 8. Only the first picture is read; those of another size are found by the loader.
    pub(super) fn check_suits(&self, train: &dyn Dataset) -> Result<()> {
        let parts = self.patches.0.map_or(1, |grid| grid.count());
        let samples = train.len() * parts;
        if samples < self.batch {
            let (what, samples, batch) = (train.describe(), counted(samples, "sample"), self.batch);
            return Err(Error::usage(format!(
                "{what} has {samples}, too few for a batch of {batch}; choose a smaller --batch"
            )));
        }
        // A picture that can not be read is told of with all other defects.
        let Ok(mut size) = train.image(0).map(|picture| picture.size()) else { return Ok(()) };
        if let Some(grid) = self.patches.0 {
            let area = grid.area(0, size)?;
            size = (area.width, area.height);
        }
        if self.crop.0.is_some() { Ok(()) } else { self.check_whole(size) }
    }

    /// The same for samples of this (width, height), of which nothing is cut out.
    fn check_whole(&self, size: (usize, usize)) -> Result<()> {
        let advice = |(width, height): (usize, usize)| {
            let down = |n: usize| (n / STRIDE * STRIDE).max(STRIDE);
            format!("choose a --crop, as {}", Size { height: down(height), width: down(width) })
        };
        let scaled = |factor: f32| {
            let augment = Augment { scale: Scale::Fixed(factor), ..self.loader_options().augment };
            augment.draw(0, 0, 0, size).size()
        };
        let sizes: Vec<_> = match &self.scales.0 {
            Scale::Fixed(factor) => vec![scaled(*factor)],
            Scale::Uniform(low, high) if low == high => vec![scaled(*low)],
            Scale::Choice(all) => all.iter().map(|factor| scaled(*factor)).collect(),
            Scale::Uniform(..) => vec![],
        };
        let differ = sizes.iter().any(|size| *size != sizes[0]) && self.batch > self.place.world;
        if sizes.is_empty() || differ {
            let what = format!("scales {} give samples of several sizes, which make no batch", self.scales);
            return Err(Error::usage(format!("{what}; {}", advice(size))));
        }
        match sizes.into_iter().find(|(width, height)| width % STRIDE != 0 || height % STRIDE != 0) {
            None => Ok(()),
            Some((width, height)) => Err(Error::usage(format!(
                "samples are {} pixels (height x width), but the model takes multiples of {STRIDE}; {}",
                Size { height, width },
                advice((width, height))
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use datasets::Split;

    use crate::train::TrainOptions;

    #[test]
    fn what_can_not_become_batches_is_said() {
        let check = |text: &str| {
            let text = format!("train-images = 4\nscene-size = \"40x100\"\nbatch = 2\n{text}");
            let config = TrainOptions::parse(&text).unwrap().resolve().unwrap();
            let data = config.data.open(Split::Train).unwrap();
            config.check_suits(&*data).map_err(|e| {
                assert_eq!(e.exit_code(), 2, "{e}");
                e.to_string()
            })
        };
        for (text, part) in [
            ("", "samples are 40x100 pixels (height x width), but the model takes multiples of 8"),
            ("", "choose a --crop, as 40x96"),
            ("patches = \"32x32:2x2\"", "do not cover a picture"),
            ("patches = \"32x52:2x2\"", "32x52"),
            ("scales = \"0.5..1\"", "several sizes"),
            ("scales = \"0.4,0.8\"", "several sizes"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        for text in ["crop = \"32x32\"\nscales = \"0.5..1\"", "scales = \"0.8\"", "patches = \"40x56:1x2\""] {
            check(text).unwrap();
        }
    }
}

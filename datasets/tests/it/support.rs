//! Small datasets on disk and in memory for the tests.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use datasets::{
    Classes, Dataset, Depth, Error, Image, LabelMap, Normalization, Result, Sample, Split, Synthetic,
    SyntheticOptions,
};

/// A few small synthetic scenes.
pub fn scenes(split: Split, len: usize) -> Synthetic {
    Synthetic::new(SyntheticOptions { seed: 11, split, len, width: 64, height: 32 }).unwrap()
}

/// An image and a label map of one size with all ids of `0..classes`.
pub fn picture(width: usize, height: usize, classes: u8) -> (Image, LabelMap) {
    let image = Image::new(width, height, (0..width * height * 3).map(|i| (i * 7) as u8).collect()).unwrap();
    let labels = (0..width * height).map(|i| (i % classes as usize) as u8).collect();
    (image, LabelMap::new(width, height, labels).unwrap())
}

/// A CamVid-like folder of `n` training pairs of 12x8 pixels.
pub fn camvid(root: &Path, n: usize) {
    let mut list = String::new();
    for i in 0..n {
        let (image, labels) = picture(12, 8, 12);
        image.save_png(root.join(format!("train/{i}.png"))).unwrap();
        labels.save_png(root.join(format!("trainannot/{i}.png"))).unwrap();
        list += &format!("/SegNet/CamVid/train/{i}.png /SegNet/CamVid/trainannot/{i}.png\n");
    }
    std::fs::write(root.join("train.txt"), list).unwrap();
}

/// A dataset whose samples say which they are, and that fails on demand.
pub struct Numbered {
    pub len: usize,
    pub fail_at: Option<usize>,
    pub panic_at: Option<usize>,
    pub odd_size_at: Option<usize>,
    pub loads: AtomicUsize,
    pub names: Vec<String>,
    pub classes: Classes,
}

impl Numbered {
    pub fn new(len: usize) -> Numbered {
        let names = (0..len).map(|i| format!("number {i}")).collect();
        let loads = AtomicUsize::new(0);
        let classes = Classes::camvid();
        Numbered { len, fail_at: None, panic_at: None, odd_size_at: None, loads, names, classes }
    }
}

impl Dataset for Numbered {
    fn describe(&self) -> String {
        "numbered".into()
    }

    fn len(&self) -> usize {
        self.len
    }

    fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    fn classes(&self) -> &Classes {
        &self.classes
    }

    fn normalization(&self) -> Normalization {
        Normalization { mean: [0.0; 3], std: [1.0 / 255.0; 3] }
    }

    fn image(&self, index: usize) -> Result<Image> {
        Ok(self.load(index)?.image)
    }

    fn labels(&self, index: usize) -> Result<LabelMap> {
        Ok(self.load(index)?.labels)
    }

    fn load(&self, index: usize) -> Result<Sample> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        assert_ne!(self.panic_at, Some(index), "sample {index} was told to panic");
        if self.fail_at == Some(index) {
            return Err(Error::Options(format!("number {index} is broken")));
        }
        // Some samples take longer than others.
        std::thread::sleep(std::time::Duration::from_micros((index as u64 * 7919) % 700));
        let width = if self.odd_size_at == Some(index) { 5 } else { 4 };
        let image = Image::new(width, 2, vec![index as u8; width * 2 * 3])?;
        let labels = LabelMap::new(width, 2, vec![(index % 11) as u8; width * 2])?;
        Ok(Sample { image, labels })
    }

    fn content_key(&self) -> Result<String> {
        Ok(format!("numbered-{}", self.len))
    }

    fn inspect(&self, _index: usize, _depth: Depth) -> std::result::Result<bool, Vec<Error>> {
        Ok(true)
    }
}

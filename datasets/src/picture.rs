//! Decoded pictures in host memory: [`Image`] (what the camera saw) and [`LabelMap`] (what each pixel is).

use crate::error::{Error, Result};

/// An 8-bit RGB picture, rows from the top, three bytes per pixel (HWC).
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

/// One train id per pixel, rows from the top; [`crate::IGNORE`] (255) marks pixels without a class.
#[derive(Clone, PartialEq, Eq)]
pub struct LabelMap {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

fn sized(kind: &str, width: usize, height: usize, channels: usize, len: usize) -> Result<()> {
    let want = width.checked_mul(height).and_then(|n| n.checked_mul(channels));
    if width == 0 || height == 0 || want != Some(len) {
        return Err(Error::Options(format!(
            "{kind} of {width}x{height} with {channels} byte(s) per pixel cannot be made of {len} bytes"
        )));
    }
    Ok(())
}

impl Image {
    /// An image from `width * height * 3` bytes. Errors when the length does not match or a side is 0.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Result<Image> {
        sized("an RGB image", width, height, 3, data.len())?;
        Ok(Image { width, height, data })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The bytes, `[height][width][3]`.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The pixel at column `x`, row `y`. Panics outside the picture, like indexing a slice.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.width + x) * 3;
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }

    pub(crate) fn from_parts(width: usize, height: usize, data: Vec<u8>) -> Image {
        debug_assert_eq!(data.len(), width * height * 3);
        Image { width, height, data }
    }
}

impl LabelMap {
    /// A label map from `width * height` train ids. Errors when the length does not match or a side is 0.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Result<LabelMap> {
        sized("a label map", width, height, 1, data.len())?;
        Ok(LabelMap { width, height, data })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The train ids, `[height][width]`.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The train id at column `x`, row `y`. Panics outside the map, like indexing a slice.
    pub fn at(&self, x: usize, y: usize) -> u8 {
        self.data[y * self.width + x]
    }

    /// How many pixels hold each value 0..=255.
    pub fn histogram(&self) -> [u64; 256] {
        let mut counts = [0u64; 256];
        for &v in &self.data {
            counts[v as usize] += 1;
        }
        counts
    }

    pub(crate) fn from_parts(width: usize, height: usize, data: Vec<u8>) -> LabelMap {
        debug_assert_eq!(data.len(), width * height);
        LabelMap { width, height, data }
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({}x{} RGB)", self.width, self.height)
    }
}

impl std::fmt::Debug for LabelMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LabelMap({}x{})", self.width, self.height)
    }
}

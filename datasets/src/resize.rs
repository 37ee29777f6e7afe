//! Sampling pictures on another grid: bilinear for images, nearest for labels, pixel centres aligned
//! (`source = (target + 0.5) * ratio - 0.5`). Scaling, cropping, padding and flipping are one pass.

use crate::classes::IGNORE;
use crate::error::{Error, Result};
use crate::picture::{Image, LabelMap};

/// Where one target column (or row) reads from; `None` is padding.
type Tap = Option<(usize, usize, f32)>;

/// A window on a scaled picture: the picture is resized to `scaled`, then the window of size `out` that
/// starts at `origin` (which may lie outside; what is missing is padding) is taken and perhaps mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub scaled: (usize, usize),
    pub origin: (isize, isize),
    pub out: (usize, usize),
    pub flip: bool,
}

fn taps(from: usize, scaled: usize, origin: isize, out: usize, flip: bool) -> Vec<Tap> {
    let ratio = from as f64 / scaled as f64;
    (0..out)
        .map(|target| {
            let at = origin + if flip { out - 1 - target } else { target } as isize;
            if at < 0 || at >= scaled as isize {
                return None;
            }
            let source = ((at as f64 + 0.5) * ratio - 0.5).clamp(0.0, (from - 1) as f64);
            let low = source as usize;
            Some((low, (low + 1).min(from - 1), (source - low as f64) as f32))
        })
        .collect()
}

fn nearest(from: usize, scaled: usize, origin: isize, out: usize, flip: bool) -> Vec<Option<usize>> {
    (0..out)
        .map(|target| {
            let at = origin + if flip { out - 1 - target } else { target } as isize;
            if at < 0 || at >= scaled as isize {
                return None;
            }
            // The source pixel that contains the target pixel's centre, in exact integers.
            Some(((2 * at as usize + 1) * from / (2 * scaled)).min(from - 1))
        })
        .collect()
}

impl Window {
    pub fn image(&self, image: &Image, padding: [u8; 3]) -> Image {
        let (width, height) = self.out;
        let columns = taps(image.width(), self.scaled.0, self.origin.0, width, self.flip);
        let rows = taps(image.height(), self.scaled.1, self.origin.1, height, false);
        let mut data = Vec::with_capacity(width * height * 3);
        let stride = image.width() * 3;
        for row in rows {
            let Some((y0, y1, fy)) = row else {
                (0..width).for_each(|_| data.extend_from_slice(&padding));
                continue;
            };
            let (above, below) =
                (&image.data()[y0 * stride..][..stride], &image.data()[y1 * stride..][..stride]);
            for column in &columns {
                let Some((x0, x1, fx)) = *column else {
                    data.extend_from_slice(&padding);
                    continue;
                };
                for c in 0..3 {
                    let mix = |line: &[u8]| {
                        let (a, b) = (f32::from(line[x0 * 3 + c]), f32::from(line[x1 * 3 + c]));
                        a + (b - a) * fx
                    };
                    let (a, b) = (mix(above), mix(below));
                    data.push((a + (b - a) * fy + 0.5) as u8);
                }
            }
        }
        Image::from_parts(width, height, data)
    }

    pub fn labels(&self, labels: &LabelMap) -> LabelMap {
        let (width, height) = self.out;
        let columns = nearest(labels.width(), self.scaled.0, self.origin.0, width, self.flip);
        let rows = nearest(labels.height(), self.scaled.1, self.origin.1, height, false);
        let mut data = Vec::with_capacity(width * height);
        for row in rows {
            match row {
                Some(y) => data.extend(columns.iter().map(|x| x.map_or(IGNORE, |x| labels.at(x, y)))),
                None => data.resize(data.len() + width, IGNORE),
            }
        }
        LabelMap::from_parts(width, height, data)
    }
}

fn whole(width: usize, height: usize) -> Result<Window> {
    if width == 0 || height == 0 || (width as u64).saturating_mul(height as u64) > crate::MAX_PIXELS {
        return Err(Error::Options(format!("cannot resize a picture to {width}x{height} pixels")));
    }
    Ok(Window { scaled: (width, height), origin: (0, 0), out: (width, height), flip: false })
}

/// Bilinear resize of an image (pixel centres aligned, no smoothing beyond the two-by-two neighbourhood).
pub fn resize_image(image: &Image, width: usize, height: usize) -> Result<Image> {
    Ok(whole(width, height)?.image(image, [0; 3]))
}

/// Nearest-neighbour resize of a label map: no id appears that was not there.
pub fn resize_labels(labels: &LabelMap, width: usize, height: usize) -> Result<LabelMap> {
    Ok(whole(width, height)?.labels(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(width: usize, height: usize) -> Image {
        let data =
            (0..width * height).flat_map(|i| [(i % width * 8) as u8, (i / width * 8) as u8, 7]).collect();
        Image::new(width, height, data).unwrap()
    }

    #[test]
    fn same_size_changes_nothing() {
        let image = ramp(9, 5);
        assert_eq!(resize_image(&image, 9, 5).unwrap(), image);
        let labels = LabelMap::new(3, 2, vec![0, 1, 2, 3, 255, 5]).unwrap();
        assert_eq!(resize_labels(&labels, 3, 2).unwrap(), labels);
    }

    #[test]
    fn halving_averages_two_by_two() {
        let image =
            Image::new(4, 2, [0, 10, 20, 30, 40, 50, 60, 70].iter().flat_map(|&v| [v; 3]).collect()).unwrap();
        let half = resize_image(&image, 2, 1).unwrap();
        assert_eq!(half.data(), [25, 25, 25, 45, 45, 45]);
    }

    #[test]
    fn doubling_labels_repeats_them() {
        let labels = LabelMap::new(2, 1, vec![3, 255]).unwrap();
        assert_eq!(resize_labels(&labels, 4, 2).unwrap().data(), [3, 3, 255, 255, 3, 3, 255, 255]);
        assert_eq!(resize_labels(&labels, 1, 1).unwrap().data(), [255]);
    }

    #[test]
    fn upscaling_keeps_a_linear_ramp() {
        let wide = resize_image(&ramp(16, 4), 32, 4).unwrap();
        for x in 1..31 {
            let expect = (x as f32 + 0.5) * 0.5 - 0.5;
            assert_eq!(wide.pixel(x, 0)[0], (expect * 8.0 + 0.5) as u8);
        }
    }

    #[test]
    fn impossible_sizes_are_errors() {
        assert!(resize_image(&ramp(2, 2), 0, 4).is_err());
        assert!(resize_image(&ramp(2, 2), usize::MAX, 4).is_err());
    }
}

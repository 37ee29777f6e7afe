//! Overlapping parts of each picture as samples of their own: the paper cuts each Cityscapes frame into eight of
//! 880 × 880 pixels that together cover it (Section IV).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::check::Depth;
use crate::classes::Classes;
use crate::dataset::{Area, Dataset, Normalization, Sample};
use crate::error::{Error, Result};
use crate::files::Fingerprint;
use crate::picture::{Image, LabelMap};

/// Size and number of the parts. Its text is `880x880:2x4`, height × width of a part, then rows × columns of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchGrid {
    /// Rows of pixels of a part.
    pub height: usize,
    /// Columns of pixels of a part.
    pub width: usize,
    /// Rows of parts.
    pub rows: usize,
    /// Columns of parts.
    pub columns: usize,
}

impl PatchGrid {
    /// Parts of a picture.
    pub fn count(&self) -> usize {
        self.rows * self.columns
    }

    /// Where part `part` lies in a picture of this (width, height): the first begins at the top left, the last ends at the
    /// bottom right, the others are spread evenly between them, row by row.
    ///
    /// Errors where the picture is smaller than a part, or where the parts would not cover it.
    pub fn area(&self, part: usize, (width, height): (usize, usize)) -> Result<Area> {
        let place = |all: usize, size: usize, count: usize, at: usize| {
            let covers = size <= all && size * count >= all;
            // From the middle where there is but one; that can only be the whole.
            let spread = |at: usize| (at * (all - size) + (count - 1) / 2) / (count - 1).max(1);
            covers.then(|| spread(at))
        };
        let left = place(width, self.width, self.columns, part % self.columns);
        let top = place(height, self.height, self.rows, part / self.columns);
        match (left, top) {
            (Some(left), Some(top)) => Ok(Area { left, top, width: self.width, height: self.height }),
            _ => Err(Error::Options(format!(
                "patches {self} (height x width: rows x columns) do not fit into or do not cover a picture of \
                 {height}x{width} pixels"
            ))),
        }
    }
}

impl FromStr for PatchGrid {
    type Err = Error;

    fn from_str(text: &str) -> Result<PatchGrid> {
        let pair = |text: &str| {
            let (a, b) = text.split_once(['x', 'X', '×'])?;
            let number = |s: &str| s.trim().parse::<usize>().ok().filter(|n| (1..=1 << 16).contains(n));
            Some((number(a)?, number(b)?))
        };
        let parts = text.split_once(':').and_then(|(size, grid)| Some((pair(size)?, pair(grid)?)));
        match parts {
            Some(((height, width), (rows, columns))) if rows * columns <= 1 << 12 => {
                Ok(PatchGrid { height, width, rows, columns })
            }
            _ => Err(Error::Options(format!(
                "\"{text}\" says no patches; write height x width : rows x columns, as 880x880:2x4"
            ))),
        }
    }
}

impl fmt::Display for PatchGrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}:{}x{}", self.height, self.width, self.rows, self.columns)
    }
}

/// The name of sample `index`, a part of the picture called `whole`.
fn part_name(whole: &str, index: usize, grid: PatchGrid) -> String {
    format!("{whole} (part {} of {})", index % grid.count() + 1, grid.count())
}

/// A dataset whose samples are the parts of another one's, those of one picture after each other.
pub struct Patches {
    whole: Arc<dyn Dataset>,
    grid: PatchGrid,
    names: Vec<String>,
    size: (usize, usize),
}

impl Patches {
    /// The parts of each sample of `whole`, whose pictures must have one size: that of the first one.
    ///
    /// Errors where that can not be read, or the parts do not cover it.
    pub fn new(whole: Arc<dyn Dataset>, grid: PatchGrid) -> Result<Patches> {
        let size = whole.image(0)?.size();
        grid.area(0, size)?;
        let name = |i: usize| part_name(whole.name(i / grid.count()), i, grid);
        let names = (0..whole.len() * grid.count()).map(name).collect();
        Ok(Patches { whole, grid, names, size })
    }

    fn split(&self, index: usize) -> Result<(usize, Area)> {
        let picture = index / self.grid.count();
        if picture >= self.whole.len() {
            return Err(Error::Index { index, len: self.len(), dataset: self.describe() });
        }
        Ok((picture, self.grid.area(index % self.grid.count(), self.size)?))
    }
}

impl Dataset for Patches {
    fn describe(&self) -> String {
        format!("{} in patches {}", self.whole.describe(), self.grid)
    }

    fn len(&self) -> usize {
        self.names.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    fn name_below_root(&self, index: usize) -> String {
        part_name(&self.whole.name_below_root(index / self.grid.count()), index, self.grid)
    }

    fn classes(&self) -> &Classes {
        self.whole.classes()
    }

    fn normalization(&self) -> Normalization {
        self.whole.normalization()
    }

    fn image(&self, index: usize) -> Result<Image> {
        Ok(self.load(index)?.image)
    }

    fn labels(&self, index: usize) -> Result<LabelMap> {
        Ok(self.load(index)?.labels)
    }

    fn load(&self, index: usize) -> Result<Sample> {
        let (picture, area) = self.split(index)?;
        self.whole.load_area(picture, area)
    }

    fn load_area(&self, index: usize, part: Area) -> Result<Sample> {
        let (picture, area) = self.split(index)?;
        if !part.lies_in((area.width, area.height)) {
            return Err(Error::Options(format!("{part:?} does not lie in a part of {}", self.describe())));
        }
        let (left, top) = (area.left + part.left, area.top + part.top);
        self.whole.load_area(picture, Area { left, top, ..part })
    }

    fn files(&self, index: usize) -> Vec<PathBuf> {
        self.whole.files(index / self.grid.count())
    }

    fn content_key(&self) -> Result<String> {
        let mut key = Fingerprint::new();
        key.add(self.whole.content_key()?.as_bytes());
        key.add(self.grid.to_string().as_bytes());
        Ok(key.finish())
    }

    fn inspect(&self, index: usize, depth: Depth) -> std::result::Result<bool, Vec<Error>> {
        self.whole.inspect(index / self.grid.count(), depth)
    }

    fn layout_problems(&self) -> Vec<String> {
        self.whole.layout_problems()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Split, Synthetic, SyntheticOptions};

    const PAPER: PatchGrid = PatchGrid { height: 880, width: 880, rows: 2, columns: 4 };

    #[test]
    fn eight_patches_cover_a_frame() {
        let areas: Vec<Area> = (0..8).map(|part| PAPER.area(part, (2048, 1024)).unwrap()).collect();
        let mut seen = vec![false; 2048 * 1024];
        for a in &areas {
            assert!(a.lies_in((2048, 1024)) && (a.width, a.height) == (880, 880));
            for y in a.top..a.top + a.height {
                seen[y * 2048 + a.left..][..a.width].fill(true);
            }
        }
        assert!(seen.into_iter().all(|s| s));
        assert_eq!((areas[0].left, areas[0].top), (0, 0));
        assert_eq!((areas[7].left, areas[7].top), (2048 - 880, 1024 - 880));
        let columns: Vec<usize> = areas[..4].iter().map(|a| a.left).collect();
        assert_eq!(columns, [0, 389, 779, 1168], "each overlaps the next by nearly the same");
        assert_eq!(PAPER.count() * 2975, 23_800, "the paper's number of training patches");
    }

    #[test]
    fn grids_that_do_not_cover_are_refused() {
        for (text, size) in
            [("880x880:1x4", (2048, 1024)), ("880x880:2x2", (2048, 1024)), ("64x64:1x1", (64, 32))]
        {
            let error = text.parse::<PatchGrid>().unwrap().area(0, size).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("pixels"), "{error}");
        }
        let whole: PatchGrid = "32x64:1x1".parse().unwrap();
        assert_eq!(whole.area(0, (64, 32)).unwrap(), Area { left: 0, top: 0, width: 64, height: 32 });
        for bad in ["880x880", "880:2x4", "0x8:1x1", "8x8:0x1", "8x8:9999x9999", ""] {
            assert!(bad.parse::<PatchGrid>().unwrap_err().to_string().contains("880x880:2x4"), "{bad}");
        }
    }

    #[test]
    fn parts_are_cut_from_the_picture() {
        let options = SyntheticOptions { seed: 3, split: Split::Train, len: 3, width: 64, height: 32 };
        let whole: Arc<dyn Dataset> = Arc::new(Synthetic::new(options).unwrap());
        let grid: PatchGrid = "24x28:2x3".parse().unwrap();
        let patches = Patches::new(whole.clone(), grid).unwrap();
        assert_eq!(patches.len(), 18);
        assert!(patches.name(7).ends_with("(part 2 of 6)") && patches.name(7).starts_with(whole.name(1)));
        for index in [0, 5, 10, 17] {
            let (sample, area) = (patches.load(index).unwrap(), grid.area(index % 6, (64, 32)).unwrap());
            let from = whole.load(index / 6).unwrap();
            for y in 0..24 {
                for x in 0..28 {
                    assert_eq!(sample.image.pixel(x, y), from.image.pixel(x + area.left, y + area.top));
                    assert_eq!(sample.labels.at(x, y), from.labels.at(x + area.left, y + area.top));
                }
            }
            let inner = Area { left: 3, top: 2, width: 5, height: 7 };
            assert_eq!(patches.load_area(index, inner).unwrap(), sample.cut(inner).unwrap());
        }
        assert!(patches.load(18).is_err());
        let beyond = Area { left: 20, top: 0, width: 9, height: 1 };
        assert!(patches.load_area(0, beyond).is_err());
        assert_ne!(patches.content_key().unwrap(), whole.content_key().unwrap());
    }
}

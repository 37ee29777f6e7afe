//! Decoded samples kept on disk, so that a PNG is decompressed once and not in every epoch, or eight times in each for the
//! parts of a picture.
//!
//! One file for each sample: a header, then for each row its colours, its train ids and a checksum. A part of a picture is
//! read as its rows alone. The folder ([`CacheFolder`]) has a limit: what would go beyond it is not kept, and read anew each
//! time. (Nothing is thrown out to make room: in shuffled passes over more than fits, every newcomer would push out one that is
//! needed just as soon.)

mod folder;

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::check::Depth;
use crate::classes::Classes;
use crate::dataset::{Area, Dataset, Normalization, Sample};
use crate::error::{Error, Result};
use crate::picture::{Image, LabelMap};
use crate::read::MAX_PIXELS;

pub use folder::CacheFolder;
use folder::Kept;

/// First bytes of a file; the last one is the version of the layout.
const MAGIC: [u8; 8] = *b"dsnraw\0\x01";

/// Bytes of a header: magic, width, height, checksum of these.
const HEADER: usize = 24;

/// Bytes of the checksum behind each row.
const SUM: usize = 8;

/// How often a cache was of use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheUse {
    /// Samples, or parts of them, read from the cache.
    pub hits: u64,
    /// Samples that were not there.
    pub misses: u64,
    /// Files that were damaged, and were replaced.
    pub damaged: u64,
    /// Samples that would have gone beyond the limit.
    pub left_out: u64,
    /// Bytes in the folder, which other datasets may share.
    pub bytes: u64,
}

/// A dataset with a folder for its decoded samples. The folder may be shared by several datasets and processes; what belongs
/// to files that have changed since is not used.
pub struct Cached {
    inner: Arc<dyn Dataset>,
    cache: Arc<CacheFolder>,
    /// The part of it with the samples of `inner`.
    folder: PathBuf,
    /// Samples that some thread has begun to store.
    stored: Mutex<HashSet<usize>>,
    counts: [AtomicU64; 4],
}

/// What a file of the cache is found to be.
enum Found {
    Whole(Sample),
    Nothing,
    Damaged,
}

impl Cached {
    /// Keeps samples of `inner` in a folder.
    ///
    /// Errors where no part of it can be made, or the samples' files can not be found.
    pub fn new(inner: Arc<dyn Dataset>, cache: Arc<CacheFolder>) -> Result<Cached> {
        let folder = cache.of(&inner.content_key()?)?;
        Ok(Cached { inner, cache, folder, stored: Mutex::default(), counts: Default::default() })
    }

    /// How often it was of use so far.
    pub fn usage(&self) -> CacheUse {
        let [hits, misses, damaged, left_out] = [0, 1, 2, 3].map(|i| self.counts[i].load(Ordering::Relaxed));
        CacheUse { hits, misses, damaged, left_out, bytes: self.cache.bytes() }
    }

    fn count(&self, which: usize) {
        self.counts[which].fetch_add(1, Ordering::Relaxed);
    }

    fn path(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{index:06}.raw"))
    }

    /// The sample or its part from the cache, or from the files, and then kept.
    fn get(&self, index: usize, area: Option<Area>) -> Result<Sample> {
        let damaged = match read(&self.path(index), area) {
            Found::Whole(sample) => {
                self.count(0);
                return Ok(sample);
            }
            Found::Nothing => false,
            Found::Damaged => true,
        };
        self.count(1);
        let whole = self.inner.load(index)?;
        if damaged {
            self.count(2);
        }
        self.keep(index, &whole, damaged);
        match area {
            Some(area) => whole.cut(area),
            None => Ok(whole),
        }
    }

    fn keep(&self, index: usize, sample: &Sample, in_place: bool) {
        let mut stored = self.stored.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !stored.insert(index) {
            return;
        }
        drop(stored);
        if self.cache.keep(&self.path(index), &encode(sample), in_place) == Kept::NoRoom {
            self.count(3);
        }
    }
}

/// A hash of some bytes, eight at a time.
fn checksum(seed: u64, bytes: &[u8]) -> u64 {
    let step = |h: u64, word: u64| (h ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let h = words.iter().fold(step(!seed, bytes.len() as u64), |h, word| step(h, u64::from_le_bytes(*word)));
    rest.iter().fold(h, |h, &byte| step(h, u64::from(byte)))
}

fn header(width: usize, height: usize) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&(width as u32).to_le_bytes());
    out[12..16].copy_from_slice(&(height as u32).to_le_bytes());
    let sum = checksum(0, &out[..16]);
    out[16..].copy_from_slice(&sum.to_le_bytes());
    out
}

/// Bytes of a row with its checksum.
fn stride(width: usize) -> usize {
    4 * width + SUM
}

fn encode(sample: &Sample) -> Vec<u8> {
    let (width, height) = sample.image.size();
    let mut out = Vec::with_capacity(HEADER + height * stride(width));
    out.extend(header(width, height));
    for y in 0..height {
        let from = out.len();
        out.extend_from_slice(&sample.image.data()[3 * width * y..][..3 * width]);
        out.extend_from_slice(&sample.labels.data()[width * y..][..width]);
        // The row's number takes part: a row in another one's place is noticed.
        let sum = checksum(y as u64 + 1, &out[from..]);
        out.extend(sum.to_le_bytes());
    }
    out
}

fn read(path: &Path, area: Option<Area>) -> Found {
    let Ok(mut file) = File::open(path) else { return Found::Nothing };
    match read_from(&mut file, area) {
        Some(sample) => Found::Whole(sample),
        None => Found::Damaged,
    }
}

/// None for whatever is not as it was written, or an area that is not within it.
fn read_from(file: &mut File, area: Option<Area>) -> Option<Sample> {
    let mut start = [0; HEADER];
    file.read_exact(&mut start).ok()?;
    let side = |at: usize| Some(u32::from_le_bytes(start[at..at + 4].try_into().ok()?) as usize);
    let (width, height) = (side(8)?, side(12)?);
    let possible =
        (width as u64).saturating_mul(height as u64) <= MAX_PIXELS && start == header(width, height);
    if !possible || file.metadata().ok()?.len() != (HEADER + height * stride(width)) as u64 {
        return None;
    }
    let area = area.unwrap_or(Area { left: 0, top: 0, width, height });
    if !area.lies_in((width, height)) {
        return None;
    }
    file.seek(SeekFrom::Start((HEADER + area.top * stride(width)) as u64)).ok()?;
    let mut rows = vec![0; area.height * stride(width)];
    file.read_exact(&mut rows).ok()?;
    let mut colors = Vec::with_capacity(3 * area.width * area.height);
    let mut labels = Vec::with_capacity(area.width * area.height);
    for (y, row) in rows.chunks_exact(stride(width)).enumerate() {
        let (values, sum) = row.split_at(4 * width);
        if sum != checksum((area.top + y) as u64 + 1, values).to_le_bytes() {
            return None;
        }
        colors.extend_from_slice(&values[3 * area.left..][..3 * area.width]);
        labels.extend_from_slice(&values[3 * width + area.left..][..area.width]);
    }
    let image = Image::new(area.width, area.height, colors).ok()?;
    Some(Sample { image, labels: LabelMap::new(area.width, area.height, labels).ok()? })
}

impl Dataset for Cached {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn name(&self, index: usize) -> &str {
        self.inner.name(index)
    }

    fn name_below_root(&self, index: usize) -> String {
        self.inner.name_below_root(index)
    }

    fn classes(&self) -> &Classes {
        self.inner.classes()
    }

    fn normalization(&self) -> Normalization {
        self.inner.normalization()
    }

    fn image(&self, index: usize) -> Result<Image> {
        self.inner.image(index)
    }

    fn labels(&self, index: usize) -> Result<LabelMap> {
        self.inner.labels(index)
    }

    fn load(&self, index: usize) -> Result<Sample> {
        self.get(index, None)
    }

    fn load_area(&self, index: usize, area: Area) -> Result<Sample> {
        self.get(index, Some(area))
    }

    fn files(&self, index: usize) -> Vec<PathBuf> {
        self.inner.files(index)
    }

    fn content_key(&self) -> Result<String> {
        self.inner.content_key()
    }

    fn inspect(&self, index: usize, depth: Depth) -> std::result::Result<bool, Vec<Error>> {
        self.inner.inspect(index, depth)
    }

    fn layout_problems(&self) -> Vec<String> {
        self.inner.layout_problems()
    }
}

#[cfg(test)]
mod tests;

//! What Cityscapes and CamVid share: a list of image and label files, read, inspected and fingerprinted.
//! They differ in how the list is made, and in classes and normalisation.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::check::Depth;
use crate::classes::Classes;
use crate::dataset::{Dataset, Normalization, Sample};
use crate::error::{Error, Result};
use crate::picture::{Image, LabelMap};
use crate::read::{decode_image, decode_labels, inspect_image, label_header, read_bytes};

/// One sample on disk. A file that could not be found is kept with the reason, so that the sample fails when
/// it is loaded instead of silently not being there.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub name: String,
    pub image: std::result::Result<PathBuf, Missing>,
    pub label: std::result::Result<(PathBuf, Mapping), String>,
}

/// Why an image of a split list has no file.
#[derive(Debug, Clone)]
pub(crate) struct Missing {
    pub list: PathBuf,
    pub line: usize,
    pub reason: String,
}

/// How the values of a label file become train ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapping {
    /// The table in words, for messages.
    pub name: &'static str,
    pub table: fn() -> [Option<u8>; 256],
}

/// The samples of one split of a dataset on disk; see [`crate::CamVid`] and [`crate::Cityscapes`].
#[derive(Debug, Clone)]
pub struct Pairs {
    pub(crate) dataset: String,
    pub(crate) root: PathBuf,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) classes: Classes,
    pub(crate) normalization: Normalization,
    /// Defects that belong to no sample.
    pub(crate) problems: Vec<String>,
}

impl Pairs {
    fn get(&self, index: usize) -> Result<&Pair> {
        self.pairs.get(index).ok_or_else(|| Error::Index {
            index,
            len: self.pairs.len(),
            dataset: self.dataset.clone(),
        })
    }

    fn image_path(&self, pair: &Pair) -> Result<PathBuf> {
        pair.image.clone().map_err(|m| Error::List { path: m.list, line: m.line, reason: m.reason })
    }

    fn label_path(&self, pair: &Pair) -> Result<(PathBuf, Mapping)> {
        pair.label.clone().map_err(|hint| Error::NoLabel { image: pair.name.clone(), hint })
    }

    fn same_size(&self, index: usize, image: (usize, usize), label: (usize, usize)) -> Result<()> {
        if image == label {
            return Ok(());
        }
        let pair = self.get(index)?;
        Err(Error::SizeMismatch {
            image: self.image_path(pair)?,
            image_size: image,
            label: self.label_path(pair)?.0,
            label_size: label,
        })
    }

    fn inspect_image(&self, index: usize, depth: Depth) -> Result<(usize, usize)> {
        let path = self.image_path(self.get(index)?)?;
        let bytes = read_bytes(&path)?;
        match depth {
            Depth::Headers | Depth::Labels => inspect_image(&path, &bytes),
            Depth::Full => Ok(decode_image(&path, &bytes)?.size()),
        }
    }
}

impl Dataset for Pairs {
    fn describe(&self) -> String {
        self.dataset.clone()
    }

    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.pairs[index].name
    }

    fn name_below_root(&self, index: usize) -> String {
        relative(Path::new(self.name(index)), &self.root)
    }

    fn classes(&self) -> &Classes {
        &self.classes
    }

    fn normalization(&self) -> Normalization {
        self.normalization
    }

    fn image(&self, index: usize) -> Result<Image> {
        let path = self.image_path(self.get(index)?)?;
        decode_image(&path, &read_bytes(&path)?)
    }

    fn labels(&self, index: usize) -> Result<LabelMap> {
        let (path, mapping) = self.label_path(self.get(index)?)?;
        decode_labels(&path, &read_bytes(&path)?, &(mapping.table)(), mapping.name)
    }

    fn load(&self, index: usize) -> Result<Sample> {
        // The label first: it is the one more often missing and the cheaper to read.
        let labels = self.labels(index)?;
        let image = self.image(index)?;
        self.same_size(index, image.size(), labels.size())?;
        Ok(Sample { image, labels })
    }

    fn inspect(&self, index: usize, depth: Depth) -> std::result::Result<bool, Vec<Error>> {
        let mut problems = Vec::new();
        let mut labelled = true;
        let image_size = self.inspect_image(index, depth);
        let label_size =
            self.get(index).and_then(|pair| self.label_path(pair)).and_then(|(path, mapping)| {
                let bytes = read_bytes(&path)?;
                if depth == Depth::Headers {
                    let header = label_header(&path, &bytes)?;
                    inspect_image(&path, &bytes)?;
                    return Ok((header.width as usize, header.height as usize));
                }
                let labels = decode_labels(&path, &bytes, &(mapping.table)(), mapping.name)?;
                labelled = labels.data().iter().any(|&v| v != crate::IGNORE);
                Ok(labels.size())
            });
        match (image_size, label_size) {
            (Ok(image), Ok(label)) => problems.extend(self.same_size(index, image, label).err()),
            (image, label) => problems.extend(image.err().into_iter().chain(label.err())),
        }
        if problems.is_empty() { Ok(labelled) } else { Err(problems) }
    }

    /// Names, sizes and modification times of all files.
    fn content_key(&self) -> Result<String> {
        let mut key = Fingerprint::new();
        key.add(self.dataset.as_bytes());
        for pair in &self.pairs {
            let image = pair.image.as_ref().ok().map(|p| (p, ""));
            let label = pair.label.as_ref().ok().map(|(p, m)| (p, m.name));
            for (path, mapping) in [image, label].into_iter().flatten() {
                let meta = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
                let changed = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
                key.add(relative(path, &self.root).as_bytes());
                key.add(mapping.as_bytes());
                key.add(&meta.len().to_le_bytes());
                key.add(&changed.map_or(0, |d| d.as_nanos()).to_le_bytes());
            }
        }
        Ok(key.finish())
    }

    fn layout_problems(&self) -> Vec<String> {
        self.problems.clone()
    }

    fn files(&self, index: usize) -> Vec<PathBuf> {
        let pair = self.pairs.get(index);
        let image = pair.and_then(|p| p.image.clone().ok());
        image.into_iter().chain(pair.and_then(|p| Some(p.label.clone().ok()?.0))).collect()
    }
}

/// `path` as seen from `root`, for people.
pub(crate) fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// FNV-1a over length-prefixed parts: stable across builds and machines, unlike the standard hasher.
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub fn new() -> Fingerprint {
        Fingerprint(0xCBF2_9CE4_8422_2325)
    }

    pub fn add(&mut self, part: &[u8]) {
        for &byte in (part.len() as u64).to_le_bytes().iter().chain(part) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    pub fn finish(self) -> String {
        format!("{:016x}", self.0)
    }
}

/// Entries of a folder in name order, hidden ones left out.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |e| Error::io("list", folder, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

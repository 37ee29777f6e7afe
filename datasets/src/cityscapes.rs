//! Cityscapes as it unpacks: `leftImg8bit/<split>/<city>/<frame>_leftImg8bit.png` beside
//! `gtFine/<split>/<city>/<frame>_gtFine_labelIds.png` (or `gtCoarse`, or `_labelTrainIds.png`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::cityscapes_labels::{train_id_of_label_id, train_id_of_train_id};
use crate::classes::Classes;
use crate::dataset::{Normalization, Split};
use crate::error::{Error, Result};
use crate::files::{Mapping, Pair, Pairs, entries, relative};

const IMAGE_SUFFIX: &str = "_leftImg8bit.png";
const LABEL_IDS: Mapping =
    Mapping { name: "the Cityscapes label table (ids 0 to 33)", table: train_id_of_label_id };
const TRAIN_IDS: Mapping =
    Mapping { name: "the Cityscapes train ids (0 to 18, and 255 for ignored)", table: train_id_of_train_id };

/// Which of the two label sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Annotation {
    /// `gtFine`: every pixel, 5,000 images.
    Fine,
    /// `gtCoarse`: polygons, 20,000 images more.
    Coarse,
}

impl Annotation {
    /// The folder's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Annotation::Fine => "gtFine",
            Annotation::Coarse => "gtCoarse",
        }
    }
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Annotation {
    type Err = Error;

    fn from_str(s: &str) -> Result<Annotation> {
        match s {
            "fine" | "gtFine" => Ok(Annotation::Fine),
            "coarse" | "gtCoarse" => Ok(Annotation::Coarse),
            _ => Err(Error::Options(format!("there is no annotation \"{s}\"; choose fine or coarse"))),
        }
    }
}

/// Cityscapes on disk; 19 classes, everything else is ignored (255).
#[derive(Debug, Clone, Copy)]
pub struct Cityscapes;

impl Cityscapes {
    /// Lists the split's images, in order of city and file name, and looks for each one's label file.
    ///
    /// Label files are not opened. An image without one stays a sample, which fails when its label is asked
    /// for and which [`crate::check`] reports. Errors when `root` has no image of this split at all.
    pub fn open(root: impl AsRef<Path>, split: Split, annotation: Annotation) -> Result<Pairs> {
        let root = root.as_ref();
        let images = root.join("leftImg8bit").join(split.as_str());
        let truth = root.join(annotation.as_str()).join(split.as_str());
        let expected = || {
            format!(
                "no Cityscapes images: expected leftImg8bit/{split}/<city>/<frame>{IMAGE_SUFFIX} in this folder"
            )
        };
        if !images.is_dir() {
            return Err(Error::Layout { root: root.into(), reason: expected() });
        }
        let mut pairs = Vec::new();
        for city in entries(&images)?.into_iter().filter(|p| p.is_dir()) {
            for image in entries(&city)? {
                if let Some(frame) = stem(&image, IMAGE_SUFFIX) {
                    let folder = truth.join(city.file_name().unwrap_or_default());
                    let label = find_label(&folder, &frame, annotation, split, root);
                    pairs.push(Pair { name: image.display().to_string(), image: Ok(image), label });
                }
            }
        }
        if pairs.is_empty() {
            return Err(Error::Layout { root: root.into(), reason: expected() });
        }
        Ok(Pairs {
            dataset: format!("cityscapes {annotation} {split}"),
            root: root.into(),
            pairs,
            classes: Classes::cityscapes(),
            normalization: Normalization::CITYSCAPES,
            problems: orphans(&truth, &images, annotation, root)?,
        })
    }
}

fn stem(path: &Path, suffix: &str) -> Option<String> {
    path.file_name()?.to_str()?.strip_suffix(suffix).map(str::to_owned)
}

fn find_label(
    folder: &Path,
    frame: &str,
    annotation: Annotation,
    split: Split,
    root: &Path,
) -> std::result::Result<(PathBuf, Mapping), String> {
    let ids = folder.join(format!("{frame}_{annotation}_labelIds.png"));
    let train_ids = folder.join(format!("{frame}_{annotation}_labelTrainIds.png"));
    if ids.is_file() {
        return Ok((ids, LABEL_IDS));
    }
    if train_ids.is_file() {
        return Ok((train_ids, TRAIN_IDS));
    }
    let why = match (split, annotation) {
        (Split::Test, _) => "; Cityscapes does not publish the labels of its test split, use val for scores",
        (Split::TrainExtra, Annotation::Fine) => "; train_extra has coarse labels only",
        _ => "",
    };
    Err(format!("expected {} or ..._labelTrainIds.png{why}", relative(&ids, root)))
}

/// Label files whose image is not there.
fn orphans(truth: &Path, images: &Path, annotation: Annotation, root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if !truth.is_dir() {
        return Ok(found);
    }
    for city in entries(truth)?.into_iter().filter(|p| p.is_dir()) {
        for label in entries(&city)? {
            let frame = stem(&label, &format!("_{annotation}_labelIds.png"))
                .or_else(|| stem(&label, &format!("_{annotation}_labelTrainIds.png")));
            let Some(frame) = frame else { continue };
            let image =
                images.join(city.file_name().unwrap_or_default()).join(format!("{frame}{IMAGE_SUFFIX}"));
            if !image.is_file() {
                let (label, image) = (label.display(), relative(&image, root));
                found.push(format!("{label}: a label without an image; expected {image}"));
            }
        }
    }
    Ok(found)
}

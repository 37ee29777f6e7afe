//! Segmenting pictures from files.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use datasets::{Classes, Image, LabelMap, Normalization, render};
use nn::checkpoint::write_atomically;

use crate::{Error, Result, device::Precision, infer::Predictor, pictures::OPACITY, weights::Trained};

/// What is written for each picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Class colours over the picture.
    Overlay,
    /// Ids as in the dataset's own label files, 8-bit grey.
    LabelIds,
    /// Class colours alone.
    Color,
    /// The picture and, to its right, class colours over it: frames of a video to look at.
    Strip,
}

impl Form {
    /// End of the names of written files.
    fn suffix(self) -> &'static str {
        match self {
            Form::Overlay => "_overlay.png",
            Form::LabelIds => "_labelIds.png",
            Form::Color => "_color.png",
            Form::Strip => "_strip.png",
        }
    }

    /// The result as a PNG file in memory.
    fn png(self, image: &Image, found: &LabelMap, classes: &Classes) -> Result<Vec<u8>> {
        let overlay = || render::overlay(image, found, classes, OPACITY);
        Ok(match self {
            Form::Overlay => overlay()?.to_png()?,
            Form::LabelIds => render::label_ids(found, classes)?.to_png()?,
            Form::Color => render::colorize(found, classes).to_png()?,
            Form::Strip => render::side_by_side(&[image, &overlay()?], 4)?.to_png()?,
        })
    }
}

/// A picture to segment and where its results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The picture.
    pub input: PathBuf,
    /// Path of its results within the output folder, without suffix.
    pub stem: PathBuf,
}

fn is_picture(path: &Path) -> bool {
    let end = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
    matches!(end.as_deref(), Some("png" | "jpg" | "jpeg"))
}

/// The pictures named by `inputs`: files as they are, of folders every PNG and JPEG, also in folders below, in order
/// of their names. Results of a folder keep its structure. Each real folder is walked once, however many links lead to it, and
/// `out`, where the results go, not at all: they are no pictures to segment.
///
/// # Errors
/// Where an input does not exist, is given twice or is `out` itself; a folder that holds no picture; two pictures that would be
/// written to one name.
pub fn jobs(inputs: &[PathBuf], out: &Path) -> Result<Vec<Job>> {
    // A folder that is still to be made holds nothing.
    let mut walked: HashSet<PathBuf> = out.canonicalize().into_iter().collect();
    let results = walked.clone();
    let mut jobs = Vec::new();
    for input in inputs {
        if input.is_dir() {
            if results.contains(&real(input)?) {
                return Err(Error::usage(format!(
                    "results in {0} would lie among the pictures that they are made from; choose another --out, as {0}/results",
                    out.display()
                )));
            }
            let before = jobs.len();
            let new = walk(input, Path::new(""), &mut walked, &mut jobs)?;
            if new && jobs.len() == before {
                return Err(Error::message(format!("{} holds no PNG or JPEG picture", input.display())));
            }
        } else if input.is_file() {
            jobs.push(Job { input: input.clone(), stem: input.file_stem().unwrap_or_default().into() });
        } else {
            return Err(Error::message(format!("{}: there is no such file or folder", input.display())));
        }
    }
    let mut taken: HashMap<&Path, &Path> = HashMap::new();
    for job in &jobs {
        let Some(other) = taken.insert(&job.stem, &job.input) else { continue };
        let (one, two) = (other.display(), job.input.display());
        if real(other)? == real(&job.input)? {
            let again = if other == job.input { String::new() } else { format!(", also as {two}") };
            return Err(Error::usage(format!("{one} is given twice{again}; once is enough")));
        }
        return Err(Error::message(format!(
            "{one} and {two} would be written to the same name {}; predict them into different folders",
            job.stem.display()
        )));
    }
    Ok(jobs)
}

/// The one path of a file or folder that is no link.
fn real(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|e| Error::io("find", path, e))
}

/// Adds the pictures in `folder`, unless it was `walked` before, which is told.
fn walk(folder: &Path, below: &Path, walked: &mut HashSet<PathBuf>, jobs: &mut Vec<Job>) -> Result<bool> {
    if !walked.insert(real(folder)?) {
        return Ok(false);
    }
    let fail = |e| Error::io("list", folder, e);
    let entries = std::fs::read_dir(folder).map_err(fail)?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>().map_err(fail)?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, &below.join(path.file_name().unwrap_or_default()), walked, jobs)?;
        } else if is_picture(&path) {
            let stem = below.join(path.file_stem().unwrap_or_default());
            jobs.push(Job { input: path, stem });
        }
    }
    Ok(true)
}

/// A model with what it needs to read pictures and to draw what it finds.
pub struct Segmenter<'a> {
    predictor: Predictor<'a>,
    classes: Classes,
    normalization: Normalization,
}

impl<'a> Segmenter<'a> {
    /// Of a model read from a checkpoint.
    ///
    /// # Errors
    /// Where its labelling scheme is not known here.
    pub fn new(trained: &'a Trained, precision: Precision) -> Result<Self> {
        let (classes, normalization) = (trained.info.classes()?, trained.info.normalization());
        Ok(Self { predictor: Predictor::with_precision(&trained.net, precision), classes, normalization })
    }

    /// Segments the picture of `job`, of any size, and writes its results below `out`; returns their paths.
    ///
    /// # Errors
    /// Where the model fails or a result can not be written.
    pub fn write(&self, image: &Image, job: &Job, out: &Path, forms: &[Form]) -> Result<Vec<PathBuf>> {
        let results = self.results(image, forms)?;
        let mut written = Vec::with_capacity(forms.len());
        for (form, png) in forms.iter().zip(results) {
            let mut name = out.join(&job.stem).into_os_string();
            name.push(form.suffix());
            let path = PathBuf::from(name);
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, e))?;
            }
            write_atomically(&path, &png)?;
            written.push(path);
        }
        Ok(written)
    }

    /// Segments a picture of any size: one PNG file for each form.
    ///
    /// # Errors
    /// Where the model or a drawing fails.
    pub fn results(&self, image: &Image, forms: &[Form]) -> Result<Vec<Vec<u8>>> {
        let found = self.predictor.segment(image, &self.normalization)?;
        forms.iter().map(|form| form.png(image, &found, &self.classes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_and_clashes_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("in/sub")).unwrap();
        for name in ["in/b.JPG", "in/a.png", "in/notes.txt", "in/sub/a.png", "c.png", "in/a.jpeg"] {
            std::fs::write(at(name), b"").unwrap();
        }
        let jobs = |inputs: &[PathBuf]| jobs(inputs, &at("out"));
        let error = jobs(&[at("in")]).unwrap_err().to_string();
        assert!(error.contains("a.jpeg") && error.contains("a.png"), "{error}");
        std::fs::remove_file(at("in/a.jpeg")).unwrap();
        let found = jobs(&[at("in"), at("c.png")]).unwrap();
        let stems: Vec<_> = found.iter().map(|j| j.stem.to_str().unwrap()).collect();
        assert_eq!(stems, ["a", "b", "sub/a", "c"]);
        assert!(jobs(&[at("nothing")]).is_err());
        std::fs::create_dir(at("empty")).unwrap();
        assert!(jobs(&[at("empty")]).unwrap_err().to_string().contains("no PNG or JPEG"));
    }
    #[test]
    fn nothing_is_segmented_twice() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("in/sub")).unwrap();
        for name in ["in/a.png", "in/sub/b.png"] {
            std::fs::write(at(name), b"").unwrap();
        }
        let stems = |inputs: &[PathBuf], out: &str| -> Vec<String> {
            let found = jobs(inputs, &at(out)).unwrap();
            found.iter().map(|job| job.stem.to_str().unwrap().to_owned()).collect()
        };
        // Results of the time before, in a folder among the pictures.
        assert_eq!(stems(&[at("in")], "in/out"), ["a", "sub/b"]);
        std::fs::create_dir(at("in/out")).unwrap();
        std::fs::write(at("in/out/a_overlay.png"), b"").unwrap();
        assert_eq!(stems(&[at("in")], "in/out"), ["a", "sub/b"]);
        assert_eq!(stems(&[at("in"), at("in/sub")], "out"), ["a", "out/a_overlay", "sub/b"]);
        for (inputs, out, part) in [
            (&[at("in")][..], "in", "would lie among the pictures"),
            (&[at("in/a.png"), at("in/a.png")], "out", "a.png is given twice; once"),
            (&[at("in"), at("in/sub/../a.png")], "out", "a.png is given twice, also as"),
        ] {
            let error = jobs(inputs, &at(out)).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("in"), at("in/sub/loop")).unwrap();
            assert_eq!(stems(&[at("in")], "in/out"), ["a", "sub/b"]);
        }
    }
}

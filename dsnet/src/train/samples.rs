//! Sample predictions of a run: panels for people in `samples/`, and in `report/` the same small and in parts, from which
//! reports are made without model and data.

use std::path::{Path, PathBuf};

use datasets::{Classes, Image, LabelMap};
use nn::checkpoint::write_atomically;
use serde::{Deserialize, Serialize};

use super::RunFolder;
use crate::{Error, Result, pictures::Prediction};

/// Columns of a sample in a report.
const WIDTH: usize = 512;

/// Name of the list beside the parts.
const LIST: &str = "samples.json";

/// Sample predictions of one state of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Steps that the model had done.
    pub step: usize,
    /// The samples, small.
    pub all: Vec<Sample>,
}

/// A sample prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Image, truth and prediction, small.
    pub prediction: Prediction,
    /// Share of the labelled pixels found right, at full size.
    pub accuracy: Option<f64>,
}

/// The list beside the parts.
#[derive(Serialize, Deserialize)]
struct List {
    step: usize,
    samples: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    accuracy: Option<f64>,
}

/// Files of sample `number`, counted from 1: image, truth, prediction.
fn parts(folder: &Path, number: usize) -> [PathBuf; 3] {
    ["image", "truth", "prediction"].map(|part| folder.join(format!("{number:02}-{part}.png")))
}

impl Samples {
    /// Writes predictions of the model after `step` steps; returns how many there are.
    ///
    /// # Errors
    /// Where a prediction fails or a picture can not be written.
    pub fn write(
        folder: &RunFolder,
        step: usize,
        classes: &Classes,
        predictions: impl Iterator<Item = Result<Prediction>>,
    ) -> Result<usize> {
        let store = folder.report_parts();
        let mut samples = Vec::new();
        for (number, prediction) in (1..).zip(predictions) {
            let prediction = prediction?;
            let panel = folder.samples().join(format!("{number:02}.png"));
            prediction.panel(classes)?.save_png(panel)?;
            let small = prediction.shrunk(WIDTH)?;
            let [image, truth, found] = parts(&store, number);
            small.image.save_png(image)?;
            small.truth.save_png(truth)?;
            small.found.save_png(found)?;
            samples.push(Entry { accuracy: prediction.accuracy(), name: prediction.name });
        }
        let count = samples.len();
        if count > 0 {
            let list = List { step, samples };
            let json = serde_json::to_string_pretty(&list);
            let json = json.map_err(|e| Error::message(format!("no JSON of the samples: {e}")))?;
            write_atomically(&store.join(LIST), json.as_bytes())?;
        }
        Ok(count)
    }

    /// Reads what [`Samples::write`] wrote; `None` where nothing was.
    ///
    /// # Errors
    /// Where a file can not be read.
    pub fn read(folder: &RunFolder, classes: &Classes) -> Result<Option<Self>> {
        let store = folder.report_parts();
        let path = store.join(LIST);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", path, e)),
        };
        let list: List = serde_json::from_str(&text)
            .map_err(|e| Error::message(format!("{} is no list of samples: {e}", path.display())))?;
        let mut all = Vec::new();
        for (number, Entry { name, accuracy }) in (1..).zip(list.samples) {
            let [image, truth, found] = parts(&store, number);
            let prediction = Prediction {
                name,
                image: Image::read(image)?,
                truth: LabelMap::read_train_ids(truth, classes.len())?,
                found: LabelMap::read_train_ids(found, classes.len())?,
            };
            all.push(Sample { prediction, accuracy });
        }
        Ok(Some(Self { step: list.step, all }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::TrainOptions;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let folder = RunFolder::create(Some(&out), "", &TrainOptions::default()).unwrap();
        let classes = Classes::camvid();
        assert_eq!(Samples::read(&folder, &classes).unwrap(), None);
        let prediction = Prediction {
            name: "a/b.png".into(),
            image: Image::new(4, 2, (0..24).collect()).unwrap(),
            truth: LabelMap::new(4, 2, vec![0, 1, 2, 255, 4, 5, 6, 10]).unwrap(),
            found: LabelMap::new(4, 2, vec![0, 1, 2, 3, 4, 5, 6, 6]).unwrap(),
        };
        let predictions = [Ok(prediction.clone())].into_iter();
        assert_eq!(Samples::write(&folder, 7, &classes, predictions).unwrap(), 1);
        assert!(folder.samples().join("01.png").exists());
        let read = Samples::read(&folder, &classes).unwrap().unwrap();
        assert_eq!(read, Samples { step: 7, all: vec![Sample { prediction, accuracy: Some(6.0 / 7.0) }] });
    }
}

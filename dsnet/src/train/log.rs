//! The log of a run: one JSON object in each line, appended as training goes on, and the same numbers as TensorBoard
//! events beside it.

use std::{fs, io::Write, path::PathBuf};

use datasets::{Image, Position};
use nn::checkpoint::write_atomically;
use serde::Deserialize;

use super::{Line, RunFolder, line::finite_or_nan};
use crate::{
    Error, Result,
    tensorboard::{EventFile, Until},
};

/// The part of a line that says where in the run it belongs.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Place {
    Start {
        step: usize,
    },
    Step {
        step: usize,
        epoch: usize,
        #[serde(deserialize_with = "finite_or_nan")]
        loss: f64,
    },
    Epoch {
        epoch: usize,
    },
}

/// An open log.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: fs::File,
    events: EventFile,
    /// Losses of the steps of the epoch under way.
    losses: Vec<f64>,
}

impl Log {
    /// Opens the log of a run that goes on after `step` steps, at `at`: later lines, and a last one cut short by a kill,
    /// are dropped, as what they tell of will be done again.
    ///
    /// # Errors
    /// Where the files can not be read or written.
    pub fn open(folder: &RunFolder, step: usize, at: Position) -> Result<Self> {
        let path = folder.log();
        let old = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => vec![],
            Err(e) => return Err(Error::io("read", path, e)),
        };
        let mut losses = vec![];
        let text = String::from_utf8_lossy(&old);
        let stays = |line: &&str| match serde_json::from_str(line) {
            Ok(Place::Step { step: of, epoch, loss }) if of <= step => {
                losses.extend((epoch == at.epoch).then_some(loss));
                true
            }
            Ok(Place::Start { step: of }) => of <= step,
            Ok(Place::Epoch { epoch }) => epoch < at.epoch,
            _ => false,
        };
        let kept: String = text.lines().filter(stays).flat_map(|line| [line, "\n"]).collect();
        if kept.as_bytes() != old || old.is_empty() {
            write_atomically(&path, kept.as_bytes())?;
        }
        let file =
            fs::OpenOptions::new().append(true).open(&path).map_err(|e| Error::io("write", &path, e))?;
        // Between the last step of an epoch and its scores, the step is done and the scores are not.
        let until = if at.batch > 0 { Until::StepOnly(step) } else { Until::AllOf(step) };
        Ok(Self { path, file, events: EventFile::open(&folder.events(), until)?, losses })
    }

    /// Mean loss of the steps of the epoch under way whose loss is a number: one that overflowed has no part in it, a step that was
    /// left out because its gradients did has. NaN where there is none.
    pub fn mean_loss(&self) -> f64 {
        let finite = self.losses.iter().filter(|loss| loss.is_finite());
        finite.clone().sum::<f64>() / finite.count() as f64
    }

    /// Appends a line.
    ///
    /// # Errors
    /// Where the file can not be written.
    pub fn write(&mut self, line: &Line) -> Result<()> {
        let json = serde_json::to_string(line);
        let mut text = json.map_err(|e| Error::message(format!("a log line can not be written: {e}")))?;
        text.push('\n');
        match line {
            Line::Start(_) => {}
            Line::Step(step) => self.losses.push(step.loss),
            Line::Epoch(_) => self.losses.clear(),
        }
        self.file.write_all(text.as_bytes()).map_err(|e| Error::io("write", &self.path, e))?;
        let scalars = line.scalars();
        if scalars.is_empty() { Ok(()) } else { self.events.scalars(line.step(), &scalars) }
    }

    /// Appends a picture to the TensorBoard events.
    ///
    /// # Errors
    /// Where the file can not be written.
    pub fn image(&mut self, step: usize, tag: &str, image: &Image) -> Result<()> {
        self.events.image(step, tag, image)
    }

    /// Returns once all lines are on disk.
    ///
    /// # Errors
    /// Where the system says that they are not.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io("write", &self.path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{EpochLine, Phases, StepLine, TrainOptions};

    fn step(step: usize) -> Line {
        let phases = Some(Phases { data: 0.01, forward: 0.03, backward: 0.05, update: 0.01 });
        let (epoch, loss) = ((step - 1) / 2, 0.1 * step as f64);
        let (sel, overflow) = (Some(0.5), None);
        Line::Step(StepLine { step, epoch, loss, pixel: 1.0, sel, overflow, lr: 1e-3, seconds: 0.1, phases })
    }

    fn epoch(epoch: usize) -> Line {
        let line = r#"{"kind":"epoch","step":0,"epoch":0,"loss":1.0,"best":false}"#;
        let Ok(Line::Epoch(line)) = serde_json::from_str(line) else { panic!("{line}") };
        Line::Epoch(Box::new(EpochLine { step: 2 * epoch + 2, epoch, ..*line }))
    }

    #[test]
    fn going_on_drops_what_will_be_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let folder = RunFolder::create(Some(&out), "", &TrainOptions::default()).unwrap();
        let open = |step, epoch, batch| Log::open(&folder, step, Position { epoch, batch }).unwrap();
        let mut log = open(0, 0, 0);
        for line in [step(1), step(2), epoch(0), step(3), step(4), epoch(1)] {
            log.write(&line).unwrap();
        }
        let read =
            || (fs::read_to_string(folder.log()).unwrap(), fs::metadata(folder.events()).unwrap().len());
        let whole = read();
        let mut file = fs::OpenOptions::new().append(true).open(folder.log()).unwrap();
        file.write_all(b"{\"kind\":\"st\xff").unwrap();
        // In the middle of the second epoch; then at its end, not yet scored; at last after it.
        let mut log = open(3, 1, 1);
        log.write(&step(4)).unwrap();
        assert_eq!(log.mean_loss(), (0.1 * 3.0 + 0.1 * 4.0) / 2.0);
        log.write(&epoch(1)).unwrap();
        assert_eq!(read(), whole);
        let mut log = open(4, 1, 2);
        assert_eq!(log.mean_loss(), (0.1 * 3.0 + 0.1 * 4.0) / 2.0);
        log.write(&epoch(1)).unwrap();
        assert!(open(4, 2, 0).mean_loss().is_nan());
        assert_eq!(read(), whole);
        assert!(whole.0.starts_with("{\"kind\":\"step\",\"step\":1,") && whole.0.contains("\"sel\":0.5"));
    }

    /// A step whose loss overflowed is a line like others, and no part of the mean.
    #[test]
    fn overflowed_steps_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(Some(&dir.path().join("run")), "", &TrainOptions::default()).unwrap();
        let open = |step, batch| Log::open(&folder, step, Position { epoch: 0, batch }).unwrap();
        let mut log = open(0, 0);
        let Line::Step(first) = step(1) else { panic!("no step") };
        let bad = StepLine { loss: f64::INFINITY, pixel: f64::NAN, overflow: Some(65536.0), ..first.clone() };
        log.write(&Line::Step(bad)).unwrap();
        log.write(&Line::Step(StepLine { step: 2, ..first })).unwrap();
        let written = fs::read_to_string(folder.log()).unwrap();
        assert!(written.contains(r#""loss":null,"pixel":null,"sel":0.5,"overflow":65536.0"#), "{written}");
        let again = open(2, 2);
        assert_eq!((again.mean_loss(), log.mean_loss()), (0.1, 0.1));
        assert_eq!(fs::read_to_string(folder.log()).unwrap(), written);
    }

    /// Logs of the first version tell less.
    #[test]
    fn short_lines_are_read() {
        let line = r#"{"kind":"step","step":1,"epoch":0,"loss":1.0,"pixel":1.0,"lr":0.1,"seconds":0.5}"#;
        let Line::Step(read) = serde_json::from_str(line).unwrap() else { panic!("no step") };
        assert_eq!((read.sel, read.phases, read.seconds), (None, None, 0.5));
    }
}

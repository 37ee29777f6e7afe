//! The log of a run: one JSON object in each line, appended as training goes on.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use nn::checkpoint::write_atomically;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, metrics::Scores};

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// After a training step.
    Step {
        /// Steps done, this one included.
        step: usize,
        /// Epoch, from 0.
        epoch: usize,
        /// The whole loss.
        loss: f64,
        /// Its part from pixels.
        pixel: f64,
        /// Its semantic encoding part, where there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        sel: Option<f64>,
        /// Learning rate of this step.
        lr: f64,
        /// Seconds that it took, loading included.
        seconds: f64,
    },
    /// After an epoch.
    Epoch {
        /// Steps done.
        step: usize,
        /// Epoch, from 0.
        epoch: usize,
        /// Mean loss of its steps.
        loss: f64,
        /// Scores on the validation split, where it was evaluated.
        #[serde(skip_serializing_if = "Option::is_none")]
        val: Option<Box<Scores>>,
        /// Whether these are the best weights so far.
        best: bool,
    },
}

/// The part of a line that says where in the run it belongs.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Place {
    Step { step: usize, epoch: usize, loss: f64 },
    Epoch { epoch: usize },
}

/// An open log.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: fs::File,
    /// Losses of the steps of the epoch under way.
    losses: Vec<f64>,
}

impl Log {
    /// Opens the log of a run that goes on after `step` steps in `epoch`: later lines, and a last one cut short by a kill,
    /// are dropped, as what they tell of will be done again.
    ///
    /// # Errors
    /// Where the file can not be read or written.
    pub fn open(path: &Path, step: usize, epoch: usize) -> Result<Self> {
        let old = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => vec![],
            Err(e) => return Err(Error::io("read", path, e)),
        };
        let mut losses = vec![];
        let text = String::from_utf8_lossy(&old);
        let stays = |line: &&str| match serde_json::from_str(line) {
            Ok(Place::Step { step: at, epoch: of, loss }) if at <= step => {
                losses.extend((of == epoch).then_some(loss));
                true
            }
            Ok(Place::Epoch { epoch: at }) => at < epoch,
            _ => false,
        };
        let kept: String = text.lines().filter(stays).flat_map(|line| [line, "\n"]).collect();
        if kept.as_bytes() != old || old.is_empty() {
            write_atomically(path, kept.as_bytes())?;
        }
        let file = fs::OpenOptions::new().append(true).open(path);
        Ok(Self { path: path.into(), file: file.map_err(|e| Error::io("write", path, e))?, losses })
    }

    /// Mean loss of the steps of the epoch under way; NaN before the first.
    pub fn mean_loss(&self) -> f64 {
        self.losses.iter().sum::<f64>() / self.losses.len() as f64
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
            Line::Step { loss, .. } => self.losses.push(*loss),
            Line::Epoch { .. } => self.losses.clear(),
        }
        self.file.write_all(text.as_bytes()).map_err(|e| Error::io("write", &self.path, e))
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

    fn step(step: usize) -> Line {
        let loss = 0.1 * step as f64;
        Line::Step { step, epoch: (step - 1) / 2, loss, pixel: 1.0, sel: Some(0.5), lr: 1e-3, seconds: 0.1 }
    }

    fn epoch(epoch: usize) -> Line {
        Line::Epoch { step: 2 * epoch + 2, epoch, loss: 1.0, val: None, best: false }
    }

    #[test]
    fn going_on_drops_what_will_be_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let mut log = Log::open(&path, 0, 0).unwrap();
        for line in [step(1), step(2), epoch(0), step(3), step(4), epoch(1)] {
            log.write(&line).unwrap();
        }
        let whole = fs::read_to_string(&path).unwrap();
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"kind\":\"st\xff").unwrap();
        // In the middle of the second epoch; then at its end, not yet scored; at last after it.
        let mut log = Log::open(&path, 3, 1).unwrap();
        log.write(&step(4)).unwrap();
        assert_eq!(log.mean_loss(), (0.1 * 3.0 + 0.1 * 4.0) / 2.0);
        log.write(&epoch(1)).unwrap();
        let mut log = Log::open(&path, 4, 1).unwrap();
        assert_eq!(log.mean_loss(), (0.1 * 3.0 + 0.1 * 4.0) / 2.0);
        log.write(&epoch(1)).unwrap();
        assert!(Log::open(&path, 4, 2).unwrap().mean_loss().is_nan());
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        assert!(
            whole.starts_with("{\"kind\":\"step\",\"step\":1,") && whole.contains("\"sel\":0.5"),
            "{whole}"
        );
    }
}

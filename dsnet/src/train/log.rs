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
        /// Mean loss of its steps (since the last start of the program).
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
struct Place {
    step: usize,
}

/// An open log.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: fs::File,
}

impl Log {
    /// Opens the log of a run that goes on after `step` steps: later lines, and a last one cut short by a kill,
    /// are dropped, as those steps will be done again.
    ///
    /// # Errors
    /// Where the file can not be read or written.
    pub fn open(path: &Path, step: usize) -> Result<Self> {
        let old = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Error::io("read", path, e)),
        };
        let stays = |line: &&str| serde_json::from_str::<Place>(line).is_ok_and(|place| place.step <= step);
        let kept: String = old.lines().filter(stays).flat_map(|line| [line, "\n"]).collect();
        if kept != old || old.is_empty() {
            write_atomically(path, kept.as_bytes())?;
        }
        let file = fs::OpenOptions::new().append(true).open(path);
        Ok(Self { path: path.into(), file: file.map_err(|e| Error::io("write", path, e))? })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// Where the file can not be written.
    pub fn write(&mut self, line: &Line) -> Result<()> {
        let json = serde_json::to_string(line);
        let mut text = json.map_err(|e| Error::message(format!("a log line can not be written: {e}")))?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(|e| Error::io("write", &self.path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: usize) -> Line {
        Line::Step { step, epoch: 0, loss: 1.5, pixel: 1.0, sel: Some(0.5), lr: 1e-3, seconds: 0.1 }
    }

    #[test]
    fn going_on_drops_what_will_be_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let mut log = Log::open(&path, 0).unwrap();
        (1..=4).for_each(|n| log.write(&step(n)).unwrap());
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"kind\":\"st").unwrap();
        let mut log = Log::open(&path, 2).unwrap();
        log.write(&step(3)).unwrap();
        let lines: Vec<serde_json::Value> = fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let steps: Vec<_> = lines.iter().map(|l| l["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, [1, 2, 3]);
        assert_eq!((lines[0]["kind"].as_str(), lines[0]["sel"].as_f64()), (Some("step"), Some(0.5)));
    }
}

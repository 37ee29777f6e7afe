//! An event file that grows with a run.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use datasets::Image;

use super::{
    event::{self, What},
    record,
};
use crate::{Error, Result};

/// An open event file. Its events stand in the order of their steps.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: fs::File,
}

/// How much of a file stays when a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Everything up to this step, and of the step itself its first event only: what followed is done again.
    StepOnly(usize),
    /// Everything up to and of this step.
    AllOf(usize),
}

impl EventFile {
    /// Opens the events of a run that goes on: later ones than `until` says, and everything from the first damaged one on,
    /// are cut off, as what they tell of will be done again.
    ///
    /// # Errors
    /// Where the file can not be read or written.
    pub fn open(path: &Path, until: Until) -> Result<Self> {
        let old = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io("read", path, e)),
        };
        let (last, only_first) = match until {
            Until::StepOnly(step) => (step as u64, true),
            Until::AllOf(step) => (step as u64, false),
        };
        let mut rest = &old[..];
        let mut before = None;
        while let Some((event, after)) = record::next(rest)
            && let Some(step) = event::step(event)
            && step <= last
            && !(only_first && before == Some(last))
        {
            (rest, before) = (after, Some(step));
        }
        let kept = old.len() - rest.len();
        let open = || {
            let mut file = fs::OpenOptions::new().create(true).write(true).truncate(false).open(path)?;
            file.set_len(kept as u64)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(|e| Error::io("write", path, e))?;
        let mut events = Self { path: path.into(), file };
        if kept == 0 {
            events.write(0, &What::FileVersion)?;
        }
        Ok(events)
    }

    fn write(&mut self, step: usize, what: &What<'_>) -> Result<()> {
        let event = event::encode(now(), step as u64, what);
        // One call for the whole record: a kill leaves at most its beginning, which the next opening cuts off.
        let written = self.file.write_all(&record::frame(&event));
        written.map_err(|e| Error::io("write", &self.path, e))
    }

    /// Appends numbers by tag.
    ///
    /// # Errors
    /// Where the file can not be written.
    pub fn scalars(&mut self, step: usize, values: &[(String, f64)]) -> Result<()> {
        self.write(step, &What::Scalars(values))
    }

    /// Appends a picture.
    ///
    /// # Errors
    /// Where the file can not be written.
    pub fn image(&mut self, step: usize, tag: &str, image: &Image) -> Result<()> {
        let png = image.to_png()?;
        self.write(step, &What::Image { tag, width: image.width(), height: image.height(), png: &png })
    }
}

/// Seconds since 1970; 0 where the clock stands before.
pub(crate) fn now() -> f64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0.0, |time| time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(path: &Path) -> Vec<u64> {
        let bytes = fs::read(path).unwrap();
        let mut rest = &bytes[..];
        let mut steps = Vec::new();
        while let Some((event, after)) = record::next(rest) {
            steps.push(event::step(event).unwrap());
            rest = after;
        }
        assert!(rest.is_empty(), "nothing but whole records");
        steps
    }

    #[test]
    fn going_on_cuts_off_what_will_be_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let mut events = EventFile::open(&path, Until::AllOf(0)).unwrap();
        let picture = Image::new(2, 1, vec![9; 6]).unwrap();
        for n in 1..=4 {
            events.scalars(n, &[("loss".into(), 0.5)]).unwrap();
            events.image(n, "sample", &picture).unwrap();
        }
        assert_eq!(steps(&path), [0, 1, 1, 2, 2, 3, 3, 4, 4]);
        // A kill in the middle of a record.
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        EventFile::open(&path, Until::AllOf(9)).unwrap();
        assert_eq!(steps(&path), [0, 1, 1, 2, 2, 3, 3, 4]);
        let mut events = EventFile::open(&path, Until::AllOf(2)).unwrap();
        events.scalars(3, &[]).unwrap();
        assert_eq!(steps(&path), [0, 1, 1, 2, 2, 3]);
        EventFile::open(&path, Until::StepOnly(2)).unwrap();
        assert_eq!(steps(&path), [0, 1, 1, 2]);
        fs::write(&path, b"something else").unwrap();
        EventFile::open(&path, Until::AllOf(2)).unwrap();
        assert_eq!(steps(&path), [0]);
    }
}

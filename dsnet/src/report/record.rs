//! What a run folder tells: its settings and its log, read back.

use std::{collections::BTreeMap, io::BufRead, path::Path};

use crate::{
    Error, Result,
    train::{EpochLine, Line, RunFolder, StartLine, StepLine, TrainConfig, TrainOptions},
};

/// Settings that name files and folders of the user.
const FOLDERS: [&str; 4] = ["root", "init", "out", "cache"];

/// A run, finished or not.
#[derive(Debug, Clone)]
pub struct Record {
    /// Name of the run: that of its folder.
    pub name: String,
    /// The folder.
    pub folder: RunFolder,
    /// Its settings as they are stored, defaults included.
    pub options: TrainOptions,
    /// The same, resolved.
    pub config: TrainConfig,
    /// Each start of the program.
    pub starts: Vec<StartLine>,
    /// Steps in order.
    pub steps: Vec<StepLine>,
    /// Epochs in order.
    pub epochs: Vec<EpochLine>,
}

impl Record {
    /// Reads a run. Lines of a kind that this version does not know, and a last one that is still being written, are passed
    /// over.
    ///
    /// # Errors
    /// Where the folder holds no run or its files can not be read.
    pub fn read(folder: &RunFolder) -> Result<Self> {
        let (folder, options) = RunFolder::reopen(Some(folder.path()))?;
        let options = options.with_defaults()?;
        let config = options.resolve_to_look_at()?;
        let whole = folder.path().canonicalize();
        let path = whole.as_deref().unwrap_or(folder.path());
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut record =
            Self { name, options, config, starts: Vec::new(), steps: Vec::new(), epochs: Vec::new(), folder };
        record.read_log()?;
        Ok(record)
    }

    fn read_log(&mut self) -> Result<()> {
        let path = self.folder.log();
        let fail = |e| Error::io("read", &path, e);
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            // A run that was stopped while its data was looked over.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(fail(e)),
        };
        // Bytes, not text: a line may end within a letter.
        for line in std::io::BufReader::new(file).split(b'\n') {
            match serde_json::from_slice(&line.map_err(fail)?) {
                Ok(Line::Start(start)) => self.starts.push(*start),
                Ok(Line::Step(step)) => self.steps.push(step),
                Ok(Line::Epoch(epoch)) => self.epochs.push(*epoch),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Epochs that were evaluated.
    pub fn evaluated(&self) -> impl DoubleEndedIterator<Item = &EpochLine> {
        self.epochs.iter().filter(|e| e.val.is_some())
    }

    /// The epoch with the best weights so far.
    pub fn best(&self) -> Option<&EpochLine> {
        self.evaluated().rfind(|e| e.best).or_else(|| self.evaluated().next_back())
    }

    /// Steps done, and steps of the whole run where the log tells.
    pub fn progress(&self) -> (usize, Option<usize>) {
        let done = self.steps.last().map_or(0, |s| s.step);
        (done, self.starts.last().map(|s| s.total_steps))
    }

    /// Whether the last epoch is done.
    pub fn finished(&self) -> bool {
        self.epochs.last().is_some_and(|e| e.epoch + 1 >= self.config.epochs)
    }

    /// Seconds spent on steps and evaluations.
    pub fn seconds(&self) -> f64 {
        let steps: f64 = self.steps.iter().map(|s| s.seconds).sum();
        steps + self.epochs.iter().filter_map(|e| e.val_seconds).sum::<f64>()
    }

    /// The settings by name, as text.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let table = toml::Table::try_from(&self.options).unwrap_or_default();
        let text = |value: toml::Value| match value {
            toml::Value::String(text) => text,
            other => other.to_string(),
        };
        // Of folders their name alone: a report is shown around, and where somebody keeps data is nobody's business.
        let short = |name: &str, text: String| {
            let last = Path::new(&text).file_name().map(|last| last.to_string_lossy().into_owned());
            if FOLDERS.contains(&name) { last.unwrap_or(text) } else { text }
        };
        table
            .into_iter()
            .map(|(name, value)| {
                let value = short(&name, text(value));
                (name, value)
            })
            .collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        bench::Memory,
        metrics::{Confusion, Scores},
        train::{Log, Phases},
    };

    /// A run of two epochs of five steps on CamVid's classes, written as training writes it.
    pub fn example(at: &Path, lift: f64) -> RunFolder {
        let text = "data = \"camvid\"\nroot = \"d\"\nepochs = 2\nlr = 1e-3\nmodel = \"dsnet-0.5\"\n";
        let options = TrainOptions::parse(text).unwrap();
        let folder = RunFolder::create(Some(at), "", &options).unwrap();
        let mut log = Log::open(&folder, 0, datasets::Position::default()).unwrap();
        let start = StartLine {
            step: 0,
            time: 1.7e9,
            version: "0".into(),
            threads: 2,
            ranks: 1,
            parameters: 455_000,
            data: "camvid train".into(),
            images: 20,
            val_data: "camvid val".into(),
            val_images: 4,
            total_steps: 10,
        };
        log.write(&Line::Start(Box::new(start))).unwrap();
        for step in 1..=10 {
            let loss = (3.0 - lift) / step as f64;
            let phases = Phases { data: 0.01, forward: 0.1, backward: 0.2, update: 0.02 };
            let line = StepLine {
                step,
                epoch: (step - 1) / 5,
                loss,
                pixel: loss * 0.8,
                sel: Some(loss * 0.2),
                overflow: None,
                lr: 1e-3,
                seconds: 0.34,
                phases: Some(phases),
            };
            log.write(&Line::Step(line)).unwrap();
            if step % 5 == 0 {
                let mut confusion = Confusion::new(11);
                confusion
                    .add(&[0, 0, 1, 1, 3, 3, 3, 8], &[0, 1, 1, 1, 3, 3, 3, if step > 5 { 8 } else { 255 }])
                    .unwrap();
                let gamma = [1, 1, 0, 2, 1, 1, 0, 0, 1, 0, 0];
                let val = Scores::new(&confusion, &datasets::Classes::camvid(), Some(&gamma));
                let memory = Memory { peak_tensor_bytes: 5_000_000, peak_process_bytes: Some(9_000_000) };
                let line = EpochLine {
                    step,
                    epoch: step / 5 - 1,
                    loss,
                    val: Some(val),
                    confusion: Some(confusion),
                    val_seconds: Some(1.5),
                    best: true,
                    memory: Some(memory),
                    time: Some(1.7e9 + step as f64),
                };
                log.write(&Line::Epoch(Box::new(line))).unwrap();
            }
        }
        folder
    }

    #[test]
    fn what_training_logs_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = example(&dir.path().join("one"), 0.0);
        // A line of a later version, and one that is still being written.
        let log = std::fs::read_to_string(folder.log()).unwrap();
        std::fs::write(folder.log(), format!("{{\"kind\":\"later\",\"step\":1}}\n{log}{{\"kind\":\"ep"))
            .unwrap();
        let record = Record::read(&folder).unwrap();
        assert_eq!((record.name.as_str(), record.steps.len(), record.epochs.len()), ("one", 10, 2));
        assert!(record.finished() && record.progress() == (10, Some(10)));
        assert_eq!(record.best().unwrap().step, 10);
        assert!((record.seconds() - 6.4).abs() < 1e-9);
        assert_eq!(record.settings()["model"], "dsnet-0.5");
        assert_eq!(record.settings()["epochs"], "2");
        std::fs::remove_file(folder.log()).unwrap();
        assert!(!Record::read(&folder).unwrap().finished());
    }
}

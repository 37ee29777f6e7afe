//! A run folder: settings, log, checkpoints, sample pictures. Every file is written beside its name and renamed,
//! so that a kill at any moment leaves the last good one.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use nn::checkpoint::write_atomically;

use super::{Lock, TrainOptions, lock};
use crate::{
    Error, Result,
    ui::{program, shell_words},
};

/// Name of the last checkpoint.
pub(crate) const LAST: &str = "last.safetensors";

/// Name of the checkpoint before it.
pub(crate) const PREVIOUS: &str = "previous.safetensors";

/// Where a run keeps what.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
    /// The checkpoint to go on from, where it is not the last one.
    from: Option<PathBuf>,
    lock: Option<Arc<Lock>>,
    made: Made,
}

/// What [`RunFolder::create`] has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// Nothing: the run was there.
    Nothing,
    /// The settings, in a folder that was there.
    Settings,
    /// The folder as well.
    Folder,
}

impl RunFolder {
    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings, as `train --config` reads them.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// The log: one JSON object in each line.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.jsonl")
    }

    /// The last checkpoint: everything that going on needs.
    pub fn last(&self) -> PathBuf {
        self.path.join(LAST)
    }

    /// The checkpoint before the last one, in case that one is damaged.
    pub fn previous(&self) -> PathBuf {
        self.path.join(PREVIOUS)
    }

    /// The weights with the best validation mIoU.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// The log's numbers and pictures as TensorBoard events.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.out.tfevents.dsnet")
    }

    /// The report for people.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// Parts that the report is made of.
    pub fn report_parts(&self) -> PathBuf {
        self.path.join("report")
    }

    /// Pictures of predictions.
    pub fn samples(&self) -> PathBuf {
        self.path.join("samples")
    }

    /// The folder with another checkpoint to go on from than the last one; none for the last one.
    pub fn going_on_from(self, from: Option<PathBuf>) -> Self {
        Self { from, ..self }
    }

    /// The checkpoint to go on from; none for a run that has not written any.
    ///
    /// # Errors
    /// Where the last one is gone and one before it is there: the run would begin anew and write over it.
    pub fn checkpoint(&self) -> Result<Option<PathBuf>> {
        let (last, previous) = (self.last(), self.previous());
        if let Some(from) = &self.from {
            return Ok(Some(from.clone()));
        }
        if !last.exists() && previous.exists() {
            let (last, command) = (last.display(), self.resume_command(Some(&previous)));
            let what = format!(
                "{last} is gone, but the checkpoint before it is there; to go on from it:\n  {command}"
            );
            return Err(Error::message(what));
        }
        Ok(last.exists().then_some(last))
    }

    /// The command that goes on with this run, from the last checkpoint or another one.
    pub fn resume_command(&self, from: Option<&Path>) -> String {
        let mut words = vec![program(), "train".into(), "--resume".into(), "--out".into()];
        words.push(self.path.clone().into());
        if let Some(from) = from {
            words.extend(["--from".into(), from.into()]);
        }
        shell_words(words)
    }

    /// The folder, locked for training: no other process can lock it while this value or a clone of it lives. What a
    /// killed process left half written is swept up.
    ///
    /// # Errors
    /// Where another process trains there.
    pub fn locked(self) -> Result<Self> {
        if self.lock.is_some() {
            return Ok(self);
        }
        let lock = Some(Arc::new(Lock::take(&self.path)?));
        sweep(&self.path);
        sweep(&self.samples());
        sweep(&self.report_parts());
        Ok(Self { lock, ..self })
    }

    /// A folder for a new run, locked: `out` where given, else the first free `runs/<name>-<number>`.
    ///
    /// # Errors
    /// Where `out` holds a run already, or the folder can not be made.
    pub fn create(out: Option<&Path>, name: &str, options: &TrainOptions) -> Result<Self> {
        let path = match out {
            Some(path) => path.to_owned(),
            None => free(Path::new("runs"), name),
        };
        let text = options.to_toml()?;
        let text = format!("# Settings of this run; `dsnet train --config` reads them.\n{text}");
        let made = if path.exists() { Made::Settings } else { Made::Folder };
        fs::create_dir_all(&path).map_err(|e| Error::io("make the folder", &path, e))?;
        let folder = Self { path, from: None, lock: None, made }.locked()?;
        if folder.config().exists() {
            return Err(Error::usage(format!(
                "{} holds a run already; go on with it by --resume, or choose another --out",
                folder.path.display()
            )));
        }
        if let Err(e) = write_atomically(&folder.config(), text.as_bytes()) {
            folder.take_back();
            return Err(e.into());
        }
        Ok(folder)
    }

    /// Whether a training has begun here: its log has a line, or there is a checkpoint.
    pub(super) fn begun(&self) -> bool {
        let logged = fs::metadata(self.log()).is_ok_and(|log| log.len() > 0);
        logged || [self.last(), self.previous(), self.best()].iter().any(|file| file.exists())
    }

    /// Takes away what [`RunFolder::create`] has made, where no training has begun in it: the corrected command finds nothing in
    /// its way. Of a run that was reopened nothing is taken, nor any other file.
    pub(super) fn take_back(&self) {
        if self.made == Made::Nothing || self.begun() {
            return;
        }
        // As far as it goes: what the user has to know is why the training did not begin.
        let _ = fs::remove_file(self.config());
        if self.made == Made::Folder {
            let mut left = fs::read_dir(&self.path).into_iter().flatten().flatten();
            if left.all(|entry| entry.file_name() == lock::NAME) {
                let _ = fs::remove_file(self.path.join(lock::NAME));
            }
            let _ = fs::remove_dir(&self.path);
        }
    }

    /// The folder of a run to look at or go on with: `out` where given, else the newest below `runs/`; and its settings.
    ///
    /// # Errors
    /// Where there is none, or its settings can not be read.
    pub fn reopen(out: Option<&Path>) -> Result<(Self, TrainOptions)> {
        let path = match out {
            Some(path) => path.to_owned(),
            None => newest(Path::new("runs")).ok_or_else(|| {
                Error::usage("there is no run below runs/ to go on with; name its folder by --out")
            })?,
        };
        let folder = Self { path, from: None, lock: None, made: Made::Nothing };
        if !folder.config().exists() {
            let what = format!("{} holds no run to go on with (no config.toml)", folder.path.display());
            return Err(Error::usage(what));
        }
        let options = TrainOptions::read(&folder.config())?;
        Ok((folder, options))
    }
}

/// Takes away the temporary files of writers that were killed.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(".tmp-") || name.starts_with('.') && name.ends_with(".tmp") {
            // Debris does no harm: not being able to remove it is no reason not to train.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The first `<name>-<number>` in `parent` that does not exist.
fn free(parent: &Path, name: &str) -> PathBuf {
    let mut numbered = (1u32..).map(|n| parent.join(format!("{name}-{n}")));
    numbered.find(|path| !path.exists()).unwrap_or_else(|| parent.join(name))
}

/// The folder in `parent` whose settings or checkpoint changed last.
fn newest(parent: &Path) -> Option<PathBuf> {
    let folders = fs::read_dir(parent).ok()?.flatten().map(|entry| entry.path());
    let time = |path: &Path| {
        let time = |name: &str| fs::metadata(path.join(name)).and_then(|m| m.modified()).ok();
        time(LAST).or_else(|| time("config.toml"))
    };
    let dated = folders.filter_map(|path| time(&path).map(|t| (t, path)));
    dated.max().map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("a");
        let options = TrainOptions { epochs: Some(3), ..Default::default() };
        let folder = RunFolder::create(Some(&out), "x", &options).unwrap();
        assert!(folder.config().exists());
        // While the first trains, the second is told so; afterwards, how to go on.
        let error = RunFolder::create(Some(&out), "x", &options).unwrap_err();
        assert!(error.to_string().contains("is in use"), "{error}");
        fs::write(out.join(".last.safetensors.tmp"), "half a file").unwrap();
        drop(folder);
        let error = RunFolder::create(Some(&out), "x", &options).unwrap_err();
        assert!(error.to_string().contains("--resume"), "{error}");
        assert!(!out.join(".last.safetensors.tmp").exists());
        let (again, stored) = RunFolder::reopen(Some(&out)).unwrap();
        assert_eq!((again.path(), stored), (out.as_path(), options));
        assert!(RunFolder::reopen(Some(&dir.path().join("b"))).is_err());
    }

    #[test]
    fn what_no_training_began_in_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("a");
        let create = || RunFolder::create(Some(&out), "", &TrainOptions::default()).unwrap();
        create().take_back();
        assert!(!out.exists());
        // Nothing else goes, nor a folder that was there.
        fs::create_dir(&out).unwrap();
        create().take_back();
        assert!(out.exists() && !out.join("config.toml").exists());
        fs::remove_dir_all(&out).unwrap();
        let folder = create();
        fs::write(out.join("notes"), "mine").unwrap();
        folder.take_back();
        assert!(out.join("notes").exists() && !out.join("config.toml").exists());
        drop(folder);
        // A run stays.
        let folder = create();
        RunFolder::reopen(Some(&out)).unwrap().0.take_back();
        fs::write(folder.log(), "{}\n").unwrap();
        folder.take_back();
        assert!(folder.config().exists());
    }

    #[test]
    fn default_folders_are_numbered_and_the_newest_is_found() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(free(dir.path(), "run"), dir.path().join("run-1"));
        for n in [1, 2] {
            let out = dir.path().join(format!("run-{n}"));
            RunFolder::create(Some(&out), "", &TrainOptions::default()).unwrap();
        }
        assert_eq!(free(dir.path(), "run"), dir.path().join("run-3"));
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        let last = fs::File::create(dir.path().join("run-1/last.safetensors")).unwrap();
        last.set_modified(later).unwrap();
        assert_eq!(newest(dir.path()), Some(dir.path().join("run-1")));
    }
}

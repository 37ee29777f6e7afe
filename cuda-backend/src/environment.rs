//! Everything outside the program that a search depends on, as a value: tests build their own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The variable naming folders to search before all others (several: separated as in `PATH`).
pub const OVERRIDE: &str = "DSNET_CUDA_PATH";

/// Variables, root of the file system, and whether the dynamic loader's own path is asked.
#[derive(Clone, Debug)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    root: PathBuf,
    loader: bool,
}

impl Environment {
    /// This process's environment.
    pub fn current() -> Self {
        Self { variables: std::env::vars_os().collect(), root: PathBuf::from("/"), loader: true }
    }

    /// An empty environment over the files below `root`, without the dynamic loader: nothing of the machine shows through.
    pub fn isolated(root: impl Into<PathBuf>) -> Self {
        Self { variables: BTreeMap::new(), root: root.into(), loader: false }
    }

    /// The same environment with one variable set.
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// The value of a variable; an empty one counts as unset.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }

    /// The folder standing for the absolute path `/<below>`.
    pub fn rooted(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// Whether the dynamic loader may be asked by plain file name.
    pub fn asks_loader(&self) -> bool {
        self.loader
    }

    /// The version line of the loaded kernel module, where there is one.
    pub fn kernel_module(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.rooted("proc/driver/nvidia/version")).ok()?;
        text.lines().next().map(|line| line.trim().to_owned())
    }
}

/// Names of the entries of a folder, sorted; empty if it cannot be read.
pub(crate) fn entries(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.file_name()).collect();
    names.sort();
    names
}

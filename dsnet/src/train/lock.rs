//! One training in a run folder at a time: a lock that the system takes back when its holder ends, however it ends.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    path::Path,
};

use crate::{
    Error, Result,
    ui::{errln, shell_words},
};

/// Name of the lock file. It stays in the folder, and goes only with it.
pub(super) const NAME: &str = ".lock";

/// Held as long as a process trains in a folder.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Locks `folder`.
    ///
    /// # Errors
    /// Where a process trains there already, which is named; where the folder can not be written.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(|e| Error::io("write", &path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(folder, &path)),
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => {
                errln!(
                    "note: {} lies where files can not be locked; train there once at a time",
                    folder.display()
                );
            }
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path, e)),
        }
        if !is_there(&file, &path) {
            return Err(in_use(folder, &path));
        }
        // For the message alone: without it (a full disk) the lock holds all the same.
        let command = shell_words(std::env::args_os());
        let _ = file.set_len(0).and_then(|()| write!(file, "process {} ({command})", std::process::id()));
        Ok(Self { _file: file })
    }
}

/// Whether a file that was opened still has its name: whoever held the lock may have taken the folder away meanwhile.
#[cfg(unix)]
fn is_there(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let id = |meta: io::Result<fs::Metadata>| meta.ok().map(|meta| (meta.dev(), meta.ino()));
    id(file.metadata()) == id(fs::metadata(path))
}

/// An open file keeps its name.
#[cfg(not(unix))]
fn is_there(_file: &File, _path: &Path) -> bool {
    true
}

fn in_use(folder: &Path, path: &Path) -> Error {
    let holder = fs::read_to_string(path).ok().filter(|text| !text.is_empty());
    let holder = holder.unwrap_or_else(|| "another process".into());
    Error::message(format!(
        "{} is in use: {holder} is training there\n  wait until it ends, or stop it (it saves its state), or choose another \
         --out",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_named_until_it_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::take(dir.path()).unwrap();
        let error = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} (", std::process::id())), "{error}");
        drop(held);
        Lock::take(dir.path()).unwrap();
    }
}

//! Replacing a file so that a crash at any moment leaves the old or the new one, whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use crate::{Error, Result};

/// Writes `bytes` to a hidden file beside `path`, syncs it and renames it to `path`. One writer at a time.
///
/// # Errors
/// Where the folder is missing or not writable, or the disk is full; `path` is then as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, || Ok(()))
}

/// [`write_atomically`], and what `path` held before goes on under the name `previous`, in the same folder. A kill at any
/// moment leaves a whole file at `path`.
///
/// # Errors
/// As [`write_atomically`]; both files are then as they were where there was no room for the new one.
pub fn write_keeping(path: &Path, previous: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, || keep(path, previous))
}

/// Gives the file at `path` the second name `previous`.
fn keep(path: &Path, previous: &Path) -> io::Result<()> {
    if !path.try_exists()? {
        return Ok(());
    }
    if previous.try_exists()? {
        fs::remove_file(previous)?;
    }
    // File systems without hard links: for a moment only `previous` is there.
    fs::hard_link(path, previous).or_else(|_| fs::rename(path, previous))
}

/// Writes a whole file beside `path`, does what is to be done `before`, and renames it.
fn replace(path: &Path, bytes: &[u8], before: impl FnOnce() -> io::Result<()>) -> Result<()> {
    let at = |source| Error::Io { path: path.into(), source };
    let Some(name) = path.file_name() else {
        return Err(at(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file")));
    };
    // The name is fixed, so that what a killed run left behind is overwritten by the next.
    let temporary = path.with_file_name(format!(".{}.tmp", name.to_string_lossy()));
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(e) = written.and_then(|()| before()).and_then(|()| fs::rename(&temporary, path)) {
        // The error matters, not whether its debris could be swept up.
        let _ = fs::remove_file(&temporary);
        return Err(at(e));
    }
    // The rename itself lasts once the folder is synced (where the system can sync folders).
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(at)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = write_atomically(&folder.path().join("no/a.bin"), b"x").unwrap_err().to_string();
        assert!(error.contains("a.bin"), "{error}");
    }

    #[test]
    fn the_one_before_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (path, previous) = (folder.path().join("a.bin"), folder.path().join("b.bin"));
        for text in ["one", "two", "three"] {
            write_keeping(&path, &previous, text.as_bytes()).unwrap();
        }
        assert_eq!(
            (fs::read(&path).unwrap(), fs::read(&previous).unwrap()),
            (b"three".into(), b"two".into())
        );
        // Without a file at `path` the other one stays.
        fs::remove_file(&path).unwrap();
        write_keeping(&path, &previous, b"four").unwrap();
        assert_eq!((fs::read(&path).unwrap(), fs::read(&previous).unwrap()), (b"four".into(), b"two".into()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}

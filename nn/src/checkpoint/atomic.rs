//! Replacing a file so that a crash at any moment leaves the old or the new one, whole.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use crate::{Error, Result};

/// Writes `bytes` to a hidden file beside `path`, syncs it and renames it to `path`. One writer at a time.
///
/// # Errors
/// Where the folder is missing or not writable, or the disk is full; `path` is then as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let at = |source| Error::Io { path: path.into(), source };
    let Some(name) = path.file_name() else {
        return Err(at(std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path names no file")));
    };
    // The name is fixed, so that what a killed run left behind is overwritten by the next.
    let temporary = path.with_file_name(format!(".{}.tmp", name.to_string_lossy()));
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(e) = written.and_then(|()| fs::rename(&temporary, path)) {
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
}

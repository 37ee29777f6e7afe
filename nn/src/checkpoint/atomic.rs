//! Replacing a file so that a crash at any moment leaves the old or the new one, whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// As many links in a row are followed; Linux follows 40.
const MAX_LINKS: usize = 40;

/// Writes `bytes` to a hidden file beside `path`, syncs it and renames it to `path`. One writer at a time. Where `path` is a
/// link, what it points to is replaced, and the link stays; a pipe or a device is written to.
///
/// # Errors
/// Where the folder is missing or not writable, or the disk is full; `path` is then as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, |_| Ok(()))
}

/// [`write_atomically`], and what `path` held before goes on under the name `previous`, in the same folder. A kill at any
/// moment leaves a whole file at `path`, or, where files can not have two names, at `path` or at `previous`.
///
/// # Errors
/// As [`write_atomically`]; both files are then as they were where there was no room for the new one.
pub fn write_keeping(path: &Path, previous: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes, |path| keep(path, previous))
}

/// Gives the file at `path` the second name `previous`.
fn keep(path: &Path, previous: &Path) -> io::Result<()> {
    if !path.try_exists()? {
        return Ok(());
    }
    if previous.try_exists()? {
        fs::remove_file(previous)?;
    }
    // File systems without hard links: for a moment only `previous` is there. Where `path` was a link into another file
    // system, only a copy can be had.
    fs::hard_link(path, previous)
        .or_else(|_| fs::rename(path, previous))
        .or_else(|_| fs::copy(path, previous).map(drop))
}

/// What bytes go to.
enum Target {
    /// A file, or one that is still to be made: a new one takes its place.
    File(PathBuf),
    /// A pipe, a device, a file that is open already (`/dev/stdout`): nothing can take its place.
    Stream,
}

/// Follows links from `path` on.
fn target(path: &Path) -> io::Result<Target> {
    let mut at = path.to_owned();
    for _ in 0..MAX_LINKS {
        let kind = match fs::symlink_metadata(&at) {
            Ok(meta) => meta.file_type(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Target::File(at)),
            Err(e) => return Err(e),
        };
        if !kind.is_symlink() {
            return Ok(if kind.is_file() || kind.is_dir() { Target::File(at) } else { Target::Stream });
        }
        let folder = at.parent().unwrap_or(Path::new(""));
        // Links to open files: what they seem to point to may be no name at all, as `pipe:[4711]`.
        if folder.canonicalize().is_ok_and(|folder| folder.starts_with("/proc")) {
            return Ok(Target::Stream);
        }
        at = folder.join(fs::read_link(&at)?);
    }
    Err(io::Error::other("links lead around in a circle"))
}

/// Writes a whole file beside what `path` leads to, does with that what is to be done `before`, and renames it.
fn replace(path: &Path, bytes: &[u8], before: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    let at = |source| Error::Io { path: path.into(), source };
    let path = &match target(path).map_err(at)? {
        Target::File(path) => path,
        // Appending: behind an open file there may be one that others have begun to write.
        Target::Stream => {
            let file = File::options().append(true).open(path);
            return file.and_then(|mut file| file.write_all(bytes)).map_err(at);
        }
    };
    let Some(name) = path.file_name() else {
        return Err(at(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file")));
    };
    // The name is fixed, so that what a killed run left behind is overwritten by the next.
    let temporary = path.with_file_name(format!(".{}.tmp", name.to_string_lossy()));
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(e) = written.and_then(|()| before(path)).and_then(|()| fs::rename(&temporary, path)) {
        // The error matters, not whether its debris could be swept up.
        let _ = fs::remove_file(&temporary);
        return Err(at(e));
    }
    // The rename itself lasts once the folder is synced. Not every system can, nor may every user open a folder in which he may
    // write: the new file is there all the same, and whole.
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|f| f.sync_all());
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
        assert!(write_atomically(folder.path(), b"x").is_err(), "a folder is never replaced");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_stay() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("far")).unwrap();
        symlink("far/a.bin", at("a")).unwrap();
        symlink(at("a"), at("b")).unwrap();
        for text in ["one", "two"] {
            // The first time there is nothing at the end of the links.
            write_keeping(&at("b"), &at("before"), text.as_bytes()).unwrap();
            assert_eq!(fs::read(at("far/a.bin")).unwrap(), text.as_bytes());
        }
        assert_eq!(fs::read(at("before")).unwrap(), b"one");
        assert_eq!(fs::read_link(at("b")).unwrap(), at("a"));
        assert_eq!(fs::read_dir(at("far")).unwrap().count(), 1);
        symlink("c", at("c")).unwrap();
        let error = write_atomically(&at("c"), b"x").unwrap_err().to_string();
        assert!(error.contains("circle"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn pipes_and_devices_are_written_to() {
        use std::{io::Read, os::fd::AsRawFd};

        let (mut read, write) = io::pipe().unwrap();
        let path = PathBuf::from(format!("/dev/fd/{}", write.as_raw_fd()));
        write_atomically(&path, b"through a pipe").unwrap();
        drop(write);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through a pipe");
        write_atomically(Path::new("/dev/null"), b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert!(write_atomically(Path::new("/dev/full"), b"x").is_err());
    }

    /// The folder may be written in, but not read: it can not be synced.
    #[cfg(unix)]
    #[test]
    fn a_folder_that_can_not_be_synced_is_no_error() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let mode = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o300);
        let written = write_atomically(&folder.path().join("a.bin"), b"one");
        mode(0o700);
        written.unwrap();
        assert_eq!(fs::read(folder.path().join("a.bin")).unwrap(), b"one");
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

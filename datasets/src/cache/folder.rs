//! The folder of kept samples: its limit, how much is in it, and what becomes of trouble with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::write::write_renamed;

/// After so many kept files the folder is measured again: other processes may keep samples in it, too.
const MEASURE_EVERY: u64 = 64;

/// Who is told why nothing more is kept.
type Tell = Box<dyn Fn(&Error) + Send + Sync>;

/// A folder for decoded samples with a limit for all files in it together; one value for all datasets that share it.
pub struct CacheFolder {
    path: PathBuf,
    limit: u64,
    used: AtomicU64,
    /// Files kept by this value.
    kept: AtomicU64,
    /// Whether a file could not be written: no other is tried then.
    broken: AtomicBool,
    tell: Tell,
}

/// What became of a file that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is there.
    Yes,
    /// It would have gone beyond the limit.
    NoRoom,
    /// The folder can not be written.
    Broken,
}

impl CacheFolder {
    /// The folder at `path`, in which all files together may take `limit` bytes. The first time that a file can not be written
    /// (a full disk), `tell` is called with the reason, and nothing more is kept from then on: work goes on without.
    ///
    /// Errors where the folder can not be made or listed.
    pub fn open(
        path: &Path,
        limit: u64,
        tell: impl Fn(&Error) + Send + Sync + 'static,
    ) -> Result<CacheFolder> {
        std::fs::create_dir_all(path).map_err(|e| Error::io("make", path, e))?;
        let used = AtomicU64::new(size_of_folder(path)?);
        let (kept, broken) = (AtomicU64::new(0), AtomicBool::new(false));
        Ok(CacheFolder { path: path.into(), limit, used, kept, broken, tell: Box::new(tell) })
    }

    /// Bytes in it, as far as is known here: what other processes keep is noticed now and then.
    pub fn bytes(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The folder of one dataset in it.
    pub(super) fn of(&self, content_key: &str) -> Result<PathBuf> {
        let own = self.path.join(content_key);
        std::fs::create_dir_all(&own).map_err(|e| Error::io("make", &own, e))?;
        Ok(own)
    }

    /// Writes a file, if there is room; one `in_place` of another takes none.
    pub(super) fn keep(&self, path: &Path, bytes: &[u8], in_place: bool) -> Kept {
        if self.broken.load(Ordering::Relaxed) {
            return Kept::Broken;
        }
        let more = if in_place { 0 } else { bytes.len() as u64 };
        let fits = |used: u64| used.checked_add(more).filter(|&sum| sum <= self.limit);
        if self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            return Kept::NoRoom;
        }
        // Torn files are noticed by their checksums: there is no need to wait for the disk.
        if let Err(e) = write_renamed(path, bytes, false) {
            self.used.fetch_sub(more, Ordering::Relaxed);
            if !self.broken.swap(true, Ordering::Relaxed) {
                (self.tell)(&e);
            }
            return Kept::Broken;
        }
        let kept = self.kept.fetch_add(1, Ordering::Relaxed) + 1;
        // The larger of both: files that are being written may not be there yet. (A folder that somebody takes away meanwhile can
        // not be measured, and is made again by the next file.)
        if kept.is_multiple_of(MEASURE_EVERY)
            && let Ok(measured) = size_of_folder(&self.path)
        {
            self.used.fetch_max(measured, Ordering::Relaxed);
        }
        Kept::Yes
    }
}

/// Bytes of all files below a folder.
pub(super) fn size_of_folder(folder: &Path) -> Result<u64> {
    let fail = |e| Error::io("list", folder, e);
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        // A file may vanish meanwhile: another process renames its temporary ones.
        let Ok(meta) = entry.metadata() else { continue };
        sum += if meta.is_dir() { size_of_folder(&entry.path())? } else { meta.len() };
    }
    Ok(sum)
}

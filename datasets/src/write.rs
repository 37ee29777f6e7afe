//! Writing files so that a reader never sees half of one: to a temporary name beside the target, then renamed.

use std::fs::File;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use crate::error::{Error, Result};
use crate::picture::{Image, LabelMap};

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Writes `bytes` to `path` by temporary file and rename, making parent folders as needed. Where `path` is a link, what it points
/// to is replaced; a pipe or a device is written to.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_renamed(path, bytes, true)
}

/// The same; where it need not be `durable`, without waiting for the disk.
pub(crate) fn write_renamed(path: &Path, bytes: &[u8], durable: bool) -> Result<()> {
    let fail = |e| Error::io("write", path, e);
    let meta = std::fs::metadata(path).ok();
    if meta.as_ref().is_some_and(|meta| !meta.is_file() && !meta.is_dir()) {
        // Nothing can take the place of a pipe or a device.
        let file = File::options().append(true).open(path);
        return file.and_then(|mut file| file.write_all(bytes)).map_err(fail);
    }
    // The end of links, where there are any: they stay.
    let end = if meta.is_some() { path.canonicalize().map_err(fail)? } else { path.to_owned() };
    let folder = end.parent().unwrap_or_else(|| Path::new(""));
    if !folder.as_os_str().is_empty() {
        std::fs::create_dir_all(folder).map_err(fail)?;
    }
    let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".tmp-{}-{unique}", std::process::id()));
    let written = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            if durable { file.sync_all() } else { Ok(()) }
        })
        .and_then(|()| std::fs::rename(&temporary, &end));
    written.map_err(|e| {
        // Best effort: the write error is the one worth reporting.
        let _ = std::fs::remove_file(&temporary);
        fail(e)
    })
}

fn encode(data: &[u8], width: usize, height: usize, color: ExtendedColorType) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
        .write_image(data, width as u32, height as u32, color)
        .map_err(|e| Error::Options(format!("a picture of {width}x{height} cannot become a PNG: {e}")))?;
    Ok(bytes.into_inner())
}

impl Image {
    /// The image as an 8-bit RGB PNG file in memory.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        encode(self.data(), self.width(), self.height(), ExtendedColorType::Rgb8)
    }

    /// The image as a JPEG file in memory, `quality` from 1 to 100.
    pub fn to_jpeg(&self, quality: u8) -> Result<Vec<u8>> {
        let (width, height) = self.size();
        let mut bytes = Cursor::new(Vec::new());
        JpegEncoder::new_with_quality(&mut bytes, quality)
            .write_image(self.data(), width as u32, height as u32, ExtendedColorType::Rgb8)
            .map_err(|e| {
                Error::Options(format!("a picture of {width}x{height} cannot become a JPEG: {e}"))
            })?;
        Ok(bytes.into_inner())
    }

    /// Writes the image as 8-bit RGB PNG: to a temporary file first, then renamed to `path`.
    pub fn save_png(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomic(path.as_ref(), &self.to_png()?)
    }
}

impl LabelMap {
    /// The values as an 8-bit grey PNG file in memory.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        encode(self.data(), self.width(), self.height(), ExtendedColorType::L8)
    }

    /// Writes the values as 8-bit grey PNG: to a temporary file first, then renamed to `path`.
    pub fn save_png(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomic(path.as_ref(), &self.to_png()?)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn links_stay_and_devices_are_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        write_atomic(&at("far/a"), b"one").unwrap();
        std::os::unix::fs::symlink("far/a", at("link")).unwrap();
        write_atomic(&at("link"), b"two").unwrap();
        assert_eq!(std::fs::read(at("far/a")).unwrap(), b"two");
        assert!(at("link").is_symlink());
        assert_eq!(std::fs::read_dir(at("far")).unwrap().count(), 1);
        write_atomic(Path::new("/dev/null"), b"x").unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }
}

//! Reading pictures from files: PNG and JPEG images, 8-bit grey PNG label maps.
//!
//! A file is only decoded after its declared size was compared with [`MAX_PIXELS`] and with what so many
//! bytes can possibly hold, so that a tiny file with a large header cannot claim the machine's memory.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, Limits};

use crate::error::{Error, Result};
use crate::picture::{Image, LabelMap};
use crate::png::{self, Header};

/// The largest picture that is read, in pixels (2²⁷, about 134 million; a Cityscapes frame has 2 million).
pub const MAX_PIXELS: u64 = 1 << 27;

/// The largest picture file that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 30;

/// The largest size of what a PNG holds besides pixels, unpacked: colour profiles, texts. In bytes.
const MAX_EXTRAS: u64 = 64 << 20;

/// The largest number of pixels that a JPEG can describe by one byte: each block of 8 × 8 takes a bit or more, and colour
/// channels may be stored at a quarter of the width, or of the height.
const JPEG_PIXELS_PER_BYTE: u64 = 1024;

pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let fail = |e| Error::io("read", path, e);
    let meta = std::fs::metadata(path).map_err(fail)?;
    if meta.is_dir() {
        return Err(Error::decode(path, "is a folder, not a picture file"));
    }
    // Not every file knows its size beforehand (a pipe, a device).
    let mut bytes = Vec::new();
    if meta.len() <= MAX_BYTES {
        File::open(path).and_then(|f| f.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(fail)?;
    }
    let len = meta.len().max(bytes.len() as u64);
    if len > MAX_BYTES {
        return Err(Error::decode(path, format!("{len} bytes or more are too many for a picture file")));
    }
    if bytes.is_empty() {
        return Err(Error::decode(path, "the file is empty"));
    }
    Ok(bytes)
}

fn check_size(path: &Path, width: u64, height: u64) -> Result<()> {
    if width.saturating_mul(height) > MAX_PIXELS {
        let limit = format!("the {MAX_PIXELS} pixels this program reads");
        return Err(Error::TooLarge { path: path.into(), width, height, limit });
    }
    Ok(())
}

fn png_header(path: &Path, bytes: &[u8]) -> Result<Header> {
    let header = Header::parse(bytes).map_err(|why| Error::decode(path, why))?;
    let (width, height) = (u64::from(header.width), u64::from(header.height));
    check_size(path, width, height)?;
    if !header.fits(bytes.len()) {
        return Err(more_than_fits(path, bytes, width, height));
    }
    Ok(header)
}

fn more_than_fits(path: &Path, bytes: &[u8], width: u64, height: u64) -> Error {
    let limit = format!("a file of {} bytes can hold", bytes.len());
    Error::TooLarge { path: path.into(), width, height, limit }
}

fn png_decoder(bytes: &[u8]) -> image::ImageResult<PngDecoder<Cursor<&[u8]>>> {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_EXTRAS);
    PngDecoder::with_limits(Cursor::new(bytes), limits)
}

fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0xD8, 0xFF])
}

/// Whether a JPEG has an end mark behind the start of its pixels; the decoder would fill a missing rest with grey.
fn jpeg_complete(bytes: &[u8]) -> bool {
    let pixels = jpeg_pixels(bytes).and_then(|at| bytes.get(at..)).unwrap_or_default();
    pixels.windows(2).any(|w| w == [0xFF, 0xD9])
}

/// Where the pixels of a JPEG begin: behind the header of its first scan. Segments before it are skipped by their length: one with
/// EXIF can hold a thumbnail, a JPEG of its own with an end mark.
fn jpeg_pixels(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        // Stray bytes before a marker and fill bytes in it are passed over, as decoders do.
        at += bytes.get(at..)?.iter().position(|&b| b == 0xFF)?;
        at += bytes[at..].iter().position(|&b| b != 0xFF)?;
        let marker = bytes[at];
        at += 1;
        match marker {
            // No segment: a stuffed byte, TEM, restarts, the start of the file.
            0x00 | 0x01 | 0xD0..=0xD8 => {}
            0xD9 => return None,
            _ => {
                let length = bytes.get(at..at + 2)?;
                at += usize::from(u16::from_be_bytes([length[0], length[1]]));
                if marker == 0xDA {
                    return Some(at);
                }
            }
        }
    }
}

fn neither(path: &Path, bytes: &[u8]) -> Error {
    let start: Vec<String> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
    Error::decode(path, format!("neither PNG nor JPEG (the file starts with {})", start.join(" ")))
}

/// Runs a decoder and turns its panics into errors: one broken file must not end a training run.
fn decoded(
    path: &Path,
    kind: &str,
    decode: impl FnOnce() -> image::ImageResult<DynamicImage>,
) -> Result<DynamicImage> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode)) {
        Ok(Ok(picture)) => Ok(picture),
        Ok(Err(why)) => Err(Error::decode(path, format!("truncated or corrupt {kind}: {why}"))),
        Err(_) => Err(Error::decode(path, format!("corrupt {kind}: its decoder gave up"))),
    }
}

/// Decodes an image held in memory; `path` is for messages.
pub(crate) fn decode_image(path: &Path, bytes: &[u8]) -> Result<Image> {
    let picture = if png::is_png(bytes) {
        png_header(path, bytes)?;
        png::complete(bytes).map_err(|why| Error::decode(path, why))?;
        decoded(path, "PNG", || {
            let mut decoder = png_decoder(bytes)?;
            let turn = decoder.orientation()?;
            let mut picture = DynamicImage::from_decoder(decoder)?;
            picture.apply_orientation(turn);
            Ok(picture)
        })?
    } else if is_jpeg(bytes) {
        jpeg_size(path, bytes)?;
        decoded(path, "JPEG", || {
            let mut decoder = JpegDecoder::new(Cursor::new(bytes))?;
            let turn = decoder.orientation()?;
            let mut picture = DynamicImage::from_decoder(decoder)?;
            picture.apply_orientation(turn);
            Ok(picture)
        })?
    } else {
        return Err(neither(path, bytes));
    };
    let rgb = picture.into_rgb8();
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    Image::new(width, height, rgb.into_raw()).map_err(|_| Error::decode(path, "the picture has no pixels"))
}

/// Width and height of a picture that is stored with these once it stands upright.
fn upright((width, height): (u32, u32), turn: Orientation) -> (u32, u32) {
    match turn {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => (width, height),
    }
}

/// The upright size that a decoder tells, without decoding.
fn told_size<D: ImageDecoder>(
    path: &Path,
    kind: &str,
    open: impl FnOnce() -> image::ImageResult<D>,
) -> Result<(u64, u64)> {
    let size = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut decoder = open()?;
        let turn = decoder.orientation()?;
        Ok(upright(decoder.dimensions(), turn))
    }));
    match size {
        Ok(Ok((width, height))) => Ok((u64::from(width), u64::from(height))),
        Ok(Err(why)) => {
            let why: image::ImageError = why;
            Err(Error::decode(path, format!("truncated or corrupt {kind}: {why}")))
        }
        Err(_) => Err(Error::decode(path, format!("corrupt {kind}: its decoder gave up"))),
    }
}

/// Width and height, upright, of a JPEG that is whole, once they were found to be possible.
fn jpeg_size(path: &Path, bytes: &[u8]) -> Result<(u64, u64)> {
    if !jpeg_complete(bytes) {
        return Err(Error::decode(path, "truncated JPEG: it has no end mark"));
    }
    let (width, height) = told_size(path, "JPEG", || JpegDecoder::new(Cursor::new(bytes)))?;
    check_size(path, width, height)?;
    if width * height > bytes.len() as u64 * JPEG_PIXELS_PER_BYTE {
        return Err(more_than_fits(path, bytes, width, height));
    }
    Ok((width, height))
}

/// Decodes a label picture held in memory and maps each value through `table`.
pub(crate) fn decode_labels(
    path: &Path,
    bytes: &[u8],
    table: &[Option<u8>; 256],
    mapping: &'static str,
) -> Result<LabelMap> {
    label_header(path, bytes)?;
    png::complete(bytes).map_err(|why| Error::decode(path, why))?;
    let grey = decoded(path, "PNG", || DynamicImage::from_decoder(png_decoder(bytes)?))?;
    let DynamicImage::ImageLuma8(grey) = grey else {
        return Err(Error::LabelFormat { path: path.into(), found: format!("{:?}", grey.color()) });
    };
    let (width, height) = (grey.width() as usize, grey.height() as usize);
    let mut data = grey.into_raw();
    for at in 0..data.len() {
        match table[data[at] as usize] {
            Some(train_id) => data[at] = train_id,
            None => {
                let (x, y, value) = (at % width, at / width, data[at]);
                return Err(Error::LabelValue { path: path.into(), x, y, value, mapping });
            }
        }
    }
    LabelMap::new(width, height, data)
}

/// Header of a label file, after checking that its format can hold labels.
pub(crate) fn label_header(path: &Path, bytes: &[u8]) -> Result<Header> {
    if !png::is_png(bytes) {
        let found = if is_jpeg(bytes) { "a JPEG, whose compression invents ids" } else { "no PNG at all" };
        return Err(Error::LabelFormat { path: path.into(), found: found.into() });
    }
    let header = png_header(path, bytes)?;
    if (header.bit_depth, header.color_type) != (8, 0) {
        return Err(Error::LabelFormat { path: path.into(), found: header.format() });
    }
    Ok(header)
}

/// Width and height of an image file, upright as it is decoded, and whether its container is whole; without decompressing it.
pub(crate) fn inspect_image(path: &Path, bytes: &[u8]) -> Result<(usize, usize)> {
    if png::is_png(bytes) {
        png_header(path, bytes)?;
        png::complete(bytes).map_err(|why| Error::decode(path, why))?;
        let (width, height) = told_size(path, "PNG", || png_decoder(bytes))?;
        Ok((width as usize, height as usize))
    } else if is_jpeg(bytes) {
        let (width, height) = jpeg_size(path, bytes)?;
        Ok((width as usize, height as usize))
    } else {
        Err(neither(path, bytes))
    }
}

impl Image {
    /// Reads a PNG or JPEG file of any pixel format as 8-bit RGB, upright (EXIF orientation applied).
    ///
    /// Errors name the file: not readable, neither PNG nor JPEG, truncated, corrupt, or larger than
    /// [`MAX_PIXELS`].
    pub fn read(path: impl AsRef<Path>) -> Result<Image> {
        let path = path.as_ref();
        decode_image(path, &read_bytes(path)?)
    }

    /// As [`Image::read`], of a file held in memory; `name` stands for its path in messages.
    pub fn decode(name: impl AsRef<Path>, bytes: &[u8]) -> Result<Image> {
        decode_image(name.as_ref(), bytes)
    }
}

impl LabelMap {
    /// Reads train ids below `classes`, and 255, from an 8-bit grey PNG as [`LabelMap::save_png`] writes it.
    ///
    /// Errors name the file, and the pixel where an id is none of these.
    pub fn read_train_ids(path: impl AsRef<Path>, classes: usize) -> Result<LabelMap> {
        let path = path.as_ref();
        let table = std::array::from_fn(|id| (id < classes || id == 255).then_some(id as u8));
        decode_labels(path, &read_bytes(path)?, &table, "the train ids of the classes, and 255 for none")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_mark_is_looked_for_behind_the_pixels_start() {
        // A thumbnail with an end mark, stray bytes, fill bytes, then a scan.
        let exif = [0xFF, 0xE1, 0, 8, 0xFF, 0xD8, 0xFF, 0xD9, 0, 0];
        let head = [&[0xFF, 0xD8][..], &exif, &[7, 7, 0xFF, 0xFF, 0xFF, 0xDB, 0, 3, 0]].concat();
        let scan = [0xFF, 0xDA, 0, 4, 1, 2, 55, 0xFF, 0, 66];
        let whole = [&head[..], &scan, &[0xFF, 0xD9], &[0; 100_000]].concat();
        assert!(jpeg_complete(&whole));
        assert_eq!(jpeg_pixels(&whole), Some(head.len() + 6));
        let end = head.len() + scan.len() + 2;
        assert!((0..end).all(|len| !jpeg_complete(&whole[..len])));
        assert!(!jpeg_complete(&[0xFF, 0xD8, 0xFF, 0xD9]));
    }
}

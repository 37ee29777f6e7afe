//! A declared size is a promise that the file must be able to keep: one that can not is refused before memory is claimed.

use std::{fs, path::Path};

use datasets::{CamVid, Dataset, Depth, Error, Image, Split};
use nn::Checkpoint;

use crate::{
    alone::{Watch, alone},
    change::crc32,
};

/// A PNG of about a hundred bytes that declares this size, with right checksums.
fn png(width: u32, height: u32, bits: u8, color: u8) -> Vec<u8> {
    let chunk = |kind: &[u8], data: &[u8]| {
        let body = [kind, data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &body, &crc32(&body).to_be_bytes()].concat()
    };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[bits, color, 0, 0, 0]].concat();
    let pixels = [0x78, 0x9C, 0x03, 0, 0, 0, 0, 1];
    let chunks = [chunk(b"IHDR", &header), chunk(b"IDAT", &pixels), chunk(b"IEND", &[])];
    [&[0x89, b'P', b'N', b'G', 13, 10, 26, 10], chunks.concat().as_slice()].concat()
}

/// A JPEG whose frame header declares this size.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = include_bytes!("pictures/progressive.jpg").to_vec();
    let frame = bytes.windows(2).position(|w| w == [0xff, 0xc2]).unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

fn refused(folder: &Path, bytes: &[u8], watch: &Watch, case: &str) {
    for (name, bytes) in [("train.txt", &b"i i\n"[..]), ("i", bytes)] {
        fs::write(folder.join(name), bytes).unwrap();
    }
    let data = CamVid::open(folder, Split::Train).unwrap();
    let image = data.image(0).unwrap_err();
    assert!(matches!(image, Error::TooLarge { .. }), "{case}: {image}");
    assert!(data.labels(0).is_err() && data.inspect(0, Depth::Headers).is_err(), "{case}");
    watch.check(case);
}

#[test]
fn a_declared_size_claims_no_memory() {
    alone("sizes::a_declared_size_claims_no_memory", || {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let watch = Watch::new();
        // Beyond the limit; below it but more than so few bytes can hold; beyond 64 bits when multiplied.
        for (width, height) in
            [(40_000, 25_000), (10_000, 10_000), (2000, 1000), (u32::MAX, u32::MAX), (2_000_000_000, 1)]
        {
            for (bits, color) in [(8, 0), (1, 0), (8, 2), (16, 6), (4, 3)] {
                refused(
                    dir.path(),
                    &png(width, height, bits, color),
                    &watch,
                    &format!("PNG {width}x{height}"),
                );
            }
        }
        for (width, height) in [(65_535, 65_535), (11_000, 11_000), (1000, 1000)] {
            refused(dir.path(), &jpeg(width, height), &watch, &format!("JPEG {width}x{height}"));
        }
        // A size that would fit, with no pixels behind it.
        fs::write(at("i"), png(16, 16, 8, 2)).unwrap();
        assert!(Image::read(at("i")).is_err());

        let tensors = |header: &str| {
            let path = at("w.safetensors");
            fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()).unwrap();
            Checkpoint::load(path).unwrap_err().to_string()
        };
        let claim = |end: &str, shape: &str| {
            tensors(&format!(r#"{{"a":{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,{end}]}}}}"#))
        };
        for error in [
            claim("4000000000", "1000000000"),
            claim("0", "4294967296,4294967296,4294967296"),
            claim("18446744073709551615", "4611686018427387903"),
            tensors(&"[".repeat(1 << 20)),
        ] {
            assert!(error.contains("w.safetensors") && error.contains("truncated, damaged or no"), "{error}");
        }
        watch.check("safetensors");

        let list = |bytes: &[u8]| {
            fs::write(at("val.txt"), bytes).unwrap();
            CamVid::open(dir.path(), Split::Val)
        };
        assert!(list("i\n".repeat(1 << 20).as_bytes()).unwrap_err().to_string().contains("lines"));
        let deep = list("i/".repeat(1 << 20).as_bytes()).unwrap();
        assert!(deep.image(0).unwrap_err().to_string().contains("no path"));
        assert!(list(" ".repeat(1 << 25).as_bytes()).unwrap_err().to_string().contains("too large"));
        watch.check("split lists");
    });
}

//! Files nobody meant to write: every one of them is an error. (Changed files in bulk, and files that declare what they do not
//! hold: `tests/tests/mutations`.)

use std::fs;
use std::path::Path;

use datasets::{CamVid, Dataset, Depth, Image, Pairs, Split, check};
use proptest::prelude::*;

use crate::support::{camvid, picture};

/// Bytes of a small valid PNG image and label, and of a JPEG.
fn originals() -> [Vec<u8>; 3] {
    let dir = tempfile::tempdir().unwrap();
    let (image, labels) = picture(23, 17, 11);
    let path = |name: &str| dir.path().join(name);
    image.save_png(path("i.png")).unwrap();
    labels.save_png(path("l.png")).unwrap();
    let rgb = image::RgbImage::from_raw(23, 17, image.data().to_vec()).unwrap();
    rgb.save_with_format(path("j.jpg"), image::ImageFormat::Jpeg).unwrap();
    ["i.png", "l.png", "j.jpg"].map(|n| fs::read(path(n)).unwrap())
}

fn write_as_pair(root: &Path, image: &[u8], label: &[u8]) -> Pairs {
    fs::create_dir_all(root).unwrap();
    fs::write(root.join("train.txt"), "i l\n").unwrap();
    fs::write(root.join("i"), image).unwrap();
    fs::write(root.join("l"), label).unwrap();
    CamVid::open(root, Split::Train).unwrap()
}

#[test]
fn files_of_other_kinds_are_named_for_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let read = |bytes: &[u8]| {
        let path = dir.path().join("x.png");
        fs::write(&path, bytes).unwrap();
        Image::read(&path).unwrap_err().to_string()
    };
    assert!(read(b"").contains("empty"));
    assert!(read(b"GIF89a...").contains("neither PNG nor JPEG"));
    assert!(read(&[0x89, b'P', b'N', b'G', 13, 10, 26, 10]).contains("truncated"));
    assert!(Image::read(dir.path()).unwrap_err().to_string().contains("folder"));
    assert!(Image::read(dir.path().join("no.png")).unwrap_err().to_string().contains("no.png"));
}

#[test]
fn every_truncation_is_noticed() {
    let [image, label, jpeg] = originals();
    let dir = tempfile::tempdir().unwrap();
    for (bytes, step) in [(&image, 7), (&label, 1), (&jpeg, 5)] {
        for end in (0..bytes.len() - 1).step_by(step) {
            let data = write_as_pair(dir.path(), &bytes[..end], &bytes[..end]);
            assert!(data.image(0).is_err(), "{end} of {} bytes", bytes.len());
            assert!(data.labels(0).is_err());
            assert!(check(&data, Depth::Headers, &|_| {}).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_no_picture(bytes in prop::collection::vec(any::<u8>(), 0..400), head in 0usize..3) {
        let starts: [&[u8]; 3] = [b"", &[0x89, b'P', b'N', b'G', 13, 10, 26, 10], &[0xFF, 0xD8, 0xFF]];
        let bytes = [starts[head], &bytes].concat();
        let dir = tempfile::tempdir().unwrap();
        let data = write_as_pair(dir.path(), &bytes, &bytes);
        prop_assert!(data.image(0).is_err());
        prop_assert!(data.labels(0).is_err());
    }

    #[test]
    fn changed_label_values_are_found(x in 0usize..12, y in 0usize..8, value in any::<u8>()) {
        let dir = tempfile::tempdir().unwrap();
        camvid(dir.path(), 1);
        let mut ids = picture(12, 8, 12).1.data().to_vec();
        ids[y * 12 + x] = value;
        datasets::LabelMap::new(12, 8, ids).unwrap().save_png(dir.path().join("trainannot/0.png")).unwrap();
        let data = CamVid::open(dir.path(), Split::Train).unwrap();
        match data.labels(0) {
            Ok(labels) => {
                let expected = if value == 11 { 255 } else { value };
                prop_assert!(value <= 11);
                prop_assert_eq!(labels.at(x, y), expected);
            }
            Err(e) => {
                prop_assert!(value > 11);
                let message = e.to_string();
                let place = format!("(x={x}, y={y}) has label {value}");
                prop_assert!(message.contains(&place) && message.contains("trainannot"), "{}", message);
            }
        }
    }

    #[test]
    fn garbage_lists_give_samples_or_errors(list in prop::collection::vec(any::<u8>(), 0..300), lines in "([a-z./ \\t\\r\\n]|train/0.png|\\\\|\u{0}|\u{fffd}){0,60}") {
        let dir = tempfile::tempdir().unwrap();
        camvid(dir.path(), 1);
        for text in [list.as_slice(), lines.as_bytes()] {
            fs::write(dir.path().join("train.txt"), text).unwrap();
            match CamVid::open(dir.path(), Split::Train) {
                Err(e) => prop_assert!(e.to_string().contains("train.txt"), "{}", e),
                Ok(data) => {
                    for i in 0..data.len() {
                        let _ = data.load(i);
                        prop_assert!(!data.name(i).is_empty());
                    }
                    let _ = check(&data, Depth::Labels, &|_| {});
                }
            }
        }
    }
}

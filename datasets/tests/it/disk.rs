//! Cityscapes and CamVid folders, whole and damaged.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use datasets::{
    Annotation, CacheFolder, Cached, CamVid, Cityscapes, Dataset, Depth, Error, Image, LabelMap, Pairs,
    Patches, Split, check, write_cityscapes,
};

use crate::support::{camvid, picture, scenes};

fn problems(dataset: &dyn Dataset, depth: Depth) -> Vec<String> {
    match check(dataset, depth, &|_| {}) {
        Ok(()) => Vec::new(),
        Err(Error::Invalid(p)) => p.list,
        Err(e) => panic!("{e}"),
    }
}

fn open(root: &Path) -> Pairs {
    Cityscapes::open(root, Split::Train, Annotation::Fine).unwrap()
}

fn exported(root: &Path, n: usize) {
    write_cityscapes(&scenes(Split::Train, n), root, Split::Train, Annotation::Fine, "synthia", &|_| {})
        .unwrap();
}

fn image_file(root: &Path, n: usize) -> std::path::PathBuf {
    root.join(format!("leftImg8bit/train/synthia/synthia_{n:06}_000019_leftImg8bit.png"))
}

fn label_file(root: &Path, n: usize) -> std::path::PathBuf {
    root.join(format!("gtFine/train/synthia/synthia_{n:06}_000019_gtFine_labelIds.png"))
}

#[test]
fn what_is_written_as_cityscapes_reads_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let source = scenes(Split::Train, 5);
    exported(dir.path(), 5);
    let read = open(dir.path());
    assert_eq!(read.len(), 5);
    for i in 0..5 {
        assert_eq!(read.load(i).unwrap(), source.load(i).unwrap());
        assert!(read.name(i).ends_with("_leftImg8bit.png"));
    }
    assert!(problems(&read, Depth::Full).is_empty());
    let leftovers = walk(dir.path()).into_iter().filter(|p| p.contains("tmp")).count();
    assert_eq!(leftovers, 0, "no temporary files stay behind");
}

#[test]
fn coarse_labels_stay_away_from_borders() {
    let dir = tempfile::tempdir().unwrap();
    let source = scenes(Split::Train, 2);
    write_cityscapes(&source, dir.path(), Split::TrainExtra, Annotation::Coarse, "synthia", &|_| {}).unwrap();
    let read = Cityscapes::open(dir.path(), Split::TrainExtra, Annotation::Coarse).unwrap();
    for i in 0..2 {
        let (fine, coarse) = (source.labels(i).unwrap(), read.labels(i).unwrap());
        let (width, height) = fine.size();
        let (mut kept, mut dropped) = (0, 0);
        for y in 0..height {
            for x in 1..width {
                let (label, left) = (coarse.at(x, y), coarse.at(x - 1, y));
                assert!(label == 255 || label == fine.at(x, y));
                assert!(label == left || label == 255 || left == 255, "two classes touch at {x}, {y}");
                kept += usize::from(label != 255);
                dropped += usize::from(label == 255 && fine.at(x, y) != 255);
            }
        }
        assert!(kept > width * height / 4 && dropped > 0, "{kept} {dropped}");
    }
}

fn walk(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

#[test]
fn all_problems_are_listed_at_once_with_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    exported(root, 8);
    // A label without an image, an image without a label.
    fs::remove_file(image_file(root, 0)).unwrap();
    fs::remove_file(label_file(root, 1)).unwrap();
    // A truncated image and a truncated label.
    let cut = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    cut(&image_file(root, 2));
    cut(&label_file(root, 3));
    // A label of another size, one with an unknown id, one in colour.
    picture(32, 32, 19).1.save_png(label_file(root, 4)).unwrap();
    let mut ids = vec![7u8; 64 * 32];
    ids[5 * 64 + 9] = 77;
    LabelMap::new(64, 32, ids).unwrap().save_png(label_file(root, 5)).unwrap();
    Image::new(64, 32, vec![0; 64 * 32 * 3]).unwrap().save_png(label_file(root, 6)).unwrap();

    let dataset = open(root);
    let found = problems(&dataset, Depth::Labels);
    assert_eq!(found.len(), 7, "{found:#?}");
    let about = |file: &Path, words: &[&str]| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            found.iter().any(|p| p.contains(&name) && words.iter().all(|w| p.contains(w))),
            "nothing says {words:?} about {name}: {found:#?}"
        );
    };
    about(&label_file(root, 0), &["without an image"]);
    about(&label_file(root, 1), &["no label picture"]);
    about(&image_file(root, 2), &["truncated"]);
    about(&label_file(root, 3), &["truncated"]);
    about(&label_file(root, 4), &["32x32", "64x32"]);
    about(&label_file(root, 5), &["(x=9, y=5)", "77", "label table"]);
    about(&label_file(root, 6), &["8-bit grey", "8-bit RGB"]);
    // Everything but the unknown id shows without decompressing anything.
    assert_eq!(problems(&dataset, Depth::Headers).len(), 6);
    // And each broken sample fails by itself, naming the file.
    let message = dataset.load(4).unwrap_err().to_string();
    assert!(message.contains("synthia_000005") && message.contains("x=9, y=5"), "{message}");
}

#[test]
fn long_problem_lists_are_capped() {
    let dir = tempfile::tempdir().unwrap();
    exported(dir.path(), 40);
    for n in 0..35 {
        fs::write(label_file(dir.path(), n), b"nothing").unwrap();
    }
    let message = check(&open(dir.path()), Depth::default(), &|_| {}).unwrap_err().to_string();
    assert!(message.contains("35 problems") && message.contains("and 15 more"), "{message}");
    assert_eq!(message.lines().count(), 22);
}

#[test]
fn a_corrupt_image_body_is_found_by_the_full_check() {
    let dir = tempfile::tempdir().unwrap();
    exported(dir.path(), 2);
    let path = image_file(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 40].fill(0xAA);
    fs::write(&path, bytes).unwrap();
    let found = problems(&open(dir.path()), Depth::Full);
    assert!(found.len() == 1 && found[0].contains("corrupt"), "{found:?}");
}

#[test]
fn train_ids_are_accepted_and_label_ids_preferred() {
    let dir = tempfile::tempdir().unwrap();
    exported(dir.path(), 2);
    let train_ids = dir.path().join("gtFine/train/synthia/synthia_000000_000019_gtFine_labelTrainIds.png");
    let labels = open(dir.path()).labels(0).unwrap();
    // Both present: the label ids win.
    LabelMap::new(64, 32, vec![3; 64 * 32]).unwrap().save_png(&train_ids).unwrap();
    assert_eq!(open(dir.path()).labels(0).unwrap(), labels);
    // Train ids alone are read as they are.
    labels.save_png(&train_ids).unwrap();
    fs::remove_file(label_file(dir.path(), 0)).unwrap();
    assert_eq!(open(dir.path()).labels(0).unwrap(), labels);
    // 19 is no train id.
    LabelMap::new(64, 32, vec![19; 64 * 32]).unwrap().save_png(&train_ids).unwrap();
    let message = open(dir.path()).labels(0).unwrap_err().to_string();
    assert!(message.contains("19") && message.contains("train ids"), "{message}");
}

#[test]
fn coarse_labels_come_from_their_own_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (image, _) = picture(10, 6, 19);
    let labels = LabelMap::new(10, 6, vec![26; 60]).unwrap();
    image.save_png(dir.path().join("leftImg8bit/train_extra/ulm/ulm_0_leftImg8bit.png")).unwrap();
    labels.save_png(dir.path().join("gtCoarse/train_extra/ulm/ulm_0_gtCoarse_labelIds.png")).unwrap();
    let coarse = Cityscapes::open(dir.path(), Split::TrainExtra, Annotation::Coarse).unwrap();
    assert!(coarse.labels(0).unwrap().data().iter().all(|&v| v == 13));
    let fine = Cityscapes::open(dir.path(), Split::TrainExtra, Annotation::Fine).unwrap();
    let message = fine.load(0).unwrap_err().to_string();
    assert!(message.contains("coarse labels only"), "{message}");
}

#[test]
fn the_test_split_says_that_its_labels_are_withheld() {
    let dir = tempfile::tempdir().unwrap();
    let (image, _) = picture(10, 6, 19);
    for n in 0..3 {
        image.save_png(dir.path().join(format!("leftImg8bit/test/bonn/bonn_{n}_leftImg8bit.png"))).unwrap();
    }
    let test = Cityscapes::open(dir.path(), Split::Test, Annotation::Fine).unwrap();
    assert_eq!(test.image(1).unwrap(), image);
    let message = test.load(1).unwrap_err().to_string();
    assert!(message.contains("does not publish the labels of its test split"), "{message}");
    assert_eq!(problems(&test, Depth::Headers).len(), 1, "one sentence for all images");
    // The published placeholder labels hold no class at all.
    for n in 0..3 {
        let empty = LabelMap::new(10, 6, vec![3; 60]).unwrap();
        empty.save_png(dir.path().join(format!("gtFine/test/bonn/bonn_{n}_gtFine_labelIds.png"))).unwrap();
    }
    let test = Cityscapes::open(dir.path(), Split::Test, Annotation::Fine).unwrap();
    let found = problems(&test, Depth::Labels);
    assert!(found.len() == 1 && found[0].contains("placeholder"), "{found:?}");
}

#[test]
fn a_folder_that_is_no_cityscapes_says_what_is_expected() {
    let dir = tempfile::tempdir().unwrap();
    for root in [dir.path(), Path::new("no/such/folder")] {
        let message = Cityscapes::open(root, Split::Val, Annotation::Fine).unwrap_err().to_string();
        assert!(message.contains("leftImg8bit/val/<city>"), "{message}");
    }
    fs::create_dir_all(dir.path().join("leftImg8bit/val/bonn")).unwrap();
    assert!(Cityscapes::open(dir.path(), Split::Val, Annotation::Fine).is_err());
}

/// An EXIF segment: how the picture is to be turned, and a thumbnail's end mark.
fn exif(orientation: u8) -> Vec<u8> {
    let tag = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    let body = [&b"Exif\0\0II*\0\x08\0\0\0\x01\0"[..], &tag, &[0; 4], &[0xFF, 0xD8, 0xFF, 0xD9]].concat();
    [&[0xFF, 0xE1][..], &(body.len() as u16 + 2).to_be_bytes(), &body].concat()
}

#[test]
fn pictures_are_checked_as_they_are_loaded_upright() {
    let dir = tempfile::tempdir().unwrap();
    camvid(dir.path(), 1);
    let jpeg = {
        let path = dir.path().join("stored");
        image::RgbImage::new(8, 12).save_with_format(&path, image::ImageFormat::Jpeg).unwrap();
        fs::read(path).unwrap()
    };
    let image = dir.path().join("train/0.png");
    // A quarter turn makes 8x12 pixels the 12x8 of the label; half a turn does not.
    for (orientation, fits) in [(6, true), (5, true), (1, false), (3, false)] {
        let bytes = [&jpeg[..2], &exif(orientation), &jpeg[2..]].concat();
        fs::write(&image, &bytes).unwrap();
        let data = CamVid::open(dir.path(), Split::Train).unwrap();
        assert_eq!(data.load(0).is_ok(), fits, "{orientation}");
        for depth in [Depth::Headers, Depth::Labels, Depth::Full] {
            assert_eq!(problems(&data, depth).is_empty(), fits, "{orientation} {depth:?}");
        }
        // The thumbnail's end mark is not that of the picture.
        fs::write(&image, &bytes[..bytes.len() - 2]).unwrap();
        assert!(data.image(0).unwrap_err().to_string().contains("no end mark"));
        assert!(problems(&data, Depth::Headers)[0].contains("no end mark"));
    }
}

#[test]
fn camvid_lists_with_a_foreign_prefix_work() {
    let dir = tempfile::tempdir().unwrap();
    camvid(dir.path(), 3);
    let data = CamVid::open(dir.path(), Split::Train).unwrap();
    assert_eq!(data.len(), 3);
    let sample = data.load(1).unwrap();
    let (image, labels) = picture(12, 8, 12);
    assert_eq!(sample.image, image);
    for (&got, &stored) in sample.labels.data().iter().zip(labels.data()) {
        assert_eq!(got, if stored == 11 { 255 } else { stored });
    }
    assert!(problems(&data, Depth::Full).is_empty());
}

/// Processes of one training have the data below folders of their own, and compare names.
#[test]
fn names_below_the_root_do_not_depend_on_where_it_lies() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let names = |root: &Path| -> Vec<String> {
        camvid(root, 2);
        exported(root, 2);
        let kept: Arc<dyn Dataset> = {
            let data: Arc<dyn Dataset> = Arc::new(CamVid::open(root, Split::Train).unwrap());
            let folder = CacheFolder::open(&root.join("kept"), 1 << 20, |e| panic!("{e}")).unwrap();
            Arc::new(Cached::new(data, Arc::new(folder)).unwrap())
        };
        let parts = Patches::new(kept, "8x8:1x2".parse().unwrap()).unwrap();
        let all: [&dyn Dataset; 2] = [&parts, &open(root)];
        all.iter().flat_map(|data| (0..data.len()).map(|i| data.name_below_root(i))).collect()
    };
    let (here, there) = (names(one.path()), names(two.path()));
    assert_eq!(here, there);
    assert_eq!(here[1], "train/0.png (part 2 of 2)");
    assert!(here[4].starts_with("leftImg8bit/train/"), "{here:?}");
}

#[test]
fn camvid_prefers_the_longest_tail_and_takes_any_line_ending() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let (image, labels) = picture(12, 8, 11);
    let (deep, _) = picture(6, 4, 11);
    deep.save_png(root.join("train/x.png")).unwrap();
    image.save_png(root.join("CamVid/train/x.png")).unwrap();
    labels.save_png(root.join("trainannot/x.png")).unwrap();
    let list =
        "\u{feff}\r\n/data/CamVid/train/x.png\t../x.png\r\n  ./CamVid/train/x.png   trainannot/x.png  \r\n";
    fs::write(root.join("train.txt"), list).unwrap();
    let data = CamVid::open(root, Split::Train).unwrap();
    assert_eq!(data.len(), 2);
    assert_eq!(data.image(0).unwrap(), image, "CamVid/train/x.png, not train/x.png");
    let message = data.labels(0).unwrap_err().to_string();
    assert!(message.contains("line 2") && message.contains(".."), "{message}");
    assert_eq!(data.load(1).unwrap().image, image);
}

#[test]
fn camvid_lists_are_checked_line_by_line() {
    let dir = tempfile::tempdir().unwrap();
    camvid(dir.path(), 2);
    let list = fs::read_to_string(dir.path().join("train.txt")).unwrap();
    let bad = format!(
        "{list}train/0.png\nwhat is this line\n/SegNet/CamVid/train/9.png /SegNet/CamVid/trainannot/0.png\n"
    );
    fs::write(dir.path().join("train.txt"), bad).unwrap();
    let data = CamVid::open(dir.path(), Split::Train).unwrap();
    let found = problems(&data, Depth::Labels);
    for words in [["line 3", "no annotation"], ["line 4", "4 words"], ["line 5", "train/9.png"]] {
        assert!(found.iter().any(|p| words.iter().all(|w| p.contains(w))), "{words:?}: {found:#?}");
    }
    assert!(data.load(0).is_ok() && data.load(4).is_err());
    fs::write(dir.path().join("val.txt"), "\n\n").unwrap();
    assert!(CamVid::open(dir.path(), Split::Val).unwrap_err().to_string().contains("names no image"));
    assert!(CamVid::open(dir.path(), Split::Test).unwrap_err().to_string().contains("test.txt"));
    assert!(CamVid::open(dir.path(), Split::TrainExtra).is_err());
}

#[test]
fn only_eight_bit_grey_png_is_a_label() {
    let dir = tempfile::tempdir().unwrap();
    camvid(dir.path(), 1);
    let label = dir.path().join("trainannot/0.png");
    let data = CamVid::open(dir.path(), Split::Train).unwrap();
    let save =
        |picture: image::DynamicImage| picture.save_with_format(&label, image::ImageFormat::Png).unwrap();
    save(image::DynamicImage::new_luma16(12, 8));
    assert!(data.labels(0).unwrap_err().to_string().contains("16-bit grey"));
    save(image::DynamicImage::new_rgba8(12, 8));
    assert!(data.labels(0).unwrap_err().to_string().contains("8-bit RGB with alpha"));
    image::DynamicImage::new_luma8(12, 8).save_with_format(&label, image::ImageFormat::Jpeg).unwrap();
    assert!(data.labels(0).unwrap_err().to_string().contains("JPEG"));
}

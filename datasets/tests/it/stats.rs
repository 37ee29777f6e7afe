//! Class statistics and their cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use datasets::{CamVid, ClassStats, Dataset, Split, class_stats};

use crate::support::{camvid, picture, scenes};

/// The statistics, and whether they were counted anew.
fn stats(dataset: &dyn Dataset, cache: &Path) -> (ClassStats, bool) {
    let counted = AtomicUsize::new(0);
    let (stats, unkept) = class_stats(dataset, Some(cache), &|_| {
        counted.fetch_add(1, Ordering::Relaxed);
    })
    .unwrap();
    assert!(unkept.is_none(), "{unkept:?}");
    let counted = counted.into_inner();
    assert!(counted == 0 || counted == dataset.len());
    (stats, counted > 0)
}

fn cache_file(cache: &Path) -> PathBuf {
    let files: Vec<PathBuf> = fs::read_dir(cache).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn counts_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    camvid(dir.path(), 4);
    let data = CamVid::open(dir.path(), Split::Train).unwrap();
    let (stats, _) = class_stats(&data, None, &|_| {}).unwrap();
    // 96 pixels of 12 values in turn: 8 each in every image.
    assert_eq!(stats.pixels, [32; 11]);
    assert_eq!((stats.ignored, stats.images, stats.labelled()), (32, 4, 352));
    assert_eq!(stats.images_with, [4; 11]);
    assert!(stats.frequencies().iter().all(|f| (f - 1.0 / 11.0).abs() < 1e-12));
}

#[test]
fn the_cache_is_used_until_a_file_changes() {
    let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    camvid(dir.path(), 3);
    let open = || CamVid::open(dir.path(), Split::Train).unwrap();
    let (first, counted) = stats(&open(), cache.path());
    assert!(counted);
    assert_eq!(stats(&open(), cache.path()), (first.clone(), false));
    picture(20, 10, 3).1.save_png(dir.path().join("trainannot/1.png")).unwrap();
    let (changed, counted) = stats(&open(), cache.path());
    assert!(counted && changed != first);
    assert_eq!(stats(&open(), cache.path()), (changed, false));
}

#[test]
fn damaged_caches_are_counted_again() {
    let cache = tempfile::tempdir().unwrap();
    let data = scenes(Split::Train, 6);
    let (good, _) = stats(&data, cache.path());
    let file = cache_file(cache.path());
    let text = fs::read_to_string(&file).unwrap();
    let damaged = [
        String::new(),
        "{}".into(),
        text[..text.len() / 2].into(),
        text.replace("\"format\": 2", "\"format\": 3"),
        text.replace("\"road\"", "\"route\""),
        text.replace("\"images\": 6", "\"images\": 7"),
        text.replacen(&format!("{}", good.pixels[0]), &format!("{}", good.pixels[0] + 1), 1),
    ];
    for bad in damaged {
        assert_ne!(bad, text);
        fs::write(&file, bad).unwrap();
        assert_eq!(stats(&data, cache.path()), (good.clone(), true));
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "and written anew");
    }
    // Another dataset of the same name does not get the cached counts.
    assert!(stats(&scenes(Split::Train, 5), cache.path()).1);
}

#[test]
fn a_cache_that_can_not_be_written_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    fs::write(&file, "x").unwrap();
    let data = scenes(Split::Val, 2);
    let (stats, unkept) = class_stats(&data, Some(&file), &|_| {}).unwrap();
    assert_eq!(stats, class_stats(&data, None, &|_| {}).unwrap().0);
    let message = unkept.unwrap().to_string();
    assert!(message.contains("a-file"), "{message}");
}

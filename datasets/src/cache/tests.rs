//! Samples come back as they were, the limit holds, and damage is noticed.

use super::folder::size_of_folder;
use super::*;
use crate::{Split, Synthetic, SyntheticOptions};

fn scenes(len: usize) -> Arc<dyn Dataset> {
    let options = SyntheticOptions { seed: 4, split: Split::Train, len, width: 40, height: 24 };
    Arc::new(Synthetic::new(options).unwrap())
}

/// The folder with a limit; whatever is wrong with it fails the test.
fn folder(path: &Path, limit: u64) -> Arc<CacheFolder> {
    Arc::new(CacheFolder::open(path, limit, |e| panic!("{e}")).unwrap())
}

const AREA: Area = Area { left: 7, top: 5, width: 20, height: 11 };

#[test]
fn samples_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let inner = scenes(3);
    let cached = Cached::new(inner.clone(), folder(dir.path(), 1 << 30)).unwrap();
    for round in 0..2 {
        for index in 0..3 {
            let want = inner.load(index).unwrap();
            assert_eq!(cached.load(index).unwrap(), want);
            assert_eq!(cached.load_area(index, AREA).unwrap(), want.cut(AREA).unwrap());
        }
        let usage = cached.usage();
        assert_eq!((usage.hits, usage.misses, usage.damaged), (3 + 6 * round, 3, 0));
    }
    // Another process finds them; another dataset does not.
    let again = Cached::new(inner.clone(), folder(dir.path(), 1 << 30)).unwrap();
    assert_eq!(again.usage().bytes, cached.usage().bytes);
    again.load_area(2, AREA).unwrap();
    assert_eq!((again.usage().hits, again.usage().misses), (1, 0));
    let other = Cached::new(scenes(2), folder(dir.path(), 1 << 30)).unwrap();
    other.load(0).unwrap();
    assert_eq!(other.usage().hits, 0);
    assert!(cached.load_area(0, Area { left: 30, ..AREA }).is_err());
}

#[test]
fn the_limit_holds() {
    let dir = tempfile::tempdir().unwrap();
    let each = (HEADER + 24 * stride(40)) as u64;
    let cached = Cached::new(scenes(5), folder(dir.path(), 2 * each + 1)).unwrap();
    (0..5).for_each(|index| drop(cached.load(index).unwrap()));
    let usage = cached.usage();
    assert_eq!((usage.bytes, usage.left_out), (2 * each, 3));
    assert_eq!(size_of_folder(dir.path()).unwrap(), 2 * each);
    (0..5).for_each(|index| drop(cached.load(index).unwrap()));
    assert_eq!(cached.usage().hits, 2);
}

/// Training and validation samples share a folder, and its limit.
#[test]
fn the_limit_holds_for_all_datasets_of_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let each = (HEADER + 24 * stride(40)) as u64;
    let shared = folder(dir.path(), 3 * each);
    let both = [2, 3].map(|len| Cached::new(scenes(len), shared.clone()).unwrap());
    for cached in &both {
        (0..cached.len()).for_each(|index| drop(cached.load(index).unwrap()));
    }
    assert_eq!(size_of_folder(dir.path()).unwrap(), 3 * each);
    assert_eq!(both.map(|cached| cached.usage().left_out), [0, 2]);
}

/// What another process keeps in the folder is noticed after a while.
#[test]
fn the_folder_is_measured_again() {
    let dir = tempfile::tempdir().unwrap();
    let each = (HEADER + 24 * stride(40)) as u64;
    let cached = Cached::new(scenes(80), folder(dir.path(), 100 * each)).unwrap();
    std::fs::write(dir.path().join("theirs"), vec![0; 40 * each as usize]).unwrap();
    (0..80).for_each(|index| drop(cached.load(index).unwrap()));
    assert_eq!((cached.usage().left_out, cached.usage().bytes), (80 - 64, (64 + 40) * each));
}

#[test]
fn a_folder_that_can_not_be_written_is_told_of_once() {
    let dir = tempfile::tempdir().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = {
        let told = told.clone();
        move |e: &Error| told.lock().unwrap().push(e.to_string())
    };
    let shared = Arc::new(CacheFolder::open(dir.path(), 1 << 30, tell).unwrap());
    let inner = scenes(3);
    let cached = Cached::new(inner.clone(), shared).unwrap();
    // A file in the place of the folder.
    std::fs::remove_dir_all(&cached.folder).unwrap();
    std::fs::write(&cached.folder, "x").unwrap();
    for index in [0, 1, 2, 0] {
        assert_eq!(cached.load(index).unwrap(), inner.load(index).unwrap());
    }
    let told = told.lock().unwrap();
    assert!(told.len() == 1 && told[0].contains("000000.raw"), "{told:?}");
    assert_eq!((cached.usage().hits, cached.usage().bytes), (0, 0));
    let file = dir.path().join("x");
    std::fs::write(&file, "x").unwrap();
    assert!(CacheFolder::open(&file, 1, |_| ()).is_err(), "at the start it is an error");
}

#[test]
fn every_damage_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let inner = scenes(1);
    let want = inner.load(0).unwrap();
    let path = {
        let cached = Cached::new(inner.clone(), folder(dir.path(), 1 << 30)).unwrap();
        cached.load(0).unwrap();
        cached.path(0)
    };
    let good = std::fs::read(&path).unwrap();
    let mut damaged = vec![vec![], good[..HEADER].to_vec(), good[..good.len() - 1].to_vec()];
    for at in (0..HEADER).chain((HEADER..good.len()).step_by(97)) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        damaged.push(bytes);
    }
    // Two rows exchanged, each with its checksum.
    let mut rows = good.clone();
    rows[HEADER..HEADER + stride(40)].copy_from_slice(&good[HEADER + stride(40)..][..stride(40)]);
    rows[HEADER + stride(40)..][..stride(40)].copy_from_slice(&good[HEADER..][..stride(40)]);
    assert_ne!(rows, good);
    damaged.push(rows);
    for bytes in damaged {
        std::fs::write(&path, bytes).unwrap();
        let cached = Cached::new(inner.clone(), folder(dir.path(), 1 << 30)).unwrap();
        assert_eq!(cached.load(0).unwrap(), want);
        assert_eq!((cached.usage().damaged, cached.usage().hits), (1, 0));
        assert_eq!(std::fs::read(&path).unwrap(), good, "replaced by a whole one");
    }
}

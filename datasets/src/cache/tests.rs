//! Samples come back as they were, the limit holds, and damage is noticed.

use super::*;
use crate::{Split, Synthetic, SyntheticOptions};

fn scenes(len: usize) -> Arc<dyn Dataset> {
    let options = SyntheticOptions { seed: 4, split: Split::Train, len, width: 40, height: 24 };
    Arc::new(Synthetic::new(options).unwrap())
}

const AREA: Area = Area { left: 7, top: 5, width: 20, height: 11 };

#[test]
fn samples_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let inner = scenes(3);
    let cached = Cached::new(inner.clone(), dir.path(), 1 << 30).unwrap();
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
    let again = Cached::new(inner.clone(), dir.path(), 1 << 30).unwrap();
    assert_eq!(again.usage().bytes, cached.usage().bytes);
    again.load_area(2, AREA).unwrap();
    assert_eq!((again.usage().hits, again.usage().misses), (1, 0));
    let other = Cached::new(scenes(2), dir.path(), 1 << 30).unwrap();
    other.load(0).unwrap();
    assert_eq!(other.usage().hits, 0);
    assert!(cached.load_area(0, Area { left: 30, ..AREA }).is_err());
}

#[test]
fn the_limit_holds() {
    let dir = tempfile::tempdir().unwrap();
    let each = (HEADER + 24 * stride(40)) as u64;
    let cached = Cached::new(scenes(5), dir.path(), 2 * each + 1).unwrap();
    (0..5).for_each(|index| drop(cached.load(index).unwrap()));
    let usage = cached.usage();
    assert_eq!((usage.bytes, usage.left_out), (2 * each, 3));
    assert_eq!(size_of_folder(dir.path()).unwrap(), 2 * each);
    (0..5).for_each(|index| drop(cached.load(index).unwrap()));
    assert_eq!(cached.usage().hits, 2);
}

#[test]
fn every_damage_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let inner = scenes(1);
    let want = inner.load(0).unwrap();
    let path = {
        let cached = Cached::new(inner.clone(), dir.path(), 1 << 30).unwrap();
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
        let cached = Cached::new(inner.clone(), dir.path(), 1 << 30).unwrap();
        assert_eq!(cached.load(0).unwrap(), want);
        assert_eq!((cached.usage().damaged, cached.usage().hits), (1, 0));
        assert_eq!(std::fs::read(&path).unwrap(), good, "replaced by a whole one");
    }
}

//! Files of the cache of decoded samples: what is not as it was written is not used, and made anew.

use std::{fs, path::Path, sync::Arc};

use datasets::{CacheFolder, Cached, Dataset, Split, Synthetic, SyntheticOptions};

fn scene() -> Arc<dyn Dataset> {
    let options = SyntheticOptions { seed: 9, split: Split::Train, len: 1, width: 24, height: 16 };
    Arc::new(Synthetic::new(options).unwrap())
}

fn open(folder: &Path) -> Cached {
    let kept = CacheFolder::open(&folder.join("kept"), 1 << 20, |e| panic!("{e}")).unwrap();
    Cached::new(scene(), Arc::new(kept)).unwrap()
}

/// The one file below `folder`.
fn file(folder: &Path) -> std::path::PathBuf {
    let own = fs::read_dir(folder.join("kept")).unwrap().next().unwrap().unwrap().path();
    fs::read_dir(own).unwrap().next().unwrap().unwrap().path()
}

/// A good one.
pub fn originals(folder: &Path) -> Vec<Vec<u8>> {
    open(folder).load(0).unwrap();
    vec![fs::read(file(folder)).unwrap()]
}

/// Reads a sample from these bytes; whatever they are, it is the right one.
pub fn load(folder: &Path, bytes: &[u8]) -> Result<(), String> {
    let path = file(folder);
    fs::write(&path, bytes).unwrap();
    let cached = open(folder);
    assert_eq!(cached.load(0).unwrap(), scene().load(0).unwrap());
    match cached.usage().damaged {
        0 => Ok(()),
        _ => Err(format!("{} was made anew", path.display())),
    }
}

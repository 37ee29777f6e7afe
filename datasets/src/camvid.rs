//! CamVid in the layout of the SegNet tutorial: `train.txt`, `val.txt` and `test.txt` name pairs
//! "image annotation", and the annotations are grey pictures of class numbers with 11 for void.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use crate::classes::{Classes, IGNORE};
use crate::dataset::{Normalization, Split};
use crate::error::{Error, Result};
use crate::files::{Mapping, Missing, Pair, Pairs};

const MAPPING: Mapping = Mapping { name: "the CamVid classes (0 to 10, and 11 for void)", table: mapping };

/// The largest split list that is read, in bytes.
const MAX_LIST: u64 = 16 << 20;

/// The longest split list that is read, in lines (CamVid has 701 pictures).
const MAX_LINES: usize = 1 << 18;

/// The longest path in a list, in bytes: as many as Linux allows.
const MAX_PATH: usize = 4096;

fn mapping() -> [Option<u8>; 256] {
    let mut table = [None; 256];
    for id in 0..11 {
        table[id as usize] = Some(id);
    }
    table[11] = Some(IGNORE);
    table
}

/// CamVid on disk; 11 classes, void is ignored (255).
#[derive(Debug, Clone, Copy)]
pub struct CamVid;

impl CamVid {
    /// Reads the split's list and finds the files it names under `root`.
    ///
    /// The published lists carry the path of another machine (`/SegNet/CamVid/train/...`): of each entry the
    /// longest tail that exists under `root` is used. A line whose files cannot be found stays a sample,
    /// which fails with the list's name and line when loaded and which [`crate::check`] reports. Errors when
    /// the list is missing, unreadable or empty.
    pub fn open(root: impl AsRef<Path>, split: Split) -> Result<Pairs> {
        let root = root.as_ref();
        let list = root.join(format!("{split}.txt"));
        let layout = |reason: String| Error::Layout { root: root.into(), reason };
        if split == Split::TrainExtra {
            return Err(layout("CamVid has no split train_extra; choose train, val or test".into()));
        }
        let meta = match std::fs::metadata(&list) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(layout(format!(
                    "no CamVid here: expected the list {split}.txt with lines \"image annotation\""
                )));
            }
            Err(e) => return Err(Error::io("read", &list, e)),
        };
        if meta.len() > MAX_LIST {
            return Err(Error::decode(&list, format!("{} bytes is too large for a split list", meta.len())));
        }
        let bytes = std::fs::read(&list).map_err(|e| Error::io("read", &list, e))?;
        let lines = bytes.iter().filter(|&&b| b == b'\n').count();
        if lines > MAX_LINES {
            return Err(Error::decode(&list, format!("{lines} lines are too many for a split list")));
        }
        let pairs = parse(&bytes, &list, root);
        if pairs.is_empty() {
            return Err(Error::decode(&list, "the split list names no image"));
        }
        Ok(Pairs {
            dataset: format!("camvid {split}"),
            root: root.into(),
            pairs,
            classes: Classes::camvid(),
            normalization: Normalization::CAMVID,
            problems: Vec::new(),
        })
    }
}

fn parse(bytes: &[u8], list: &Path, root: &Path) -> Vec<Pair> {
    let text = String::from_utf8_lossy(bytes);
    let mut resolver = Resolver { root, folders: HashSet::new() };
    let mut pairs = Vec::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().take(3).collect();
        let missing = |reason: String| Missing { list: list.into(), line: at + 1, reason };
        let here = |reason: String| format!("{}, line {}: {reason}", list.display(), at + 1);
        let pair = match words[..] {
            [image, ref rest @ ..] if rest.len() <= 1 => {
                let image = resolver.find(image).map_err(missing);
                let label = match rest.first() {
                    Some(label) => resolver.find(label).map(|p| (p, MAPPING)).map_err(here),
                    None => Err(here("names an image but no annotation".into())),
                };
                let name = image.as_ref().map_or_else(|_| words[0].to_owned(), |p| p.display().to_string());
                Pair { name, image, label }
            }
            _ => {
                let found = line.split_whitespace().count();
                let reason = format!("expected \"image annotation\", found {found} words");
                Pair {
                    name: here(reason.clone()),
                    image: Err(missing(reason.clone())),
                    label: Err(here(reason)),
                }
            }
        };
        pairs.push(pair);
    }
    pairs
}

struct Resolver<'a> {
    root: &'a Path,
    /// Folders known to exist under the root: saves a system call per path and prefix.
    folders: HashSet<PathBuf>,
}

impl Resolver<'_> {
    fn find(&mut self, entry: &str) -> std::result::Result<PathBuf, String> {
        if entry.len() > MAX_PATH {
            return Err(format!("a name of {} bytes is no path", entry.len()));
        }
        let mut parts = Vec::new();
        for part in Path::new(entry).components() {
            match part {
                Component::Normal(p) => parts.push(p),
                Component::ParentDir => return Err(format!("\"{entry}\" leaves the dataset with \"..\"")),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        for skip in 0..parts.len() {
            let path: PathBuf =
                std::iter::once(self.root.as_os_str()).chain(parts[skip..].iter().copied()).collect();
            let folder = path.parent().unwrap_or(self.root);
            let known = self.folders.contains(folder) || folder.is_dir();
            if known {
                self.folders.insert(folder.to_owned());
                if path.is_file() {
                    return Ok(path);
                }
            }
        }
        Err(format!("no file \"{entry}\", nor any tail of that path, in {}", self.root.display()))
    }
}

//! Opening one library: every place in turn, remembering what each answered.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::catalog::Library;
use crate::environment::{Environment, entries};
use crate::folders::{Place, places};

/// An opened library. It is never closed: NVIDIA's libraries start threads and register exit handlers, and a program that
/// unloads them may crash when it ends.
#[derive(Debug)]
pub struct Found {
    /// Which library.
    pub library: Library,
    /// The file; a plain name where the dynamic loader found it and does not say where.
    pub path: PathBuf,
    /// Where the search met it.
    pub place: Place,
    /// Places tried before it.
    pub tried: Vec<Attempt>,
    handle: &'static libloading::Library,
}

/// One place that did not give the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The place, or the file in it.
    pub what: String,
    /// How it failed.
    pub outcome: Outcome,
}

/// Why a place did not give a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is no such folder.
    NoFolder,
    /// The place holds no file of that name.
    NoFile,
    /// There is a file, but it cannot be opened; the loader's words.
    Unloadable(String),
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.outcome {
            Outcome::NoFolder => write!(f, "{}: no such folder", self.what),
            Outcome::NoFile => write!(f, "{}: not there", self.what),
            Outcome::Unloadable(why) => write!(f, "{}: there, but cannot be opened: {why}", self.what),
        }
    }
}

/// A library that no place gave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} ({}*) was not found. Tried, in this order:{}\nTo put it right: {}", .library.name(), .library.stem(), lines(.tried), .library.advice())]
pub struct Missing {
    /// Which library.
    pub library: Library,
    /// Every place tried, in order.
    pub tried: Vec<Attempt>,
}

fn lines(tried: &[Attempt]) -> String {
    if tried.is_empty() {
        return "\n  (no folder of the search order exists)".to_owned();
    }
    tried.iter().map(|t| format!("\n  {t}")).collect()
}

impl Missing {
    /// Files that are there but cannot be opened.
    pub fn unloadable(&self) -> impl Iterator<Item = &Attempt> {
        unloadable(&self.tried)
    }
}

impl Found {
    /// Files met before this one that cannot be opened.
    pub fn unloadable(&self) -> impl Iterator<Item = &Attempt> {
        unloadable(&self.tried)
    }

    /// A function of the library, or `None` if it has none of that name.
    ///
    /// # Safety
    /// `F` must be the function pointer type of the C function called `name`.
    pub unsafe fn function<F: Copy>(&self, name: &str) -> Option<F> {
        // SAFETY: the caller vouches for the type; the library is never closed, so the copied pointer stays valid.
        unsafe { self.handle.get::<F>(name.as_bytes()) }.ok().map(|symbol| *symbol)
    }
}

fn unloadable(tried: &[Attempt]) -> impl Iterator<Item = &Attempt> {
    tried.iter().filter(|t| matches!(t.outcome, Outcome::Unloadable(_)))
}

/// Opens `library`, looking at the places of [`places`] in order; the first file that opens is taken.
///
/// # Errors
/// [`Missing`], naming every place tried and what to install.
pub fn locate(library: Library, env: &Environment) -> Result<Found, Missing> {
    let mut tried = Vec::new();
    for place in places(env) {
        let candidates = match &place {
            Place::Loader => library.sonames().iter().map(PathBuf::from).collect(),
            Place::Folder { path, .. } if !path.is_dir() => {
                tried.push(Attempt { what: place.to_string(), outcome: Outcome::NoFolder });
                continue;
            }
            Place::Folder { path, .. } => files(path, library.stem()),
        };
        if candidates.is_empty() {
            let what = format!("{}/{}* in {place}", folder(&place).display(), library.stem());
            tried.push(Attempt { what, outcome: Outcome::NoFile });
        }
        for path in candidates {
            match open(&path) {
                Ok(opened) => {
                    let handle = Box::leak(Box::new(opened));
                    return Ok(Found { library, path, place, tried, handle });
                }
                Err(why) => tried.push(refusal(&path, &place, &why)),
            }
        }
    }
    Err(Missing { library, tried })
}

fn folder(place: &Place) -> &Path {
    match place {
        Place::Loader => Path::new(""),
        Place::Folder { path, .. } => path,
    }
}

/// The loader says "no such file" both for the name asked and for one the file needs; only the first means absent.
fn refusal(path: &Path, place: &Place, why: &str) -> Attempt {
    let absent = format!("{}: cannot open shared object file: No such file", path.display());
    if *place == Place::Loader && why.contains(&absent) {
        return Attempt { what: format!("{} in {place}", path.display()), outcome: Outcome::NoFile };
    }
    Attempt { what: path.display().to_string(), outcome: Outcome::Unloadable(why.to_owned()) }
}

/// Files of a folder called `stem` or `stem.<numbers>`, newest version first, the plain name last.
fn files(folder: &Path, stem: &str) -> Vec<PathBuf> {
    let mut named: Vec<(Vec<u64>, PathBuf)> = entries(folder)
        .iter()
        .filter_map(|name| Some((version_of(name, stem)?, folder.join(name))))
        .collect();
    named.sort_by(|a, b| b.0.cmp(&a.0));
    named.into_iter().map(|(_, path)| path).collect()
}

fn version_of(name: &OsStr, stem: &str) -> Option<Vec<u64>> {
    let rest = name.to_str()?.strip_prefix(stem)?;
    if rest.is_empty() {
        return Some(Vec::new());
    }
    rest.strip_prefix('.')?.split('.').map(|part| part.parse().ok()).collect()
}

/// Opens globally, so that libraries opened later resolve this one's symbols and name.
#[cfg(unix)]
fn open(path: &Path) -> Result<libloading::Library, String> {
    use libloading::os::unix;
    // SAFETY: opening runs the library's initialisers. The names are NVIDIA's, whose initialisers only register the library,
    // and the folders are the user's own choice or the system's.
    let opened = unsafe { unix::Library::open(Some(path), unix::RTLD_LAZY | unix::RTLD_GLOBAL) };
    opened.map(Into::into).map_err(|e| words(&e))
}

#[cfg(not(unix))]
fn open(path: &Path) -> Result<libloading::Library, String> {
    // SAFETY: as above.
    unsafe { libloading::Library::new(path) }.map_err(|e| words(&e))
}

/// The loader's own message, which `libloading` keeps as the source of its error.
fn words(e: &libloading::Error) -> String {
    match std::error::Error::source(e) {
        Some(source) => source.to_string(),
        None => e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_first_and_only_this_library() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "libcublas.so",
            "libcublas.so.9.1",
            "libcublas.so.13",
            "libcublas.so.12.4.5",
            "libcublas.so.bak",
            "libcublasLt.so.13",
            "libcublas.so.13.1",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let names: Vec<String> = files(dir.path(), "libcublas.so")
            .iter()
            .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        let expected = [
            "libcublas.so.13.1",
            "libcublas.so.13",
            "libcublas.so.12.4.5",
            "libcublas.so.9.1",
            "libcublas.so",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_missing_dependency_is_not_a_missing_file() {
        let path = Path::new("libcudnn.so.9");
        let own = "libcudnn.so.9: cannot open shared object file: No such file or directory";
        let other = "libcublasLt.so.13: cannot open shared object file: No such file or directory";
        assert_eq!(refusal(path, &Place::Loader, own).outcome, Outcome::NoFile);
        assert_eq!(refusal(path, &Place::Loader, other).outcome, Outcome::Unloadable(other.to_owned()));
    }
}

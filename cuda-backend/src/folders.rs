//! The search order, as a list of places.
//!
//! 1. every folder of `DSNET_CUDA_PATH`, with its `lib`, `lib64` and the pip folders below it
//! 2. the dynamic loader's own path (`LD_LIBRARY_PATH`, the loader's cache, the system's default)
//! 3. pip packages of `$VIRTUAL_ENV`, `$CONDA_PREFIX` (also its `lib`) and every `/opt/*/.venv`
//! 4. toolkits: `$CUDA_HOME`, `$CUDA_PATH`, `/usr/local/cuda*`
//! 5. the folders where distributions and containers put them
//!
//! Pip packages keep their libraries in `lib/python3*/site-packages/nvidia/<package>/lib`, a place no loader knows.

use std::path::{Path, PathBuf};

use crate::environment::{Environment, OVERRIDE, entries};

/// One place to look in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Ask the dynamic loader by plain name.
    Loader,
    /// Look at the files of a folder.
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why it is on the list, for people: `$CUDA_HOME`, `system folder` ….
        origin: &'static str,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Loader => f.write_str("the dynamic loader's path (LD_LIBRARY_PATH, ldconfig)"),
            Place::Folder { path, origin } => write!(f, "{} ({origin})", path.display()),
        }
    }
}

const SYSTEM: [&str; 8] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "usr/lib/wsl/lib",
    "usr/local/nvidia/lib64",
    "usr/local/lib",
    "run/opengl-driver/lib",
];

/// All places in search order, each once. Folders named by a variable are listed even when they do not exist (so that a typing
/// mistake shows); guessed ones only when they do.
pub fn places(env: &Environment) -> Vec<Place> {
    let mut list = List::default();
    if let Some(value) = env.variable(OVERRIDE) {
        for base in std::env::split_paths(value).filter(|p| !p.as_os_str().is_empty()) {
            list.named(base.clone(), "$DSNET_CUDA_PATH");
            list.guessed(base.join("lib64"), "$DSNET_CUDA_PATH");
            list.guessed(base.join("lib"), "$DSNET_CUDA_PATH");
            list.packages(&base, "$DSNET_CUDA_PATH");
        }
    }
    if env.asks_loader() {
        list.0.push(Place::Loader);
    }
    for (variable, origin) in [("VIRTUAL_ENV", "$VIRTUAL_ENV"), ("CONDA_PREFIX", "$CONDA_PREFIX")] {
        if let Some(base) = env.variable(variable).map(PathBuf::from) {
            list.packages(&base, origin);
            list.named(base.join("lib"), origin);
        }
    }
    let opt = env.rooted("opt");
    for name in entries(&opt) {
        list.packages(&opt.join(name).join(".venv"), "virtual environment under /opt");
    }
    for (variable, origin) in [("CUDA_HOME", "$CUDA_HOME"), ("CUDA_PATH", "$CUDA_PATH")] {
        if let Some(base) = env.variable(variable).map(PathBuf::from) {
            list.named(base.join("lib64"), origin);
            list.toolkit(&base, origin);
        }
    }
    let local = env.rooted("usr/local");
    // Reversed, so that cuda-13.0 comes before cuda-12.4; plain `cuda` (the system's choice) before both.
    let mut toolkits: Vec<_> =
        entries(&local).into_iter().filter(|n| n.to_string_lossy().starts_with("cuda")).rev().collect();
    toolkits.sort_by_key(|n| n != "cuda");
    for name in toolkits {
        list.toolkit(&local.join(name), "toolkit under /usr/local");
    }
    for below in SYSTEM {
        list.guessed(env.rooted(below), "system folder");
    }
    list.0
}

#[derive(Default)]
struct List(Vec<Place>);

impl List {
    fn named(&mut self, path: PathBuf, origin: &'static str) {
        let known = |p: &Place| matches!(p, Place::Folder { path: q, .. } if *q == path);
        if !self.0.iter().any(known) {
            self.0.push(Place::Folder { path, origin });
        }
    }

    fn guessed(&mut self, path: PathBuf, origin: &'static str) {
        if path.is_dir() {
            self.named(path, origin);
        }
    }

    fn toolkit(&mut self, base: &Path, origin: &'static str) {
        for below in ["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"] {
            self.guessed(base.join(below), origin);
        }
    }

    /// Pip folders of an environment at `base`, or of a `site-packages` folder that is `base` itself.
    fn packages(&mut self, base: &Path, origin: &'static str) {
        let lib = base.join("lib");
        let pythons = entries(&lib).into_iter().filter(|n| n.to_string_lossy().starts_with("python3"));
        let sites = pythons.map(|n| lib.join(n).join("site-packages")).chain([base.to_owned()]);
        for site in sites {
            let nvidia = site.join("nvidia");
            for package in entries(&nvidia) {
                self.guessed(nvidia.join(package).join("lib"), origin);
            }
        }
    }
}

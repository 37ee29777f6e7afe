//! Everything the search found, and what is missing for CUDA.

use std::fmt::{Display, Formatter, Result as Fmt};

use crate::catalog::Library;
use crate::driver::{Driver, OLDEST_CUDA, probe};
use crate::environment::Environment;
use crate::folders::{Place, places};
use crate::locate::{Found, Missing, locate};
use crate::version::{Version, version};

/// The state of CUDA on a machine. Printing it gives the text of `dsnet doctor`.
#[derive(Debug)]
pub struct Report {
    /// The driver and its devices.
    pub driver: Driver,
    /// Every library, in loading order.
    pub libraries: Vec<Entry>,
    /// Where libraries were sought, in order.
    pub searched: Vec<Place>,
}

/// One library in a [`Report`].
#[derive(Debug)]
pub struct Entry {
    /// Which library.
    pub library: Library,
    /// The opened file, or every place tried.
    pub state: Result<Found, Missing>,
    /// Its version; `Ok(None)` when missing or when it cannot be asked; `Err` when asking failed.
    pub version: Result<Option<Version>, String>,
}

/// Opens the driver and every library, asks for versions and devices.
pub fn examine(env: &Environment) -> Report {
    let driver = probe(env);
    let libraries = Library::LIBRARIES
        .into_iter()
        .map(|library| {
            let state = locate(library, env);
            let version = state.as_ref().map_or(Ok(None), version);
            Entry { library, state, version }
        })
        .collect();
    Report { driver, libraries, searched: places(env) }
}

impl Report {
    /// Whether driver, libraries and a GPU are all there: nothing in [`problems`](Report::problems).
    pub fn ready(&self) -> bool {
        self.problems().is_empty()
    }

    /// What stands in the way, one sentence each with what to do about it; empty if nothing does. Missing optional libraries
    /// are no problem.
    pub fn problems(&self) -> Vec<String> {
        let mut out = Vec::new();
        match &self.driver {
            Driver::Missing { kernel_module, .. } => {
                let module = match kernel_module {
                    Some(line) => format!(
                        ", although its kernel module is loaded ({line}): the user-space part is missing or outside the \
                         search path"
                    ),
                    None => String::new(),
                };
                out.push(format!("there is no NVIDIA driver{module}; {}", Library::Driver.advice()));
            }
            Driver::Failed { path, call, code, meaning } => {
                let code = code.map(|c| format!(" with code {c}")).unwrap_or_default();
                out.push(format!(
                    "the driver {} does not work: `{call}` failed{code}: {meaning}",
                    path.display()
                ));
            }
            Driver::Present { cuda, devices, .. } => {
                if devices.is_empty() {
                    out.push(
                        "the driver works but shows no GPU: check `nvidia-smi` and CUDA_VISIBLE_DEVICES"
                            .to_owned(),
                    );
                }
                out.extend(self.driver_age(*cuda));
            }
        }
        out.extend(self.missing());
        for entry in &self.libraries {
            if let (Ok(found), Err(why)) = (&entry.state, &entry.version) {
                out.push(format!("{} at {}: {why}", entry.library.name(), found.path.display()));
            }
        }
        if let (Some(a), Some(b)) = (self.version_of(Library::Cublas), self.version_of(Library::CublasLt))
            && a.major != b.major
        {
            out.push(format!(
                "cuBLAS {a} and cuBLASLt {b} are of different CUDA releases: name the folder of one release first in \
                 DSNET_CUDA_PATH"
            ));
        }
        out
    }

    /// One sentence for all libraries that the same package brings.
    fn missing(&self) -> Vec<String> {
        let mut by_advice: Vec<(&str, Vec<String>)> = Vec::new();
        for entry in self.libraries.iter().filter(|e| !e.library.optional()) {
            let Err(missing) = &entry.state else { continue };
            let broken: Vec<String> = missing.unloadable().map(ToString::to_string).collect();
            let mut what = entry.library.name().to_owned();
            if !broken.is_empty() {
                what += &format!(" ({})", broken.join("; "));
            }
            let advice = entry.library.advice();
            match by_advice.iter_mut().find(|(a, _)| *a == advice) {
                Some((_, names)) => names.push(what),
                None => by_advice.push((advice, vec![what])),
            }
        }
        by_advice
            .into_iter()
            .map(|(advice, names)| format!("missing: {}; {advice}", names.join(", ")))
            .collect()
    }

    fn driver_age(&self, cuda: Version) -> Option<String> {
        if cuda < OLDEST_CUDA {
            return Some(format!(
                "the driver is too old: it serves CUDA {cuda}, and CUDA {OLDEST_CUDA} is needed; update it (525 or newer \
                 for CUDA 12, 580 or newer for CUDA 13)"
            ));
        }
        let newest = [Library::Nvrtc, Library::CublasLt, Library::Cublas]
            .into_iter()
            .filter_map(|l| Some((self.version_of(l)?, l)))
            .max_by_key(|(v, _)| *v)?;
        (newest.0.major > cuda.major).then(|| {
            format!(
                "the driver is too old for the libraries found: it serves CUDA {cuda}, {} is {}; update the driver, or \
                 install the libraries of CUDA {} and name their folder in DSNET_CUDA_PATH",
                newest.1.name(),
                newest.0,
                cuda.major
            )
        })
    }

    fn version_of(&self, library: Library) -> Option<Version> {
        self.libraries.iter().find(|e| e.library == library)?.version.as_ref().ok().copied().flatten()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Fmt {
        match &self.driver {
            Driver::Missing { .. } => writeln!(f, "{:<16} missing", Library::Driver.name())?,
            Driver::Failed { path, .. } => {
                writeln!(f, "{:<16} does not work  {}", Library::Driver.name(), path.display())?;
            }
            Driver::Present { path, cuda, devices } => {
                writeln!(f, "{:<16} serves CUDA {cuda}  {}", Library::Driver.name(), path.display())?;
                for (i, d) in devices.iter().enumerate() {
                    let (major, minor) = d.capability;
                    let gib = d.memory as f64 / (1u64 << 30) as f64;
                    writeln!(f, "  GPU {i}: {}, compute capability {major}.{minor}, {gib:.1} GiB", d.name)?;
                }
            }
        }
        for entry in &self.libraries {
            let name = entry.library.name();
            match &entry.state {
                Ok(found) => {
                    let version = match &entry.version {
                        Ok(Some(v)) => v.to_string(),
                        Ok(None) => "found".to_owned(),
                        Err(_) => "unusable".to_owned(),
                    };
                    writeln!(f, "{name:<16} {version:<10} {}", found.path.display())?;
                    for broken in found.unloadable() {
                        writeln!(f, "  passed over: {broken}")?;
                    }
                }
                Err(_) if entry.library.optional() => writeln!(f, "{name:<16} missing (optional)")?,
                Err(_) => writeln!(f, "{name:<16} missing")?,
            }
        }
        if self.libraries.iter().any(|e| e.state.is_err()) || matches!(self.driver, Driver::Missing { .. }) {
            writeln!(f, "\nSearched, in this order (DSNET_CUDA_PATH puts folders first):")?;
            if self.searched.is_empty() {
                writeln!(f, "  nothing: no folder of the search order exists")?;
            }
            for place in &self.searched {
                writeln!(f, "  {place}")?;
            }
        }
        let problems = self.problems();
        if problems.is_empty() {
            return write!(f, "\nDriver, libraries and GPU for CUDA are all there.");
        }
        write!(f, "\nWhat CUDA lacks on this machine:")?;
        problems.iter().try_for_each(|p| write!(f, "\n- {p}"))
    }
}

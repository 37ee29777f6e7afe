//! What is worth keeping from one run to the next: compiled kernels, and which algorithm was fastest.
//!
//! Files lie in `$DSNET_CACHE`, else in `dsnet` below `$XDG_CACHE_HOME` or `~/.cache`. They are written beside and
//! renamed, so that several processes may share the folder; a file that is missing or can not be read is made anew.

use std::io;
use std::path::{Path, PathBuf};

use crate::environment::Environment;

/// The variable that names the folder.
pub const VARIABLE: &str = "DSNET_CACHE";

/// The folder for one kind of file; none where there is no home.
pub(crate) fn folder(env: &Environment, kind: &str) -> Option<PathBuf> {
    let named = env.variable(VARIABLE).map(PathBuf::from);
    let below = |base: &str, rest: &str| env.variable(base).map(|home| Path::new(home).join(rest));
    let base =
        named.or_else(|| below("XDG_CACHE_HOME", "dsnet")).or_else(|| below("HOME", ".cache/dsnet"))?;
    Some(base.join(kind))
}

/// Writes a file as a whole or not at all.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let beside = file.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, file)
}

/// FNV-1a over some texts, each ended by a byte that no text has.
pub(crate) fn hash(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

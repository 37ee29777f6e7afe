//! What is worth keeping from one run to the next: compiled kernels, and which algorithm was fastest.
//!
//! Files lie in `$DSNET_CACHE`, else in `dsnet` below `$XDG_CACHE_HOME` or `~/.cache`. They are written beside and
//! renamed, so that several processes may share the folder; a file that is missing or can not be read is made anew.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Ranks are threads of one process and write the same files at once: each call has a name of its own to write beside.
    static CALLS: AtomicU64 = AtomicU64::new(0);
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let beside = file.with_extension(format!("{}-{call}.new", std::process::id()));
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, file));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// FNV-1a over some texts, each ended by a byte that no text has.
pub(crate) fn hash(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_write_one_file_leave_it_whole_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kernels").join("conv.cubin");
        std::thread::scope(|scope| {
            for thread in 0..8_u8 {
                let file = &file;
                scope.spawn(move || (0..100).for_each(|_| write(file, &[thread; 20_000]).unwrap()));
            }
            // Whoever reads meanwhile sees one thread's file, or none yet.
            for _ in 0..100 {
                let Ok(bytes) = std::fs::read(&file) else { continue };
                assert!(bytes.len() == 20_000 && bytes.iter().all(|b| *b == bytes[0]));
            }
        });
        let names = std::fs::read_dir(file.parent().unwrap()).unwrap().count();
        assert_eq!(names, 1, "only the file itself stays");
        let error = write(&folder.path().join("kernels"), b"a folder").unwrap_err();
        assert!(!folder.path().read_dir().unwrap().any(|e| e.unwrap().path().is_file()), "{error}");
    }
}

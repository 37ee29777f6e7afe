//! What can be used in the place of a damaged checkpoint: the others of its run.

use std::path::{Path, PathBuf};

use nn::Checkpoint;

use crate::{
    Error,
    train::{LAST, PREVIOUS},
};

/// The first whole checkpoint with a training state beside `damaged`, and where it stands, in words. None where
/// `damaged` can be read after all: then something else is wrong with it.
fn whole(damaged: &Path) -> Option<(PathBuf, String)> {
    if Checkpoint::load(damaged).is_ok() {
        return None;
    }
    let others = [LAST, PREVIOUS].map(|name| damaged.with_file_name(name));
    others.into_iter().filter(|path| path != damaged).find_map(|path| {
        let meta = Checkpoint::load(&path).ok()?.meta;
        meta.optimizer.as_ref()?;
        let text = format!("{} is whole (after step {} of {})", path.display(), meta.step, meta.total_steps);
        Some((path, text))
    })
}

/// `error`, met on reading the checkpoint `damaged`, with another one offered where there is one. `command` says how to
/// use it.
pub(crate) fn offer(error: Error, damaged: &Path, command: impl FnOnce(&Path) -> String) -> Error {
    match whole(damaged) {
        Some((path, text)) => Error::message(format!("{}\n  {text}; {}", error.chain(), command(&path))),
        None => error,
    }
}

//! What becomes of a training that can not go on: its state is saved where that helps, and the error says where it stands
//! and how to go on.

use std::path::Path;

use nn::collective::Failure;

use super::RunFolder;
use crate::{Error, Result, weights::Saved};

/// Whether an error has nothing to do with what this rank has computed.
fn outside(error: &Error) -> bool {
    matches!(error, Error::Data(_))
        || matches!(
            error.failure(),
            Some(Failure::Lost { .. } | Failure::Hung { .. } | Failure::Silent { .. })
        )
}

/// `error` with a word on what is kept. `state` is where the training stands, `on_disk` whether the last checkpoint is of
/// this run and whole, `save` writes `state` unless it is on disk.
pub(super) fn rescue(
    error: Error,
    folder: &RunFolder,
    state: &Saved,
    on_disk: bool,
    save: impl FnOnce() -> Result<()>,
) -> Error {
    let (step, total) = (state.step, state.total_steps);
    let command = folder.resume_command(None);
    let last = folder.last();
    let saved = |last: &Path| format!("that state is saved in {}", last.display());
    match error {
        // These say what to do themselves: going on would meet the same number, or the same wrong option.
        Error::NotFinite(_) => error,
        error if error.is_usage() => error,
        Error::Stopped { signal, message } => match save() {
            Ok(()) => {
                let kept = saved(&last);
                let message = format!("{message} after step {step} of {total}; {kept}\nto go on: {command}");
                Error::Stopped { signal, message }
            }
            Err(e) => e.during(format!("{message} after step {step} of {total}, but its state is not saved")),
        },
        // The state is whole in memory: no step is lost. (For what another rank fails by, that rank speaks.)
        error if outside(&error) => {
            let kept =
                save().map_or_else(|e| format!("its state is not saved: {}", e.chain()), |()| saved(&last));
            error.during(format!(
                "training stopped after step {step} of {total}; {kept}\n  once the data can be read again, go on by: \
                 {command}"
            ))
        }
        other => {
            let kept =
                if on_disk { "the last checkpoint is untouched" } else { "no checkpoint was written yet" };
            other.during(format!(
                "training stopped after step {step} of {total}; {kept}\n  once that is put right, go on by: {command}"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use datasets::Position;

    use super::*;
    use crate::train::TrainOptions;

    #[test]
    fn nobody_is_sent_back_with_options_that_can_not_work() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(Some(&dir.path().join("run")), "", &TrainOptions::default()).unwrap();
        let state = Saved { at: Position::default(), step: 3, total_steps: 9, seed: 0, best: None };
        let told = |error: Error| {
            let error = rescue(error.during("step 4 on a.png"), &folder, &state, false, || Ok(()));
            (error.exit_code(), error.chain().contains("--resume"))
        };
        assert_eq!(told(Error::usage("no")), (2, false));
        assert_eq!(told(datasets::Error::Options("no".into()).into()), (2, false));
        assert_eq!(told(datasets::Error::Tensor("no".into()).into()), (1, true));
        assert_eq!(told(Error::message("no")), (1, true));
    }
}

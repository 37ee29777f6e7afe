//! Commands as a user can paste them into a shell.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

/// Arguments as one line, quoted where a POSIX shell would otherwise take them for something else.
pub fn shell_words<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    let quoted = |word: S| {
        let word = word.as_ref().to_string_lossy();
        let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// What this program is called by: as the user did, or `dsnet` where another program uses the library.
pub fn program() -> OsString {
    let called = std::env::args_os().next().unwrap_or_default();
    let is_dsnet = Path::new(&called).file_stem().is_some_and(|stem| stem == "dsnet");
    if is_dsnet { called } else { "dsnet".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_from_a_shell() {
        assert_eq!(shell_words(["dsnet", "--out", "runs/a-1"]), "dsnet --out runs/a-1");
        assert_eq!(shell_words(["a b", "it's", "", "$HOME"]), r"'a b' 'it'\''s' '' '$HOME'");
        assert_eq!(program(), "dsnet");
    }
}

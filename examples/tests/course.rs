//! The course is true: its programs run, and print what the book says that they print; links lead somewhere.
//!
//! `UPDATE_BOOK=1 cargo test -p examples` writes what is printed into the book.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The chapters in order, and how far, relatively, a printed number may be off. All arithmetic that decides what is printed is
/// in 64 bits, where processors differ in the last digits alone; the last chapter trains in 32 bits.
const CHAPTERS: [(&str, f64); 11] = [
    ("01-tensor", 1e-6),
    ("02-tape", 1e-6),
    ("03-gradcheck", 1e-6),
    ("04-layer", 1e-6),
    ("05-loss", 1e-6),
    ("06-training", 1e-6),
    ("07-ranks", 1e-6),
    ("08-plan", 1e-6),
    ("09-kernel", 1e-5),
    ("10-custom-op", 1e-6),
    ("11-train-dsnet", 0.3),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What a chapter's program prints. Cargo builds examples before it runs the tests of their package.
fn output(name: &str) -> String {
    let tests = env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    let run = Command::new(&program)
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}; `cargo test -p examples` builds it", program.display()));
    assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

/// Numbers, and the text between them.
fn numbers(text: &str) -> (Vec<f64>, String) {
    let (mut found, mut rest) = (vec![], String::new());
    for word in text.split_inclusive(|c: char| c.is_whitespace() || "[](),=".contains(c)) {
        let number = word.trim_end_matches(|c: char| c.is_whitespace() || "[](),=;".contains(c));
        match number.parse::<f64>() {
            Ok(value) if number.contains('.') || number.contains('e') => {
                found.push(value);
                rest += "#";
                rest += &word[number.len()..];
            }
            _ => rest += word,
        }
    }
    (found, rest)
}

#[test]
fn the_book_shows_what_the_programs_print() {
    for (name, tolerance) in CHAPTERS {
        let path = root().join("docs/book/src/output").join(format!("{name}.txt"));
        let found = output(name);
        if env::var_os("UPDATE_BOOK").is_some() {
            fs::write(&path, &found).unwrap();
            continue;
        }
        let told = read(&path);
        let ((found_numbers, found_text), (told_numbers, told_text)) = (numbers(&found), numbers(&told));
        // In 32 bits, percentages may differ too.
        let (found_text, told_text) = match tolerance {
            t if t > 0.1 => (words(&found_text), words(&told_text)),
            _ => (found_text, told_text),
        };
        let why =
            format!("{name} prints\n{found}\nthe book has\n{told}\nUPDATE_BOOK=1 cargo test -p examples");
        assert_eq!(found_text, told_text, "{why}");
        for (a, b) in found_numbers.iter().zip(&told_numbers) {
            assert!(
                (a - b).abs() <= tolerance * (b.abs() + 0.3 * f64::from(tolerance > 0.1)),
                "{a} and {b}: {why}"
            );
        }
    }
}

/// Without digits.
fn words(text: &str) -> String {
    let letters = text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_comparison_sees_differences() {
    assert_eq!(
        numbers("loss 0.25, 3 ops [1.5, -2e-3]"),
        (vec![0.25, 1.5, -2e-3], "loss #, 3 ops [#, #]".into())
    );
    assert_ne!(numbers("rank 1").1, numbers("rank 2").1);
}

#[test]
fn programs_are_short_and_in_the_book() {
    let book = root().join("docs/book/src");
    let summary = read(&book.join("SUMMARY.md"));
    let mut place = 0;
    for (name, _) in CHAPTERS {
        let lines = read(&root().join("examples").join(format!("{name}.rs"))).lines().count();
        assert!(lines < 80, "{name}.rs has {lines} lines");
        let chapter = read(&book.join(format!("{name}.md")));
        for include in [format!("examples/{name}.rs}}}}"), format!("output/{name}.txt}}}}")] {
            assert!(chapter.contains(&include), "{name}.md does not include …{include}");
        }
        assert!(
            chapter.contains("## Exercises") && chapter.contains("<summary>Answers</summary>"),
            "{name}.md"
        );
        let at = summary.find(&format!("({name}.md)")).unwrap_or_else(|| panic!("SUMMARY.md has no {name}"));
        assert!(at > place, "{name} comes too early in SUMMARY.md");
        place = at;
    }
    let programs = fs::read_dir(root().join("examples")).unwrap().flatten();
    let programs = programs.filter(|e| e.path().extension().is_some_and(|e| e == "rs")).count();
    assert_eq!(programs, CHAPTERS.len(), "every program of the folder is a chapter");
}

/// The targets of links and includes that are files of this repository.
fn targets(text: &str) -> Vec<&str> {
    let link =
        |part: &'static str, end: char| text.split(part).skip(1).filter_map(move |t| t.split(end).next());
    let links = link("](", ')').chain(link("{{#include ", '}'));
    let files = links.map(|t| t.split(['#', ':']).next().unwrap_or(t));
    files.filter(|t| !t.is_empty() && !t.starts_with("http") && !t.contains(' ')).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut checked = 0;
    for folder in ["", "docs", "docs/book/src"] {
        let folder = root().join(folder);
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            if entry.path().extension().is_some_and(|e| e == "md") {
                for target in targets(&read(&entry.path())) {
                    assert!(folder.join(target).exists(), "{}: there is no {target}", entry.path().display());
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 40, "{checked} links");
}

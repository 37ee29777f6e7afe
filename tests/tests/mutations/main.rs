//! Files that nobody meant to write, through every loader: pictures, label maps, checkpoints, options, split lists, logs,
//! events. Each ends in a value or in an error that names the file; none in a panic, and none claims memory that its bytes can
//! not fill.
//!
//! `DSNET_MUTATIONS` is the number of changed files of each kind [default: 300]; `DSNET_MUTATION_FROM` the number of the first
//! one, so that a message's case can be run alone.

mod alone;
mod cached;
mod change;
mod kinds;
mod runs;
mod sizes;

use std::path::Path;

use alone::{Watch, alone};
use change::Random;
use kinds::{Kind, kinds, scratch};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

#[test]
fn changed_files_are_values_or_errors() {
    alone("changed_files_are_values_or_errors", || {
        let (from, count) = (number("DSNET_MUTATION_FROM", 0), number("DSNET_MUTATIONS", 300));
        let dir = scratch();
        let kinds = kinds(dir.path());
        // Everything that is made once (threads, tables) is made by the originals.
        for kind in &kinds {
            for original in &kind.originals {
                (kind.load)(dir.path(), original).unwrap_or_else(|e| panic!("{} as it was: {e}", kind.name));
            }
        }
        let watch = Watch::new();
        for kind in &kinds {
            let errors = (from..from + count).filter(|&case| changed(kind, case, dir.path(), &watch)).count();
            println!("{}: {count} changed files, {errors} of them refused", kind.name);
            assert!(errors > 0, "no change to {} was noticed", kind.name);
        }
    });
}

/// Loads one changed file; whether it was refused.
fn changed(kind: &Kind, case: u64, folder: &Path, watch: &Watch) -> bool {
    let name = format!("{}, DSNET_MUTATION_FROM={case} DSNET_MUTATIONS=1", kind.name);
    let mut random = Random::new(case);
    let original = &kind.originals[random.below(kind.originals.len())];
    let mut bytes = (kind.change)(&mut random, original);
    if random.below(2) == 0 {
        (kind.repair)(&mut bytes);
    }
    let result = (kind.load)(folder, &bytes);
    watch.check(&name);
    match result {
        Ok(()) => {
            assert!(!kind.sealed || bytes == *original, "{name}: the change was not noticed");
            false
        }
        Err(message) => {
            let named = message.contains(&*folder.to_string_lossy());
            assert!(named, "{name}: the message does not name the file: {message}");
            true
        }
    }
}

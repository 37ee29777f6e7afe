//! Being asked to stop. A signal is to the process, so the request is too: whoever trains listens, and asks between two
//! steps (or two images of an evaluation) whether to go on. A second signal ends the process at once, as does the first
//! where nobody listens.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicI32, Ordering},
};

use crate::{Error, Result, ui::errln};

/// Whether somebody will look at [`ASKED`].
static LISTENING: AtomicBool = AtomicBool::new(false);

/// The signal that asked to stop; 0 for none.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// While it lives, the first SIGINT or SIGTERM is a request that [`check`] tells of.
#[derive(Debug)]
pub struct Listening(());

impl Drop for Listening {
    fn drop(&mut self) {
        LISTENING.store(false, Ordering::SeqCst);
    }
}

/// Begins to take signals as requests. Where a system knows no signals, nothing changes: Ctrl-C ends the program.
///
/// # Errors
/// Where the system can start no thread that waits for signals.
pub fn listen() -> Result<Listening> {
    static STARTED: OnceLock<Result<(), String>> = OnceLock::new();
    let started = STARTED.get_or_init(start).clone();
    started.map_err(|why| Error::message(format!("signals can not be waited for: {why}")))?;
    LISTENING.store(true, Ordering::SeqCst);
    Ok(Listening(()))
}

/// Whether the process was asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst) != 0
}

/// Fails where the process was asked to stop.
///
/// # Errors
/// [`Error::Stopped`].
pub fn check() -> Result<()> {
    match ASKED.load(Ordering::SeqCst) {
        0 => Ok(()),
        signal => {
            let name = name(signal);
            Err(Error::Stopped { signal, message: format!("stopped by {name}") })
        }
    }
}

#[cfg(unix)]
fn name(signal: i32) -> &'static str {
    signal_hook::low_level::signal_name(signal).unwrap_or("a signal")
}

#[cfg(not(unix))]
fn name(_signal: i32) -> &'static str {
    "a signal"
}

#[cfg(not(unix))]
fn start() -> Result<(), String> {
    Ok(())
}

/// Starts the thread that waits for signals.
#[cfg(unix)]
fn start() -> Result<(), String> {
    use signal_hook::{
        consts::{SIGINT, SIGTERM},
        iterator::Signals,
        low_level::emulate_default_handler,
    };

    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|e| e.to_string())?;
    let wait = move || {
        for signal in signals.forever() {
            let first = || ASKED.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_ok();
            if LISTENING.load(Ordering::SeqCst) && first() {
                let name = name(signal);
                errln!("\n{name}: finishing this step and saving; a second signal ends the program at once");
            } else if emulate_default_handler(signal).is_err() {
                std::process::exit(128 + signal);
            }
        }
    };
    let thread = std::thread::Builder::new().name("signals".into()).spawn(wait);
    thread.map(drop).map_err(|e| e.to_string())
}

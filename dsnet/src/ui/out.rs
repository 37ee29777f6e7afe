//! Text for standard output and standard error, either of which may have lost its reader: `dsnet summary | head -1`.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
};

use crate::{Error, Result};

/// Prints results on standard output, as `print!` does; see [`print()`].
macro_rules! out {
    ($($text:tt)*) => { $crate::ui::print(format_args!($($text)*)) };
}
pub(crate) use out;

/// Prints results and ends the line; see [`print()`].
macro_rules! outln {
    ($($text:tt)*) => { $crate::ui::print(format_args!("{}\n", format_args!($($text)*))) };
}
pub(crate) use outln;

/// Says a line on standard error; see [`say`].
macro_rules! errln {
    ($($text:tt)*) => { $crate::ui::say(format_args!($($text)*)) };
}
pub(crate) use errln;

/// Writes to standard output. Where nobody reads that any more, the program ends as others do, by the signal of a closed pipe.
///
/// # Errors
/// Where it can not be written: a full disk behind it.
pub fn print(text: fmt::Arguments<'_>) -> Result<()> {
    print_bytes(text.to_string().as_bytes())
}

/// [`print()`], of what is no text.
///
/// # Errors
/// As [`print()`].
pub fn print_bytes(bytes: &[u8]) -> Result<()> {
    match write(bytes) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => end_unread(),
        done => told(done),
    }
}

/// [`print()`], for those who have more to do than to print: a training goes on where nobody reads its results.
///
/// # Errors
/// As [`print()`].
pub fn print_if_read(text: &str) -> Result<()> {
    match write(text.as_bytes()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => told(done),
    }
}

/// Says a line on standard error, whether or not anybody listens: there is nobody else to tell.
pub fn say(line: fmt::Arguments<'_>) {
    // In one piece, so that lines of several threads do not mix.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn told(done: io::Result<()>) -> Result<()> {
    done.map_err(|e| Error::io("write", "standard output", e))
}

/// Ends the program, whose results nobody wants to see.
fn end_unread() -> ! {
    #[cfg(unix)]
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
    std::process::exit(1)
}

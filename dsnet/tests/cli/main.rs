//! The program as a user meets it: run from the outside, judged by exit code, output and files.

#[cfg(unix)]
mod cuda;
#[cfg(unix)]
mod faults;
#[cfg(unix)]
mod kills;
mod measure;
mod mistakes;
#[cfg(unix)]
mod pipes;
#[cfg(unix)]
mod processes;
mod program;
#[cfg(unix)]
mod ranks;
mod reports;
mod resume;
#[cfg(unix)]
mod running;
mod seeing;
mod stages;
mod tables;
mod whole;

//! The program as a user meets it: run from the outside, judged by exit code, output and files.

mod mistakes;
mod program;
mod reports;
mod resume;
mod whole;

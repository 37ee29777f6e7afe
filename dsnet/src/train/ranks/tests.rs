//! Several ranks take the step of one, and what happens when a rank is lost in the middle of a training.

mod equal;
mod faults;

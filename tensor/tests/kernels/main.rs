//! Kernels against the plainest reference: one element at a time, by index, in f64, over random layouts.

mod index;
mod layouts;
mod limits;
mod movement;
mod pointwise;
mod reduce;

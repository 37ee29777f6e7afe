//! Our results beside PyTorch's: forward values and gradients of every operation, layer, loss, optimiser and schedule, and a
//! small DSNet, in float64 (tight) and float32. The stored results and their origin: `tests/fixtures/README.md`.
//!
//! Every module goes through *all* cases of its fixture file and fails on one it does not know, so nothing stored stays
//! unchecked.

mod activation;
mod confusion;
mod conv;
mod dsnet_tiny;
mod encoding;
mod fixture;
mod loss;
mod norm;
mod optim;
mod pool;
mod resize;
mod run;
mod schedule;

//! Every CUDA kernel, compiled by g++ for the CPU (`kernels/host`), against the CPU backend: over element types, odd
//! sizes, empty tensors and three orders of threads and blocks.

mod channels;
mod copy;
mod create;
mod gather;
mod harness;
mod host;
mod maps;
mod near;
mod pointwise;
mod reduce;
mod structs;
mod update;

//! The backend's own code on the emulated driver and libraries of `emulator/`: nothing here needs a GPU, and nothing here
//! says how one behaves.

mod launched;
mod libraries;
mod memory;
mod nccl;
mod ops;
mod plan;
mod recording;
mod staging;
mod support;

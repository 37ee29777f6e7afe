//! Tensors, operations as values, and the CPU backend.

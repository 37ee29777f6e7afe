//! Tape-based automatic differentiation over tensor operations.

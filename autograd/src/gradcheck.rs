//! Gradient checks (pending).

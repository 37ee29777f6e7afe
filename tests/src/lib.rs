//! Tests that span crates: gradients, parity, command line, faults.

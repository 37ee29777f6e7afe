//! What a checkpoint knows besides tensors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where a training stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Name of the model, as `dsnet-1.0`.
    pub model: String,
    /// Number of classes.
    pub classes: usize,
    /// Optimiser steps done: position in the schedule, and in the random streams.
    pub step: u64,
    /// Length of the schedule in steps.
    pub total_steps: u64,
    /// Epoch of the next batch, from 0.
    pub epoch: u64,
    /// Index of the next batch in its epoch, from 0.
    pub batch: u64,
    /// Seed of every random stream.
    pub seed: u64,
    /// Name of the optimiser's rule, where its state is included; [`Checkpoint::capture`](super::Checkpoint::capture)
    /// sets it.
    pub optimizer: Option<String>,
    /// Anything else, by name: best score so far, configuration.
    pub extras: BTreeMap<String, serde_json::Value>,
}

impl Meta {
    /// The start of a training.
    pub fn new(model: impl Into<String>, classes: usize, seed: u64) -> Self {
        Self { model: model.into(), classes, seed, ..Self::default() }
    }
}

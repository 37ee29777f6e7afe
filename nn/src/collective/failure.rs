//! What goes wrong among ranks, said so that a person knows where to look.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why ranks can not go on together. Every rank that is still there gets the same one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Failure {
    /// A rank ended: it returned, failed or panicked while the others need it.
    #[error("rank {rank} was lost: {why}")]
    Lost {
        /// The rank.
        rank: usize,
        /// Its last words.
        why: String,
    },
    /// A rank gives no sign of life while the others wait for it.
    #[error(
        "rank {rank} hangs: it gave no sign of life for {} while other ranks wait for it at {at}; its last call was {last}",
        seconds(timeout)
    )]
    Hung {
        /// The rank.
        rank: usize,
        /// How long one waits for a sign of life.
        timeout: Duration,
        /// What the others wait for.
        at: String,
        /// The last that it did together with the others.
        last: String,
    },
    /// Nothing is heard any more from the process of a rank.
    #[error(
        "rank {rank} is silent: its process sent nothing for {}; is it stopped, its machine down, or the network between?",
        seconds(timeout)
    )]
    Silent {
        /// The rank.
        rank: usize,
        /// How long one waits for a sign of life.
        timeout: Duration,
    },
    /// Ranks made different calls where they should have made the same.
    #[error("ranks disagree: at call {call}, rank {rank} wants {wants} and rank {other} wants {has}")]
    Disagree {
        /// Number of the call, from 1.
        call: u64,
        /// The rank that came later.
        rank: usize,
        /// What it wants.
        wants: String,
        /// The rank that came first.
        other: usize,
        /// What that one wants.
        has: String,
    },
    /// Copies of the model that should be equal are not.
    #[error(
        "the model of rank {rank} differs from that of rank 0 in {what}: their updates were not the same"
    )]
    Diverged {
        /// The first rank whose copy differs.
        rank: usize,
        /// The first parameter or buffer that differs.
        what: String,
    },
}

impl Failure {
    /// The rank to look at.
    pub fn rank(&self) -> usize {
        match self {
            Self::Lost { rank, .. }
            | Self::Hung { rank, .. }
            | Self::Silent { rank, .. }
            | Self::Disagree { rank, .. }
            | Self::Diverged { rank, .. } => *rank,
        }
    }
}

fn seconds(time: &Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

//! Several ranks that train one model: what they tell each other.
//!
//! A rank is one worker with its own copy of the model and its own share of each batch. [`Collective`] is all that
//! layers, losses and the training loop know of the others; [`Solo`] is the one rank of an ordinary training,
//! [`Threads`] several ranks in one process, [`Tcp`] ranks of several processes. Every rank makes the same calls in the same
//! order: a call's number is what matches it with those of the others. See `docs/parallel.md`.

mod failure;
mod round;
mod seats;
mod solo;
mod tcp;
#[cfg(test)]
mod tests;
mod threads;

use std::fmt::Debug;

pub use failure::Failure;
pub use seats::Stopped;
pub use solo::Solo;
pub use tcp::{Absent, Facts, Meeting, Tcp};
pub use threads::Threads;

use tensor::{Ops, Tensor};

use crate::{Error, Result};

/// Sums and messages among ranks.
///
/// Values are whole tensors that each rank brings with the same dims and type; they may be flat buffers of many
/// gradients. Results are equal to the last bit on every rank and on every run: sums are taken in the order of the
/// ranks. A call fails with [`Failure`] where a rank is lost, hangs, or makes another call than this one.
pub trait Collective: Debug + Send + Sync {
    /// Which rank this is, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn world(&self) -> usize;

    /// Begins to sum `value` over the ranks and returns at once; [`Pending::wait`] gives the sum. Several sums may be
    /// under way.
    ///
    /// # Errors
    /// [`Error::Collective`].
    fn start_all_reduce(&self, value: &Tensor) -> Result<Box<dyn Pending>>;

    /// What the rank `root` brings as `value`; the other ranks bring a tensor of the same dims and type.
    ///
    /// # Errors
    /// [`Error::Collective`]; a `root` that is no rank.
    fn broadcast(&self, value: &Tensor, root: usize) -> Result<Tensor>;

    /// Waits until every rank is here.
    ///
    /// # Errors
    /// [`Error::Collective`].
    fn barrier(&self) -> Result<()>;

    /// A sign of life between calls that lie far apart (scoring a data set): a rank that gives none for as long as the
    /// timeout says is taken to hang, if the others wait for it. Calls are signs of life themselves.
    fn alive(&self) {}

    /// Why the ranks can not go on together, where that is known already: the next call would fail with it. For who keeps
    /// watch while a rank waits for something else than the others.
    fn failure(&self) -> Option<Failure> {
        None
    }

    /// The sum of `value` over the ranks.
    ///
    /// # Errors
    /// [`Error::Collective`].
    fn all_reduce(&self, value: &Tensor) -> Result<Tensor> {
        self.start_all_reduce(value)?.wait()
    }

    /// What each rank brings, in the order of the ranks. Zeros come without a sign.
    ///
    /// # Errors
    /// [`Error::Collective`].
    fn all_gather(&self, value: &Tensor) -> Result<Vec<Tensor>> {
        if self.world() == 1 {
            return Ok(vec![value.clone()]);
        }
        // A sum in which each rank fills its own row and leaves zeros in the others'.
        let flat = value.reshape(&[1, value.len()])?;
        let zeros = |rows: usize| value.full_like(0.0, &[rows, value.len()]);
        let (before, after) = (zeros(self.rank())?, zeros(self.world() - self.rank() - 1)?);
        let all = self.all_reduce(&Tensor::cat(&[&before, &flat, &after], 0)?)?;
        let row = |rank| Ok(all.narrow(0, rank, 1)?.reshape(value.dims())?);
        (0..self.world()).map(row).collect()
    }

    /// Whether `flag` is set on any rank: how ranks decide together.
    ///
    /// # Errors
    /// [`Error::Collective`].
    fn any(&self, flag: bool) -> Result<bool> {
        let votes = self.all_reduce(&Tensor::scalar(f64::from(u8::from(flag))))?;
        Ok(votes.item()? > 0.0)
    }
}

/// A sum under way.
pub trait Pending {
    /// Waits for the sum.
    ///
    /// # Errors
    /// [`Error::Collective`].
    fn wait(self: Box<Self>) -> Result<Tensor>;
}

/// Where a rank's samples lie in the batch that all ranks share: the ranks' shares follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Samples on the ranks before this one.
    pub first: usize,
    /// Samples on this rank.
    pub len: usize,
    /// Samples on all ranks.
    pub total: usize,
}

impl Share {
    /// The share of a rank that has `len` samples, as the ranks find by telling each other.
    ///
    /// # Errors
    /// [`Error::Collective`].
    pub fn find(len: usize, ranks: &dyn Collective) -> Result<Self> {
        if ranks.world() == 1 {
            return Ok(Self { first: 0, len, total: len });
        }
        let mut counts = vec![0_i64; ranks.world()];
        counts[ranks.rank()] = len as i64;
        let counts = ranks.all_reduce(&Tensor::from_vec(counts, &[ranks.world()])?)?.to_vec::<i64>()?;
        let sum = |counts: &[i64]| counts.iter().sum::<i64>() as usize;
        Ok(Self { first: sum(&counts[..ranks.rank()]), len, total: sum(&counts) })
    }
}

/// The sums of some numbers over the ranks, in f64.
pub(crate) fn sum_numbers(numbers: &[f64], ranks: &dyn Collective) -> Result<Vec<f64>> {
    let sums = ranks.all_reduce(&Tensor::from_slice(numbers, &[numbers.len()])?)?;
    Ok(sums.to_vec()?)
}

/// Fails where there is no rank `root`.
fn check_root(root: usize, world: usize) -> Result<()> {
    if root < world {
        return Ok(());
    }
    Err(Error::config("broadcast", format!("there is no rank {root}: the last of {world} is {}", world - 1)))
}

/// Carries an error out of a custom operation or a hook, where autograd's own type is wanted.
pub(crate) fn into_autograd(e: Error) -> autograd::Error {
    match e {
        Error::Autograd(e) => e,
        other => autograd::Error::custom(other),
    }
}

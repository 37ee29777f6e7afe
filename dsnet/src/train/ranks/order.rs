//! What rank 0 tells the others to do next.

use datasets::Position;
use nn::Collective;
use tensor::Tensor;

use crate::{Error, Result, stop};

/// The next thing that all ranks do together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Order {
    /// A training step on the batch at this position, at the base rate times `factor`.
    Step { at: Position, factor: f64 },
    /// Comparing the copies of the model.
    Check,
    /// Scoring a net of the same shape, which rank 0 has, on the validation split.
    Score,
    /// Nothing more: the followers' work is done.
    End,
}

/// The signal that a request of another process is taken for.
const SIGTERM: i32 = 15;

/// Numbers in a message.
const LEN: usize = 4;

impl Order {
    fn encode(self) -> [i64; LEN] {
        match self {
            Order::Step { at, factor } => [0, at.epoch as i64, at.batch as i64, factor.to_bits() as i64],
            Order::Check => [1, 0, 0, 0],
            Order::Score => [2, 0, 0, 0],
            Order::End => [3, 0, 0, 0],
        }
    }

    fn decode(message: &[i64]) -> Option<Self> {
        Some(match *message {
            [0, epoch, batch, factor] => Order::Step {
                at: Position { epoch: epoch as usize, batch: batch as usize },
                factor: f64::from_bits(factor as u64),
            },
            [1, ..] => Order::Check,
            [2, ..] => Order::Score,
            [3, ..] => Order::End,
            _ => return None,
        })
    }

    /// Tells the other ranks. Where one of them is in a process that was asked to stop, no step is told.
    pub fn tell(self, ranks: &dyn Collective) -> Result<()> {
        if ranks.any(false)? && matches!(self, Order::Step { .. }) {
            stop::check()?;
            let message = "stopped, as a process of other ranks was asked to stop".into();
            return Err(Error::Stopped { signal: SIGTERM, message });
        }
        ranks.broadcast(&Tensor::from_slice(&self.encode(), &[LEN])?, 0)?;
        Ok(())
    }

    /// Waits for what rank 0 tells.
    pub fn hear(ranks: &dyn Collective) -> Result<Self> {
        ranks.any(stop::asked())?;
        let message = ranks.broadcast(&Tensor::from_slice(&[0_i64; LEN], &[LEN])?, 0)?.to_vec::<i64>()?;
        Self::decode(&message)
            .ok_or_else(|| Error::message(format!("rank 0 sent an unknown order {message:?}")))
    }
}

/// Gives every rank rank 0's position.
pub(super) fn share_position(at: Position, ranks: &dyn Collective) -> Result<Position> {
    let mine = Tensor::from_slice(&[at.epoch as i64, at.batch as i64], &[2])?;
    let both = ranks.broadcast(&mine, 0)?.to_vec::<i64>()?;
    Ok(Position { epoch: both[0] as usize, batch: both[1] as usize })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_survive_the_way() {
        let at = Position { epoch: 7, batch: 1 << 40 };
        let all = [Order::Step { at, factor: 0.1 + 0.2 }, Order::Check, Order::Score, Order::End];
        for order in all {
            assert_eq!(Order::decode(&order.encode()), Some(order));
        }
        assert_eq!(Order::decode(&[9, 0, 0, 0]), None);
    }
}

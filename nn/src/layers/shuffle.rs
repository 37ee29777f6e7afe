//! Channel shuffle.

use autograd::Var;
use tensor::Ops;

use crate::{Ctx, Module, Result, Visitor};

/// Channels regrouped, so that groups of the next layer see channels of all groups of the last one
/// (ShuffleNet, Zhang et al. 2018).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelShuffle {
    /// Number of groups; divides the channels.
    pub groups: usize,
}

impl Module for ChannelShuffle {
    fn forward(&self, x: &Var, _: &Ctx) -> Result<Var> {
        Ok(x.channel_shuffle(self.groups)?)
    }

    fn visit(&self, _: &mut dyn Visitor) {}
}

#[cfg(test)]
mod tests {
    use tensor::Tensor;

    use super::*;
    use crate::layers::testing::check_gradients;

    #[test]
    fn order_and_gradients() {
        let x = Var::new(Tensor::from_vec((0..6).map(f64::from).collect(), &[1, 6, 1, 1]).unwrap());
        let y = ChannelShuffle { groups: 2 }.forward(&x, &Ctx::eval()).unwrap();
        assert_eq!(y.tensor().to_vec::<f64>().unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        check_gradients(&ChannelShuffle { groups: 3 }, &[2, 6, 2, 3], true);
    }
}

//! Pooling and unpooling.

use autograd::Var;
use tensor::{Ops, ops::Window};

use crate::{Ctx, Module, Result, Visitor};

/// Max pooling of `[N, C, H, W]`. As a [`Module`] it yields the maxima alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPool2d {
    /// The window.
    pub window: Window,
}

/// Puts pooled values back where the index of a [`MaxPool2d`] says, zeros elsewhere. No [`Module`]: it wants
/// the index too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxUnpool2d {
    /// The window of the pooling.
    pub window: Window,
}

/// Average pooling of `[N, C, H, W]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AvgPool2d {
    /// The window.
    pub window: Window,
    /// Whether padding counts in the divisor, as it does in PyTorch by default.
    pub count_padding: bool,
}

/// The mean of each channel: `[N, C, H, W]` to `[N, C, 1, 1]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GlobalAvgPool;

impl MaxPool2d {
    /// A square window that moves by its own size.
    pub fn new(size: usize) -> Self {
        Self { window: Window::square(size) }
    }

    /// The maxima, and the window-local place of each (u8), which [`MaxUnpool2d`] takes.
    ///
    /// # Errors
    /// Where no window fits.
    pub fn forward_indexed(&self, x: &Var) -> Result<(Var, Var)> {
        Ok(x.max_pool2d(self.window)?)
    }
}

impl MaxUnpool2d {
    /// The inverse of [`MaxPool2d::new`].
    pub fn new(size: usize) -> Self {
        Self { window: Window::square(size) }
    }

    /// `y` put back into zeros of (H, W) `size`, the size that was pooled.
    ///
    /// # Errors
    /// Where sizes do not fit.
    pub fn forward(&self, y: &Var, index: &Var, size: [usize; 2]) -> Result<Var> {
        Ok(y.max_unpool2d(index, self.window, size)?)
    }
}

impl AvgPool2d {
    /// A square window that moves by its own size.
    pub fn new(size: usize) -> Self {
        Self { window: Window::square(size), count_padding: true }
    }
}

impl Module for MaxPool2d {
    fn forward(&self, x: &Var, _: &Ctx) -> Result<Var> {
        Ok(self.forward_indexed(x)?.0)
    }

    fn visit(&self, _: &mut dyn Visitor) {}
}

impl Module for AvgPool2d {
    fn forward(&self, x: &Var, _: &Ctx) -> Result<Var> {
        Ok(x.avg_pool2d(self.window, self.count_padding)?)
    }

    fn visit(&self, _: &mut dyn Visitor) {}
}

impl Module for GlobalAvgPool {
    fn forward(&self, x: &Var, _: &Ctx) -> Result<Var> {
        Ok(x.global_avg_pool2d()?)
    }

    fn visit(&self, _: &mut dyn Visitor) {}
}

#[cfg(test)]
mod tests {
    use tensor::Tensor;

    use super::*;
    use crate::layers::testing::check_gradients;

    #[test]
    fn gradients() {
        let overlapping = Window { kernel: [3, 3], stride: [2, 2], padding: [1, 1] };
        check_gradients(&MaxPool2d::new(2), &[2, 3, 4, 6], true);
        check_gradients(&MaxPool2d { window: overlapping }, &[2, 2, 5, 7], true);
        check_gradients(&AvgPool2d::new(2), &[2, 3, 4, 6], true);
        check_gradients(&AvgPool2d { window: overlapping, count_padding: false }, &[2, 2, 5, 7], true);
        check_gradients(&GlobalAvgPool, &[2, 3, 4, 5], true);
    }

    #[test]
    fn unpooling_puts_maxima_back() {
        let x = Tensor::from_vec(vec![1.0, 2.0, 4.0, 3.0, 0.0, 0.0, 0.0, 5.0], &[1, 1, 2, 4]).unwrap();
        let (y, index) = MaxPool2d::new(2).forward_indexed(&Var::new(x)).unwrap();
        let back = MaxUnpool2d::new(2).forward(&y, &index, [2, 4]).unwrap();
        assert_eq!(y.tensor().to_vec::<f64>().unwrap(), [2.0, 5.0]);
        assert_eq!(back.tensor().to_vec::<f64>().unwrap(), [0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5.0]);
    }
}

//! Parameter groups: parameters that move at another rate or decay otherwise.

use std::fmt;

use tensor::Tensor;

type Matches = Box<dyn Fn(&str, &Tensor) -> bool + Send>;

/// Parameters picked by name and value, with a factor on the learning rate and their own weight decay. A
/// parameter belongs to the first group that matches it.
pub struct Group {
    matches: Matches,
    /// Factor on the learning rate.
    pub rate_factor: f64,
    /// Weight decay; `None`: the optimiser's.
    pub weight_decay: Option<f64>,
}

impl Group {
    /// The parameters for which `matches` says yes, at the common rate and decay.
    pub fn new(matches: impl Fn(&str, &Tensor) -> bool + Send + 'static) -> Self {
        Self { matches: Box::new(matches), rate_factor: 1.0, weight_decay: None }
    }

    /// The parameters below the module `path`.
    pub fn below(path: impl Into<String>) -> Self {
        let prefix = path.into() + ".";
        Self::new(move |name, _| name.starts_with(&prefix))
    }

    /// Biases and the parameters of normalisation layers (those with at most one axis), without weight decay.
    pub fn vectors_without_decay() -> Self {
        Self::new(|_, value| value.dims().len() <= 1).weight_decay(0.0)
    }

    /// With a factor on the learning rate.
    pub fn rate_factor(mut self, factor: f64) -> Self {
        self.rate_factor = factor;
        self
    }

    /// With its own weight decay.
    pub fn weight_decay(mut self, decay: f64) -> Self {
        self.weight_decay = Some(decay);
        self
    }

    pub(super) fn matches(&self, name: &str, value: &Tensor) -> bool {
        (self.matches)(name, value)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group {{ rate_factor: {}, weight_decay: {:?} }}", self.rate_factor, self.weight_decay)
    }
}

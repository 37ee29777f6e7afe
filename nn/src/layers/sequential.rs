//! Modules one after the other.

use autograd::Var;

use crate::{Ctx, Module, Result, Visitor, visit_child};

/// Applies its children in order; they are named `0`, `1`, …
#[derive(Default)]
pub struct Sequential {
    children: Vec<(String, Box<dyn Module>)>,
}

impl Sequential {
    /// An empty one: the identity.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more child.
    pub fn with(mut self, module: impl Module + 'static) -> Self {
        self.push(module);
        self
    }

    /// Adds a child.
    pub fn push(&mut self, module: impl Module + 'static) {
        self.children.push((self.children.len().to_string(), Box::new(module)));
    }

    /// Number of children.
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether it is the identity.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }
}

impl Module for Sequential {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        self.children.iter().try_fold(x.clone(), |x, (name, module)| ctx.call(name, &**module, &x))
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        for (name, module) in &self.children {
            visit_child(visitor, name, &**module);
        }
    }
}

#[cfg(test)]
mod tests {
    use tensor::DType;

    use super::*;
    use crate::{
        BatchNormConfig, Collect, Conv2dConfig, Initializer, Relu,
        layers::testing::{check_gradients, input},
    };

    fn pair() -> Sequential {
        let init = Initializer::new(1).dtype(DType::F64);
        let conv = Conv2dConfig::new(2, 3, 1).build(&init.scope("0")).unwrap();
        let bn = BatchNormConfig::new(3).build(&init.scope("1")).unwrap();
        Sequential::new().with(conv).with(bn).with(Relu)
    }

    #[test]
    fn names_and_gradients() {
        let names: Vec<_> = Collect::of(&pair()).into_iter().map(|e| e.name).collect();
        assert_eq!(names, ["0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var"]);
        check_gradients(&pair(), &[2, 2, 3, 3], true);
    }

    #[test]
    fn an_error_names_the_child() {
        let ctx = Ctx::eval();
        let error = ctx.call("stem", &pair(), &input(&[1, 5, 2, 2], DType::F64)).unwrap_err();
        assert!(error.to_string().starts_with("stem.0: conv2d: input has 5 channels"), "{error}");
    }
}

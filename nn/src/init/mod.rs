//! First values of parameters.
//!
//! A value depends on the seed, the parameter's full name and its place in the tensor alone: neither the order
//! in which layers are made nor a layer added elsewhere changes it.

mod rule;

pub use rule::{Fan, Init};

use tensor::{DType, Tensor, rng::Key};

use crate::{Buffer, Param, Result};

/// Makes first values: a seed, an element type, and the path of the module that is being made.
#[derive(Debug, Clone)]
pub struct Initializer {
    seed: u64,
    dtype: DType,
    path: String,
}

impl Initializer {
    /// An initialiser of f32 parameters at the root of a model.
    pub fn new(seed: u64) -> Self {
        Self { seed, dtype: DType::F32, path: String::new() }
    }

    /// The same for parameters of `dtype`, a float.
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// The initialiser of the child module `name`.
    pub fn scope(&self, name: impl AsRef<str>) -> Self {
        Self { path: self.full(name.as_ref()), ..*self }
    }

    /// Path of the module that is being made, as `up4.right.1`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The random stream of the parameter `name` of the module at hand: the 64-bit FNV-1a hash of its full name.
    pub fn key(&self, name: &str) -> Key {
        Key::new(self.seed, fnv1a(self.full(name).as_bytes()))
    }

    /// The parameter `name` of the module at hand.
    ///
    /// # Errors
    /// Where the rule does not fit the dims.
    pub fn param(&self, name: &str, dims: &[usize], init: Init) -> Result<Param> {
        let value = init.sample(dims, self.dtype, self.key(name));
        value.map(Param::new).map_err(|e| e.at(&self.path))
    }

    /// A buffer of the module at hand, all elements `value`.
    ///
    /// # Errors
    /// Where memory runs out.
    pub fn buffer(&self, value: f64, dims: &[usize]) -> Result<Buffer> {
        Ok(Buffer::new(Tensor::full(value, dims, self.dtype)?))
    }

    fn full(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }
}

/// The 64-bit FNV-1a hash (Fowler, Noll, Vo).
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    fnv1a_from(0xcbf2_9ce4_8422_2325, bytes)
}

/// [`fnv1a`], going on from an earlier hash.
pub(crate) fn fnv1a_from(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_known_answers() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn values_depend_on_seed_and_name_alone() {
        let draw = |seed, path: &[&str], name| {
            let init = path.iter().fold(Initializer::new(seed), |init, p| init.scope(p));
            init.param(name, &[4, 4], Init::XAVIER_UNIFORM).unwrap().value().to_vec::<f32>().unwrap()
        };
        assert_eq!(draw(1, &["a", "b"], "w"), draw(1, &["a.b"], "w"));
        assert_ne!(draw(1, &["a"], "w"), draw(2, &["a"], "w"));
        assert_ne!(draw(1, &["a"], "w"), draw(1, &["b"], "w"));
        assert_ne!(draw(1, &["a"], "w"), draw(1, &["a"], "v"));
    }
}

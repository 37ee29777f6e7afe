//! The shapes of DSNet, by name: the paper's sizes, and the variants of its Table 5.

use super::{UnitKind, Variant};
use crate::{Error, Result};

/// Shape of a DSNet. The paper's sizes differ in the number of dilated units alone, its variants in the fields from `unit` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DsNetConfig {
    /// Number of classes.
    pub classes: usize,
    /// Channels at 1/2, 1/4 and 1/8 of the input's size.
    pub channels: [usize; 3],
    /// Number of units at 1/4 of the input's size.
    pub n64: usize,
    /// Dilation of each unit at 1/8 of the input's size.
    pub dilations: Vec<usize>,
    /// Codewords of the training head's encoding layer.
    pub codewords: usize,
    /// What stages are made of.
    pub unit: UnitKind,
    /// Whether concatenated channels are shuffled.
    pub shuffle: bool,
    /// Whether the first unit also pools the image.
    pub init_pool: bool,
    /// Whether the encoder ends in pyramid pooling.
    pub pyramid: bool,
    /// Whether the encoder's features are added to the decoder's.
    pub skips: bool,
}

/// The sizes of the paper's Table 2.
const SIZES: [&str; 4] = ["dsnet-0.5", "dsnet-1.0", "dsnet-1.5", "dsnet-2.0"];

/// A net of a few thousand weights: for tests, not in any list. Its variants are called as `dsnet-tiny-add`.
const TINY: &str = "dsnet-tiny";

/// Names of all models: the four sizes, then the variants of `dsnet-1.0`.
pub fn names() -> impl Iterator<Item = &'static str> {
    SIZES.into_iter().chain(Variant::ALL.iter().map(|v| v.model()))
}

/// Names of the four sizes of Table 2.
pub fn sizes() -> [&'static str; 4] {
    SIZES
}

/// The most classes of a model: label maps hold bytes, and 255 says "none".
const MAX_CLASSES: usize = 255;

impl DsNetConfig {
    /// The paper's net with these sizes.
    pub fn new(
        classes: usize,
        channels: [usize; 3],
        n64: usize,
        dilations: Vec<usize>,
        codewords: usize,
    ) -> Self {
        Self {
            classes,
            channels,
            n64,
            dilations,
            codewords,
            unit: UnitKind::Split,
            shuffle: true,
            init_pool: true,
            pyramid: false,
            skips: false,
        }
    }
}

/// The model called `name`, for `classes` classes.
///
/// # Errors
/// Where there is none of that name, or for no class or more than 255.
pub fn config(name: &str, classes: usize) -> Result<DsNetConfig> {
    if !(1..=MAX_CLASSES).contains(&classes) {
        return Err(Error::usage(format!("a model of {classes} classes: there can be 1 to {MAX_CLASSES}")));
    }
    if let Some(size) = size(name, classes) {
        return Ok(size);
    }
    let known = Variant::ALL.iter().find_map(|variant| {
        let base = if name == variant.model() { "dsnet-1.0" } else { TINY };
        let tiny = name.strip_prefix(TINY).and_then(|rest| rest.strip_prefix('-'));
        let called = name == variant.model() || tiny == variant.model().strip_prefix("dsnet-");
        Some(variant.of(size(base, classes).filter(|_| called)?))
    });
    known.ok_or_else(|| {
        let list = names().collect::<Vec<_>>().join(", ");
        Error::usage(format!("there is no model \"{name}\"; the models are {list}"))
    })
}

/// A model that is no variant.
fn size(name: &str, classes: usize) -> Option<DsNetConfig> {
    // 1.5 and 2.0 go on with the cycle of the last stage.
    let full = |more: usize| [cycle([1, 2, 5, 9], 8), cycle([2, 5, 9, 17], 8 + more)].concat();
    let (channels, n64, dilations, codewords) = match name {
        "dsnet-0.5" => ([16, 64, 128], 4, vec![2, 5, 9, 5, 9, 17], 32),
        "dsnet-1.0" => ([16, 64, 128], 4, full(0), 32),
        "dsnet-1.5" => ([16, 64, 128], 4, full(10), 32),
        "dsnet-2.0" => ([16, 64, 128], 4, full(20), 32),
        TINY => ([8, 16, 16], 1, vec![1, 2], 4),
        _ => return None,
    };
    Some(DsNetConfig::new(classes, channels, n64, dilations, codewords))
}

/// `n` dilations of a cycle: the hybrid dilated convolution of the paper.
pub(super) fn cycle(of: [usize; 4], n: usize) -> Vec<usize> {
    of.into_iter().cycle().take(n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_each_size() {
        let units = |name| config(name, 19).unwrap().dilations;
        assert_eq!(SIZES.map(|name| units(name).len()), [6, 16, 26, 36]);
        assert_eq!(units("dsnet-1.0"), [1, 2, 5, 9, 1, 2, 5, 9, 2, 5, 9, 17, 2, 5, 9, 17]);
        assert_eq!(units("dsnet-1.5")[16..], [2, 5, 9, 17, 2, 5, 9, 17, 2, 5]);
        assert!(config("dsnet-1.0", 256).unwrap_err().to_string().contains("1 to 255"));
        for wrong in ["dsnet", "dsnet-tiny-", "dsnet-0.5-add", "tiny-add"] {
            assert!(config(wrong, 19).unwrap_err().to_string().contains("dsnet-0.5, dsnet-1.0"), "{wrong}");
        }
    }

    #[test]
    fn every_name_is_a_model() {
        for name in names() {
            config(name, 19).unwrap();
        }
        assert!(config("dsnet-tiny-psp", 3).unwrap().pyramid);
    }
}

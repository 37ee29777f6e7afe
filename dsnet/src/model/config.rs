//! The sizes of DSNet, by name.

use crate::{Error, Result};

/// Shape of a DSNet: the paper's sizes differ in the number of dilated units alone.
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
}

/// The sizes of the paper's Table 2.
const SIZES: [&str; 4] = ["dsnet-0.5", "dsnet-1.0", "dsnet-1.5", "dsnet-2.0"];

/// A net of a few thousand weights: for tests, not in any list.
const TINY: &str = "dsnet-tiny";

/// Names of all models.
pub fn names() -> &'static [&'static str] {
    &SIZES
}

/// The most classes of a model: label maps hold bytes, and 255 says "none".
const MAX_CLASSES: usize = 255;

/// The model called `name`, for `classes` classes.
///
/// # Errors
/// Where there is none of that name, or for no class or more than 255.
pub fn config(name: &str, classes: usize) -> Result<DsNetConfig> {
    if !(1..=MAX_CLASSES).contains(&classes) {
        return Err(Error::usage(format!("a model of {classes} classes: there can be 1 to {MAX_CLASSES}")));
    }
    // The hybrid dilated convolution's cycle; 1.5 and 2.0 go on with it.
    const CYCLE: [usize; 4] = [2, 5, 9, 17];
    let first = [1, 2, 5, 9, 1, 2, 5, 9];
    let cycle = |n: usize| CYCLE.into_iter().cycle().take(n);
    let full = |more: usize| first.into_iter().chain(cycle(8)).chain(cycle(more)).collect();
    let (channels, n64, dilations, codewords) = match name {
        "dsnet-0.5" => ([16, 64, 128], 4, vec![2, 5, 9, 5, 9, 17], 32),
        "dsnet-1.0" => ([16, 64, 128], 4, full(0), 32),
        "dsnet-1.5" => ([16, 64, 128], 4, full(10), 32),
        "dsnet-2.0" => ([16, 64, 128], 4, full(20), 32),
        TINY => ([8, 16, 16], 1, vec![1, 2], 4),
        _ => {
            let list = SIZES.join(", ");
            return Err(Error::usage(format!("there is no model \"{name}\"; the models are {list}")));
        }
    };
    Ok(DsNetConfig { classes, channels, n64, dilations, codewords })
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
        assert!(config("dsnet", 19).unwrap_err().to_string().contains("dsnet-0.5, dsnet-1.0"));
    }
}

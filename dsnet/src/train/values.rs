//! Values of options that are more than a number: sizes, scales, losses, schedules. Each is written as one string on the
//! command line and in a TOML file alike.

use std::{fmt, str::FromStr};

use datasets::{PatchGrid, Scale};
use nn::{loss::LossSpec, schedule::Curve};
use serde::{Deserialize, Serialize};

/// Makes a type that is read and printed as text a serde type.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    )*};
}
as_text!(Size, Crop, PatchList, Scales, Loss, Fall);

/// Height and width in pixels, written `HxW`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Two positive numbers with an x between them.
pub(crate) fn pair(text: &str) -> Option<(usize, usize)> {
    let (a, b) = text.split_once(['x', 'X', '×'])?;
    let number = |s: &str| s.trim().parse::<usize>().ok().filter(|&n| (1..=1 << 16).contains(&n));
    Some((number(a)?, number(b)?))
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = pair(text).map(|(height, width)| Self { height, width });
        size.ok_or_else(|| format!("\"{text}\" is no size; write height x width, as 360x480"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

/// The window cut out of each training sample: a size, or `none` for whole samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Crop(pub Option<Size>);

impl FromStr for Crop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" { Ok(Self(None)) } else { text.parse().map(|size| Self(Some(size))) }
    }
}

impl fmt::Display for Crop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(size) => size.fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// The parts that each training picture is cut into, as `880x880:2x4`, or `none` ([`PatchGrid`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PatchList(pub Option<PatchGrid>);

impl FromStr for PatchList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || text.parse().map(|grid| Self(Some(grid))).map_err(|e: datasets::Error| e.to_string());
        if text == "none" { Ok(Self(None)) } else { parsed() }
    }
}

impl fmt::Display for PatchList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(grid) => grid.fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// By how much training samples are resized: `1`, a choice `0.5,1.0`, or a range `0.75..1.5`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scales(pub Scale);

impl FromStr for Scales {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("\"{text}\" is no scale; write 1, a choice as 0.5,1.0 or a range as 0.75..1.5");
        let number = |s: &str| s.trim().parse::<f32>().map_err(|_| wrong());
        let scale = if let Some((low, high)) = text.split_once("..") {
            Scale::Uniform(number(low)?, number(high)?)
        } else if text.contains(',') {
            Scale::Choice(text.split(',').map(number).collect::<Result<_, _>>()?)
        } else {
            Scale::Fixed(number(text)?)
        };
        let augment = datasets::Augment { scale: scale.clone(), ..Default::default() };
        augment.validate().map_err(|e| e.to_string())?;
        Ok(Self(scale))
    }
}

impl fmt::Display for Scales {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Scale::Fixed(factor) => write!(f, "{factor}"),
            Scale::Uniform(low, high) => write!(f, "{low}..{high}"),
            Scale::Choice(all) => f.write_str(&all.iter().map(f32::to_string).collect::<Vec<_>>().join(",")),
        }
    }
}

/// What is minimised, as text: `ce`, `wce`, `fl`, `owfl` or `bootstrap`, alone or with `+sel` ([`LossSpec`]).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Loss(pub LossSpec);

/// How the learning rate falls, as text: `poly`, `cosine`, `step:10:0.5`, `constant` ([`Curve`]). Steps and milestones
/// count epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fall(pub Curve);

/// Makes a type that wraps one of `nn`'s readable values readable here.
macro_rules! wraps {
    ($($name:ident),*) => {$(
        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                text.parse().map(Self).map_err(|e: nn::Error| e.to_string())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
wraps!(Loss, Fall);

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: FromStr<Err = String> + fmt::Display>(texts: &[&str]) {
        for text in texts {
            let value: T = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(value.to_string(), *text);
        }
    }

    #[test]
    fn values_print_as_they_are_read() {
        round_trip::<Crop>(&["none", "360x480"]);
        round_trip::<PatchList>(&["none", "880x880:2x4"]);
        round_trip::<Scales>(&["1", "0.5,1", "0.75..1.5"]);
        round_trip::<Loss>(&["ce", "wce+sel", "fl", "owfl+0.5*sel"]);
        round_trip::<Fall>(&["poly:0.9", "step:10:0.5", "constant"]);
    }

    #[test]
    fn wrong_values_say_how_to_write_them() {
        for (message, part) in [
            ("360".parse::<Size>().unwrap_err(), "360x480"),
            ("0x9".parse::<Size>().unwrap_err(), "\"0x9\""),
            ("2..1".parse::<Scales>().unwrap_err(), "rising"),
            ("a,b".parse::<Scales>().unwrap_err(), "0.75..1.5"),
            ("owfl+se".parse::<Loss>().unwrap_err(), "owfl+sel"),
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}

//! Schedules as text, for command lines and configuration files: `constant`, `poly:0.9`, `step:10:0.5`,
//! `multistep:30,60:0.1`, `cosine:0.01`; the numbers after `poly` and `cosine` may be left out.

use std::{fmt, str::FromStr};

use super::Curve;
use crate::{Error, Result};

impl FromStr for Curve {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let error = || {
            let why =
                "wants constant, poly[:power], step:every:factor, multistep:at,at,…:factor or cosine[:floor]";
            Error::config(format!("schedule {text:?}"), why)
        };
        let number =
            |s: &str| s.trim().parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0).ok_or_else(error);
        let count = |s: &str| s.trim().parse::<u64>().ok().filter(|v| *v > 0).ok_or_else(error);
        let parts: Vec<&str> = text.split(':').collect();
        match (parts[0].trim().to_ascii_lowercase().as_str(), &parts[1..]) {
            ("constant", []) => Ok(Curve::Constant),
            ("poly", []) => Ok(Curve::Poly { power: 0.9 }),
            ("poly", [power]) => Ok(Curve::Poly { power: number(power)? }),
            ("step", [every, factor]) => Ok(Curve::Step { every: count(every)?, factor: number(factor)? }),
            ("multistep", [at, factor]) => {
                let at = at.split(',').map(count).collect::<Result<_>>()?;
                Ok(Curve::MultiStep { at, factor: number(factor)? })
            }
            ("cosine", []) => Ok(Curve::Cosine { floor: 0.0 }),
            ("cosine", [floor]) => Ok(Curve::Cosine { floor: number(floor)? }),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Curve::Constant => f.write_str("constant"),
            Curve::Poly { power } => write!(f, "poly:{power}"),
            Curve::Step { every, factor } => write!(f, "step:{every}:{factor}"),
            Curve::MultiStep { at, factor } => {
                let at: Vec<_> = at.iter().map(u64::to_string).collect();
                write!(f, "multistep:{}:{factor}", at.join(","))
            }
            Curve::Cosine { floor } => write!(f, "cosine:{floor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["constant", "poly:0.9", "step:10:0.5", "multistep:30,60:0.1", "cosine:0.01"] {
            assert_eq!(text.parse::<Curve>().unwrap().to_string(), text);
        }
        assert_eq!("poly".parse::<Curve>().unwrap(), Curve::Poly { power: 0.9 });
        for bad in ["", "polly", "poly:x", "poly:-1", "step:0:0.5", "step:10", "multistep::0.1", "cosine:nan"]
        {
            assert!(bad.parse::<Curve>().unwrap_err().to_string().contains("wants constant"), "{bad}");
        }
    }
}

//! The initialisation rules.

use tensor::{DType, Tensor, ops::Distribution, rng::Key};

use crate::{Error, Result};

/// Which connections of a weight `[out, in, …]` are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fan {
    /// `dims[1]` × the kernel's area: keeps the variance of activations.
    In,
    /// `dims[0]` × the kernel's area: keeps the variance of gradients.
    Out,
}

/// How first values are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All the same.
    Constant(f64),
    /// Uniform in `[low, high)`.
    Uniform {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Normal with mean 0 and std `gain/√fan` (He et al. 2015).
    KaimingNormal {
        /// The connections counted.
        fan: Fan,
        /// √2 for ReLU, 1 for linear.
        gain: f64,
    },
    /// Uniform with mean 0 and std `gain/√fan`.
    KaimingUniform {
        /// The connections counted.
        fan: Fan,
        /// √2 for ReLU, 1 for linear.
        gain: f64,
    },
    /// Normal with mean 0 and std `gain·√(2/(in + out))` (Glorot & Bengio 2010).
    XavierNormal {
        /// 1 for linear and sigmoid, 5/3 for tanh, √2 for ReLU.
        gain: f64,
    },
    /// Uniform with mean 0 and that std.
    XavierUniform {
        /// As for [`Init::XavierNormal`].
        gain: f64,
    },
}

impl Init {
    /// All zeros.
    pub const ZEROS: Self = Self::Constant(0.0);
    /// All ones.
    pub const ONES: Self = Self::Constant(1.0);
    /// He normal by fan-in for ReLU: PyTorch's `kaiming_normal_`.
    pub const HE_NORMAL: Self = Self::KaimingNormal { fan: Fan::In, gain: std::f64::consts::SQRT_2 };
    /// He uniform by fan-in for ReLU: PyTorch's `kaiming_uniform_`.
    pub const HE_UNIFORM: Self = Self::KaimingUniform { fan: Fan::In, gain: std::f64::consts::SQRT_2 };
    /// Uniform within ±1/√fan-in: what PyTorch's layers do by default (`kaiming_uniform_` with a = √5).
    pub const FAN_IN_UNIFORM: Self = Self::KaimingUniform { fan: Fan::In, gain: 0.577_350_269_189_625_8 };
    /// Xavier normal, gain 1.
    pub const XAVIER_NORMAL: Self = Self::XavierNormal { gain: 1.0 };
    /// Xavier uniform, gain 1.
    pub const XAVIER_UNIFORM: Self = Self::XavierUniform { gain: 1.0 };

    /// Uniform within ±`bound`.
    pub fn within(bound: f64) -> Self {
        Self::Uniform { low: -bound, high: bound }
    }

    /// A tensor drawn by this rule.
    ///
    /// # Errors
    /// Where `dtype` is no float, or a rule that counts connections meets fewer than two axes.
    pub fn sample(self, dims: &[usize], dtype: DType, key: Key) -> Result<Tensor> {
        let normal = |std| Distribution::Normal { mean: 0.0, std };
        let uniform = |std: f64| Distribution::Uniform { low: -std * 3f64.sqrt(), high: std * 3f64.sqrt() };
        let distribution = match self {
            Init::Constant(value) => return Ok(Tensor::full(value, dims, dtype)?),
            Init::Uniform { low, high } => Distribution::Uniform { low, high },
            Init::Normal { mean, std } => Distribution::Normal { mean, std },
            Init::KaimingNormal { fan, gain } => normal(gain / count(dims, fan)?.sqrt()),
            Init::KaimingUniform { fan, gain } => uniform(gain / count(dims, fan)?.sqrt()),
            Init::XavierNormal { gain } => normal(gain * xavier(dims)?),
            Init::XavierUniform { gain } => uniform(gain * xavier(dims)?),
        };
        Ok(Tensor::random(distribution, dims, dtype, key)?)
    }
}

/// Number of connections, at least 1.
fn count(dims: &[usize], fan: Fan) -> Result<f64> {
    let [out, into, kernel @ ..] = dims else {
        let why = format!("fans are defined for weights [out, in, …], not for dims {dims:?}");
        return Err(Error::config("init", why));
    };
    let maps = match fan {
        Fan::In => into,
        Fan::Out => out,
    };
    Ok((maps * kernel.iter().product::<usize>()).max(1) as f64)
}

fn xavier(dims: &[usize]) -> Result<f64> {
    Ok((2.0 / (count(dims, Fan::In)? + count(dims, Fan::Out)?)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(init: Init, dims: &[usize]) -> (f64, f64, f64) {
        let v = init.sample(dims, DType::F32, Key::new(3, 1)).unwrap().to_f64_vec().unwrap();
        let n = v.len() as f64;
        let mean = v.iter().sum::<f64>() / n;
        let std = (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        (mean, std, v.iter().fold(0.0, |m, x| m.max(x.abs())))
    }

    #[test]
    fn standard_deviations() {
        let dims = [64, 32, 3, 3];
        let (fan_in, fan_out) = (288.0_f64, 576.0_f64);
        for (init, want) in [
            (Init::HE_NORMAL, (2.0 / fan_in).sqrt()),
            (Init::HE_UNIFORM, (2.0 / fan_in).sqrt()),
            (Init::KaimingNormal { fan: Fan::Out, gain: 1.0 }, fan_out.powf(-0.5)),
            (Init::XAVIER_NORMAL, (2.0 / (fan_in + fan_out)).sqrt()),
            (Init::XAVIER_UNIFORM, (2.0 / (fan_in + fan_out)).sqrt()),
            (Init::Normal { mean: 0.0, std: 0.3 }, 0.3),
        ] {
            let (mean, std, _) = moments(init, &dims);
            assert!(mean.abs() < 0.03 * want && (std / want - 1.0).abs() < 0.03, "{init:?}: {mean} ± {std}");
        }
        let (_, _, largest) = moments(Init::FAN_IN_UNIFORM, &dims);
        let bound = fan_in.powf(-0.5);
        assert!(largest <= bound * 1.000_001 && largest > 0.98 * bound);
    }

    #[test]
    fn fans_want_a_weight() {
        let error = Init::HE_NORMAL.sample(&[3], DType::F32, Key::default()).unwrap_err();
        assert!(error.to_string().contains("[3]"), "{error}");
    }
}

//! Where a command computes: `--device` and `--precision`.

use std::{fmt, sync::Arc};

use clap::Args;
use cuda_backend::CudaBackend;
use nn::Policy;
use serde::{Deserialize, Serialize};
use tensor::{DType, Device};

use crate::{Error, Result};

/// In which type products are computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 32-bit floats whose factors are rounded to 10 bits of fraction, on a GPU
    Tf32,
    /// IEEE halves, on a GPU; the CPU trains in them, slowly
    F16,
    /// bfloat16; sums are 32-bit floats.
    Bf16,
}

impl Precision {
    /// What passes that are recorded or run operation by operation compute in.
    pub fn policy(self) -> Policy {
        match self {
            Precision::F32 | Precision::Tf32 => Policy::Full,
            Precision::F16 => Policy::F16,
            Precision::Bf16 => Policy::Bf16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::F16 => "f16",
            Precision::Bf16 => "bf16",
        })
    }
}

/// What a device is for people: the processor's name, where the system tells, or that of the GPU.
///
/// # Errors
/// Where the device fails.
pub(crate) fn described(device: &Device) -> Result<String> {
    Ok(if gpu(device)?.is_some() { device.name().into() } else { processor() })
}

/// The name of this machine's processor; of its kind, where the system does not tell more.
pub(crate) fn processor() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or(std::env::consts::ARCH, |(_, name)| name.trim()).into()
}

/// Options of commands that run a model.
#[derive(Debug, Clone, Args)]
pub struct DeviceArgs {
    /// Where to compute: cpu, cuda, or cuda:N for the N-th GPU
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    device: String,
    /// In which type products are computed
    #[arg(long, value_enum, default_value = "f32")]
    precision: Precision,
}

impl DeviceArgs {
    /// Opens the device.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(&self) -> Result<Device> {
        open(&self.device, self.precision)
    }

    /// Opens the device for running operation by operation.
    ///
    /// # Errors
    /// As [`open_for_training`].
    pub fn open_for_training(&self) -> Result<Device> {
        open_for_training(&self.device, self.precision)
    }

    /// What plans compute in.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}

/// Opens a device by name for running models: plans compute in `precision`.
///
/// # Errors
/// No device of that name; no driver, library or GPU, with what to do; a precision that the CPU does not have.
pub fn open(name: &str, precision: Precision) -> Result<Device> {
    let Some(ordinal) = ordinal(name)? else {
        if matches!(precision, Precision::Tf32 | Precision::F16) {
            return Err(Error::usage(
                "the CPU computes in f32 or bf16; tf32 and f16 want a GPU (--device cuda)",
            ));
        }
        return Ok(tensor::cpu::device());
    };
    let opened = cuda_backend::device(ordinal).and_then(|gpu| gpu.open_libraries().map(|()| gpu));
    let gpu = opened.map_err(|e| {
        let hint = "`dsnet doctor` says what this machine has; --device cpu works everywhere";
        Error::message(format!("--device {name} can not be used: {e}\n  {hint}"))
    })?;
    gpu.set_tf32(precision == Precision::Tf32);
    let plans = match precision {
        Precision::F32 | Precision::Tf32 => DType::F32,
        Precision::F16 => DType::F16,
        Precision::Bf16 => DType::BF16,
    };
    gpu.set_plan_dtype(plans).map_err(|e| Error::message(e.to_string()))?;
    Ok(gpu)
}

/// The device of a rank in training: the GPU of this number, or the CPU.
///
/// # Errors
/// As [`open`]; a precision in which training is not done.
pub(crate) fn of_rank(gpu: Option<usize>, precision: Precision) -> Result<Device> {
    match gpu {
        Some(ordinal) => open_for_training(&format!("cuda:{ordinal}"), precision),
        None => open_for_training("cpu", precision),
    }
}

/// Opens a device by name for training.
///
/// # Errors
/// As [`open`]; a precision in which training is not done.
pub fn open_for_training(name: &str, precision: Precision) -> Result<Device> {
    match (ordinal(name)?, precision) {
        (None, Precision::Tf32) => {
            Err(Error::usage("the CPU trains in f32, bf16 or f16; tf32 wants a GPU (--device cuda)"))
        }
        (None, Precision::F32 | Precision::Bf16 | Precision::F16) => Ok(tensor::cpu::device()),
        (Some(_), _) => open(name, precision),
    }
}

/// The GPU behind a device, where it is one.
///
/// # Errors
/// Where it can not be opened any more.
pub(crate) fn gpu(device: &Device) -> Result<Option<Arc<CudaBackend>>> {
    let ordinal = ordinal(device.name())?;
    ordinal.map(|n| cuda_backend::device(n).map_err(|e| Error::message(e.to_string()))).transpose()
}

/// The number of the GPU that a name means; none for the CPU.
fn ordinal(name: &str) -> Result<Option<usize>> {
    match ordinals(name)?[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(Error::usage(format!("--device {name}: several GPUs are for training; name one"))),
    }
}

/// The numbers of the GPUs that a name means; none for the CPU.
pub(crate) fn ordinals(name: &str) -> Result<Vec<usize>> {
    let wrong = || {
        Error::usage(format!("there is no device \"{name}\": write cpu, cuda, or cuda:1 for the second GPU"))
    };
    match name.split_once(':') {
        None if name == "cpu" => Ok(vec![]),
        None if name == "cuda" => Ok(vec![0]),
        Some(("cuda", list)) => {
            let all =
                list.split(',').map(|n| n.parse().map_err(|_| wrong())).collect::<Result<Vec<usize>>>()?;
            match (1..all.len()).find(|&i| all[..i].contains(&all[i])) {
                Some(i) => Err(Error::usage(format!("--device {name} names GPU {} twice", all[i]))),
                None => Ok(all),
            }
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(ordinal("cpu").unwrap(), None);
        assert_eq!(ordinal("cuda").unwrap(), Some(0));
        assert_eq!(ordinal("cuda:3").unwrap(), Some(3));
        for wrong in ["gpu", "cuda:", "cuda:x", "cpu:1", "cuda:-1", ""] {
            assert!(ordinal(wrong).unwrap_err().to_string().contains("there is no device"), "{wrong}");
        }
        assert_eq!(ordinals("cuda:2,0").unwrap(), [2, 0]);
        assert!(ordinals("cuda:1,0,1").unwrap_err().to_string().contains("names GPU 1 twice"));
        assert!(ordinal("cuda:0,1").unwrap_err().to_string().contains("several GPUs are for training"));
        assert_eq!(Precision::Bf16.to_string(), "bf16");
        assert!(open("cpu", Precision::F16).unwrap_err().to_string().contains("want a GPU"));
        assert!(open_for_training("cpu", Precision::F16).is_ok());
        let tf32 = open_for_training("cpu", Precision::Tf32).unwrap_err().to_string();
        assert!(tf32.contains("tf32 wants a GPU"), "{tf32}");
    }
}

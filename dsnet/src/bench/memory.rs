//! How much memory the program needed.

use serde::{Deserialize, Serialize};
use tensor::Device;

use crate::{Result, device::gpu};

/// Highest use of memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// By tensors, since the measurement began.
    pub peak_tensor_bytes: usize,
    /// By the process since it started (`VmHWM`), where the system tells.
    pub peak_process_bytes: Option<usize>,
}

/// Lets the highest use by tensors on `device` be found anew.
///
/// # Errors
/// Where the device fails.
pub fn reset_memory(device: &Device) -> Result<()> {
    tensor::cpu::reset_peak_memory();
    if let Some(gpu) = gpu(device)? {
        gpu.reset_peak_memory();
    }
    Ok(())
}

/// The highest use so far, by tensors on `device`.
///
/// # Errors
/// Where the device fails.
pub fn memory(device: &Device) -> Result<Memory> {
    let status = std::fs::read_to_string("/proc/self/status").ok();
    let peak_process_bytes = status.as_deref().and_then(|text| kilobytes(text, "VmHWM:")).map(|kb| kb * 1024);
    let peak_tensor_bytes = match gpu(device)? {
        Some(gpu) => gpu.memory().peak,
        None => tensor::cpu::memory_stats().peak,
    };
    Ok(Memory { peak_tensor_bytes, peak_process_bytes })
}

/// The number in the line that starts with `key`.
pub(crate) fn kilobytes(text: &str, key: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_read() {
        assert_eq!(kilobytes("VmPeak:\t 9 kB\nVmHWM:\t  1234 kB\n", "VmHWM:"), Some(1234));
        assert_eq!(kilobytes("VmPeak: 9 kB", "VmHWM:"), None);
    }
}

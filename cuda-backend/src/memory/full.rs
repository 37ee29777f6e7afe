//! Out of memory, said with who holds what.

use std::fmt;

/// The state of a device's memory when a request could not be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// What the memory was for.
    pub label: String,
    /// Bytes asked for.
    pub asked: usize,
    /// Bytes held by this process's tensors.
    pub held: usize,
    /// Bytes in free pieces that are too small.
    pub free: usize,
    /// The largest of those.
    pub largest: usize,
    /// Memory that the driver still has, and the device's whole memory, where it tells.
    pub device: Option<(u64, u64)>,
    /// Label, pieces, bytes; the largest first.
    pub holders: Vec<(String, usize, usize)>,
}

/// How many holders are named.
const NAMED: usize = 8;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "out of memory: {} for {} could not be had.", bytes(self.asked), self.label)?;
        if let Some((free, total)) = self.device {
            write!(f, " The device has {}, {} of it free.", bytes(total as usize), bytes(free as usize))?;
        }
        write!(f, " Tensors hold {}", bytes(self.held))?;
        if self.free > 0 {
            write!(f, " (and {} lie free in pieces of at most {})", bytes(self.free), bytes(self.largest))?;
        }
        if !self.holders.is_empty() {
            write!(f, ":")?;
        }
        for (label, count, size) in self.holders.iter().take(NAMED) {
            let times = if *count == 1 { String::new() } else { format!(" in {count} pieces") };
            write!(f, "\n  {:>10}  {label}{times}", bytes(*size))?;
        }
        if let Some(rest) = self.holders.get(NAMED..).filter(|rest| !rest.is_empty()) {
            let size: usize = rest.iter().map(|h| h.2).sum();
            write!(f, "\n  {:>10}  {} others", bytes(size), rest.len())?;
        }
        write!(
            f,
            "\nA smaller batch or crop needs less; another process may hold the rest (`nvidia-smi` shows it)."
        )
    }
}

/// A size for people.
pub(crate) fn bytes(n: usize) -> String {
    let n = n as f64;
    match n {
        n if n >= (1_u64 << 30) as f64 => format!("{:.2} GiB", n / (1_u64 << 30) as f64),
        n if n >= (1 << 20) as f64 => format!("{:.1} MiB", n / (1 << 20) as f64),
        n if n >= 1024.0 => format!("{:.1} KiB", n / 1024.0),
        n => format!("{n} B"),
    }
}

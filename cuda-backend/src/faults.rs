//! Values that a kernel can not take (an index, a label) are found while it runs, when the host has long gone on: the kernel
//! notes the first one in a word of device memory, and the next call that waits reads it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tensor::{Dims, Format};

use crate::error::{Error, Result};
use crate::memory::{Memory, Pool};
use crate::runtime::Stream;

/// How many launches are remembered.
const REMEMBERED: usize = 1 << 12;
const NONE: u64 = u64::MAX;
/// A report is `ticket << PLACE | element`.
const PLACE: u32 = 40;

/// What a launch checks, for the message about a value that fails.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub op: &'static str,
    /// What the values are: `label`, `index`.
    pub subject: &'static str,
    /// What one does that fails: `is outside axis 1 of size 3`.
    pub rule: String,
    /// The tensor of the values: kernels count its elements in the order of this format.
    pub dims: Dims,
    pub format: Format,
    /// What the kernel counts behind these elements, if anything: `γ of class`, and what that should be.
    pub beyond: Option<(&'static str, &'static str)>,
}

impl Check {
    fn describe(&self, element: usize) -> String {
        let count: usize = self.dims.iter().product();
        if let (Some((subject, rule)), Some(i)) = (self.beyond, element.checked_sub(count)) {
            return format!("{subject} {i} {rule}");
        }
        let channels_last = self.format == Format::ChannelsLast && self.dims.len() == 4;
        let order: Vec<usize> = if channels_last { vec![0, 2, 3, 1] } else { (0..self.dims.len()).collect() };
        let (mut place, mut rest) = (vec![0; self.dims.len()], element);
        for &axis in order.iter().rev() {
            (place[axis], rest) = (rest % self.dims[axis], rest / self.dims[axis]);
        }
        format!("the {} at {place:?} {}", self.subject, self.rule)
    }
}

/// The word, and the launches that may write it.
#[derive(Debug)]
pub(crate) struct Faults {
    word: Memory,
    tickets: Mutex<Tickets>,
    /// Whether a launch that may report happened since the word was read.
    pending: AtomicBool,
}

#[derive(Debug, Default)]
struct Tickets {
    next: u32,
    checks: Vec<Check>,
    /// Of recorded launches, which report under the same number at each replay.
    kept: Vec<Option<Check>>,
}

/// Set in the tickets of recorded launches; the others stay below.
const KEPT: u32 = 1 << (64 - PLACE - 1);

impl Faults {
    pub fn new(pool: &std::sync::Arc<Pool>) -> Result<Self> {
        let word = pool.take(8, "the word for faults")?;
        pool.stream().upload(&NONE.to_le_bytes(), &word)?;
        Ok(Self { word, tickets: Mutex::default(), pending: AtomicBool::new(false) })
    }

    /// Address of the word, and the number by which a launch reports what `check` describes.
    pub fn ticket(&self, check: Check) -> (u64, u32) {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        // 24 bits go into a report; of launches with the same number the later one is named.
        let ticket = tickets.next % KEPT;
        tickets.next = tickets.next.wrapping_add(1);
        let at = ticket as usize % REMEMBERED;
        if at < tickets.checks.len() {
            tickets.checks[at] = check;
        } else {
            tickets.checks.push(check);
        }
        self.pending.store(true, Ordering::Release);
        (self.word.address(), ticket)
    }

    /// As [`Faults::ticket`] for a launch that is recorded: the number is its own until [`Faults::release`].
    pub fn keep(&self, check: Check) -> (u64, u32) {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let free = tickets.kept.iter().position(Option::is_none);
        let at = free.unwrap_or_else(|| {
            tickets.kept.push(None);
            tickets.kept.len() - 1
        });
        tickets.kept[at] = Some(check);
        (self.word.address(), KEPT | at as u32)
    }

    /// Lets the tickets of a recording be given to others.
    pub fn release(&self, kept: &[u32]) {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        for ticket in kept {
            if let Some(check) = tickets.kept.get_mut((ticket & !KEPT) as usize) {
                *check = None;
            }
        }
    }

    /// Lets recorded work report again: a replay takes no ticket.
    pub fn expect(&self) {
        self.pending.store(true, Ordering::Release);
    }

    /// Waits for `stream`, and fails if a launch reported a value.
    pub fn check(&self, stream: &Stream) -> Result<()> {
        if !self.pending.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let mut bytes = [0; 8];
        stream.download(&self.word, 0, &mut bytes)?;
        let report = u64::from_le_bytes(bytes);
        if report == NONE {
            return Ok(());
        }
        stream.upload(&NONE.to_le_bytes(), &self.word)?;
        let (ticket, element) = ((report >> PLACE) as u32, report & ((1 << PLACE) - 1));
        let tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let check = match ticket & KEPT {
            0 => tickets.checks.get(ticket as usize % REMEMBERED),
            _ => tickets.kept.get((ticket & !KEPT) as usize).and_then(Option::as_ref),
        };
        let Some(check) = check else {
            return Err(Error::Value { op: "kernel", what: format!("element {element} is out of range") });
        };
        Err(Error::Value { op: check.op, what: check.describe(element as usize) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_the_place() {
        let check = Check {
            op: "pool_gather",
            subject: "index",
            rule: "lies outside".to_owned(),
            dims: [2, 3, 4, 5][..].into(),
            format: Format::ChannelsLast,
            beyond: Some(("γ of class", "must be 0 or at least 1")),
        };
        // n = 1, h = 2, w = 3, c = 2.
        let element = ((4 + 2) * 5 + 3) * 3 + 2;
        assert_eq!(check.describe(element), "the index at [1, 2, 2, 3] lies outside");
        assert_eq!(check.describe(120 + 4), "γ of class 4 must be 0 or at least 1");
        let rows = Check { format: Format::Contiguous, ..check };
        assert_eq!(rows.describe(61), "the index at [1, 0, 0, 1] lies outside");
    }
}

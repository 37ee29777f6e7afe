//! Values that a kernel can not take (an index, a label) are found while it runs, when the host has long gone on: the kernel
//! notes the first one in a word of device memory, and the next call that waits reads it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::memory::{Memory, Pool};
use crate::runtime::Stream;

/// How many launches are remembered by name.
const REMEMBERED: usize = 1 << 12;
const NONE: u64 = u64::MAX;
/// A report is `ticket << PLACE | element`.
const PLACE: u32 = 40;

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
    ops: Vec<&'static str>,
}

impl Faults {
    pub fn new(pool: &std::sync::Arc<Pool>) -> Result<Self> {
        let word = pool.take(8, "the word for faults")?;
        pool.stream().upload(&NONE.to_le_bytes(), &word)?;
        Ok(Self { word, tickets: Mutex::default(), pending: AtomicBool::new(false) })
    }

    /// Address of the word, and the number by which a launch of `op` reports.
    pub fn ticket(&self, op: &'static str) -> (u64, u32) {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        // 24 bits go into a report; of launches with the same number the later one is named.
        let ticket = tickets.next % (1 << (64 - PLACE - 1));
        tickets.next = tickets.next.wrapping_add(1);
        let at = ticket as usize % REMEMBERED;
        if at < tickets.ops.len() {
            tickets.ops[at] = op;
        } else {
            tickets.ops.push(op);
        }
        self.pending.store(true, Ordering::Release);
        (self.word.address(), ticket)
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
        let (ticket, element) = ((report >> PLACE) as usize, report & ((1 << PLACE) - 1));
        let tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let op = tickets.ops.get(ticket % REMEMBERED).copied().unwrap_or("kernel");
        Err(Error::Value { op, what: format!("the value at element {element} is out of range") })
    }
}

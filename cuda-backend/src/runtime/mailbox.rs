//! Small values on their way to the device, copied aside into page-locked memory, so that their source may go at once.
//!
//! The driver promises nothing of the kind for pageable memory: its copies *might* be done with the source when the call returns,
//! and where a device reads the host's memory by itself they are not.

use super::{Event, Pinned, Stream};
use crate::error::Result;

/// Bytes of a half: the largest value that goes this way.
pub(super) const HALF: usize = 64 << 10;

/// Page-locked memory of two halves, filled in turn. A half is written again once the copies from it are done.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    memory: Option<Pinned>,
    /// The half that is filled, and how far.
    half: usize,
    used: usize,
    /// After the copies from each half.
    marks: [Option<Event>; 2],
}

impl Mailbox {
    /// Copies up to [`HALF`] bytes aside. Returns the memory and where in it they lie; `stream` is given the copy from there next.
    pub fn put(&mut self, stream: &Stream, bytes: &[u8]) -> Result<(&Pinned, usize)> {
        assert!(bytes.len() <= HALF, "{} bytes are too many", bytes.len());
        if self.used + bytes.len() > HALF {
            let next = 1 - self.half;
            self.marks[self.half] = Some(Event::record(stream)?);
            if let Some(mark) = &self.marks[next] {
                mark.synchronize()?;
            }
            self.marks[next] = None;
            (self.half, self.used) = (next, 0);
        }
        let memory = match &mut self.memory {
            Some(memory) => memory,
            none => none.insert(Pinned::new(stream.context(), 2 * HALF)?),
        };
        let at = self.half * HALF + self.used;
        memory[at..][..bytes.len()].copy_from_slice(bytes);
        // The next one starts at a multiple of 16 bytes.
        self.used += bytes.len().next_multiple_of(16);
        Ok((memory, at))
    }

    /// Whether there may be copies under way from memory that goes with this.
    pub fn is_used(&self) -> bool {
        self.memory.is_some()
    }
}

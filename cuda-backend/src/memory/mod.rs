//! Device memory: a caching pool over plain driver allocations, every piece with a label.
//!
//! The driver's own allocation waits for the device, so memory is asked for in large slabs and handed out from them. A
//! piece given back is handed out again at once, while the device may still work with it: that is safe because a pool serves
//! one stream, whose work is done in order. Whoever uses a piece on another stream orders the streams by events and keeps
//! the piece until then.
//!
//! | file | holds |
//! | --- | --- |
//! | `blocks` | which piece of which slab is free: pure bookkeeping, tested without a driver |
//! | `pool` | slabs from the driver, pieces as owned values |
//! | `full` | the error when memory runs out: who holds what |

mod blocks;
mod full;
mod pool;

pub use full::Full;
pub(crate) use pool::KeptSlabs;
pub use pool::{Memory, Pool, PoolStats};

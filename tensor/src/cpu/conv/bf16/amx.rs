//! The inner loop by AMX: up to 2 × 2 tiles of sums, each of 16 pixels × 16 output channels.
//!
//! A tile register holds at most 16 rows of 64 bytes. A tile of the input is 16 pixels × one chunk of at most 32 channels,
//! read in place with the distance between pixels as the distance between rows; a tile of weights is the chunk's pairs of
//! channels × 16 output channels. Where channels lie in several runs, or a pixel is outside the image, the pixels are copied
//! together first: a tile always reads 16 whole rows.

use half::bf16;
use smallvec::SmallVec;

use super::finish::Pixels;
use super::{Inner, Source, Tile, Weights};
use crate::cpu::simd::table::Part;

/// Rows of a tile.
pub(super) const ROWS: usize = 16;

/// The instructions, in hardware or emulated. Tiles are numbered 0 to 7.
pub(super) trait Tiles {
    /// Before the first use on this thread.
    fn new() -> Self;
    /// Sets the tiles' sizes and clears them.
    fn configure(&mut self, config: &Config);
    /// Clears a tile.
    fn zero<const TILE: u8>(&mut self);
    /// Reads a tile's rows.
    ///
    /// # Safety
    /// So many rows of so many bytes, as configured, can be read, `stride` bytes apart.
    unsafe fn load<const TILE: u8>(&mut self, from: *const u8, stride: usize);
    /// Writes a tile's rows.
    ///
    /// # Safety
    /// As for [`Tiles::load`].
    unsafe fn store<const TILE: u8>(&mut self, to: *mut u8, stride: usize);
    /// Adds to tile `C` the products of `A` and `B`.
    fn dot<const C: u8, const A: u8, const B: u8>(&mut self);
    /// After the last use on this thread.
    fn release(&mut self);
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Config {
    pub palette: u8,
    pub start_row: u8,
    reserved: [u8; 14],
    /// Bytes of each row.
    pub bytes: [u16; 16],
    /// Rows.
    pub rows: [u8; 16],
}

impl Config {
    /// Sums in tiles 0 to 3, two tiles of pixels, two tiles of weights with `chunk` rows of pairs.
    pub fn new(chunk: usize) -> Self {
        let mut config = Self { palette: 1, start_row: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
        config.bytes[..8].fill(64);
        config.bytes[4..6].fill(4 * chunk as u16);
        config.rows[..8].fill(ROWS as u8);
        config.rows[6..8].fill(chunk as u8);
        config
    }
}

/// The inner loop.
pub(super) struct Amx<T>(std::marker::PhantomData<fn() -> T>);

impl<T> Amx<T> {
    pub fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

/// A thread's tiles and the chunk that they are configured for.
pub(super) struct Task<T: Tiles> {
    tiles: T,
    chunk: usize,
}

impl<T: Tiles> Drop for Task<T> {
    fn drop(&mut self) {
        self.tiles.release();
    }
}

impl<T: Tiles> Inner for Amx<T> {
    type X = bf16;
    type Task = Task<T>;
    type Run = ();

    fn task(&self) -> Task<T> {
        Task { tiles: T::new(), chunk: 0 }
    }

    fn parts(&self, _: usize, n: usize) -> SmallVec<[Part<()>; 12]> {
        let part = |start: usize| Part { start, len: (n - start).min(2 * ROWS), run: () };
        (0..n).step_by(2 * ROWS).map(part).collect()
    }

    fn in_place(&self, weights: &Weights, sources: &[Source<'_, bf16>]) -> bool {
        // Chunks of a pixel are chunks of its weights.
        matches!(sources, [only] if only.len == weights.copied())
    }

    fn is_whole(&self, len: usize) -> bool {
        len.is_multiple_of(ROWS)
    }

    fn copy(from: &[bf16], to: &mut [bf16]) {
        to.copy_from_slice(from);
    }

    unsafe fn keep(&self, pixels: &Pixels<'_>, to: *mut bf16, step: usize) {
        // SAFETY: as promised by the caller.
        unsafe { self.store(pixels, to, step) }
    }

    unsafe fn store(&self, pixels: &Pixels<'_>, to: *mut bf16, step: usize) {
        // SAFETY: as promised by the caller; the processor was asked.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if crate::cpu::simd::pairs::is_available() {
                return super::paired::round(pixels, to, step);
            }
            super::finish::store::<bf16>(pixels, to, step);
        }
    }

    unsafe fn tile(&self, task: &mut Task<T>, (): (), tile: &Tile<'_, bf16>) {
        if task.chunk != tile.chunk {
            task.tiles.configure(&Config::new(tile.chunk));
            task.chunk = tile.chunk;
        }
        let (tall, wide) = (tile.len > ROWS, tile.nv == 2);
        let t = &mut task.tiles;
        t.zero::<0>();
        t.zero::<1>();
        t.zero::<2>();
        t.zero::<3>();
        let line = tile.nv * 16;
        for tap in tile.taps {
            let x = tap.x.wrapping_offset(tile.shift * tap.step);
            let stride = 2 * tap.step as usize;
            for chunk in 0..tap.len / (2 * tile.chunk) {
                // SAFETY: 16 (or 32) pixels can be read, as promised by the caller; the weights' rows are there for each tap.
                unsafe {
                    let x = x.add(2 * tile.chunk * chunk);
                    let w = tile.w.add((tap.w + tile.chunk * chunk) * line);
                    t.load::<4>(x.cast(), stride);
                    t.load::<6>(w.cast(), 4 * line);
                    t.dot::<0, 4, 6>();
                    if wide {
                        t.load::<7>(w.add(16).cast(), 4 * line);
                        t.dot::<1, 4, 7>();
                    }
                    if tall {
                        t.load::<5>(x.offset(ROWS as isize * tap.step).cast(), stride);
                        t.dot::<2, 5, 6>();
                        if wide {
                            t.dot::<3, 5, 7>();
                        }
                    }
                }
            }
        }
        let pitch = 4 * tile.pitch;
        // SAFETY: the sums have room for whole tiles.
        unsafe {
            t.store::<0>(tile.sums.cast(), pitch);
            if wide {
                t.store::<1>(tile.sums.add(16).cast(), pitch);
            }
            if tall {
                let below = tile.sums.add(ROWS * tile.pitch);
                t.store::<2>(below.cast(), pitch);
                if wide {
                    t.store::<3>(below.add(16).cast(), pitch);
                }
            }
        }
    }
}

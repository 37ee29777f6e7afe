//! AMX in Rust, as Intel's manual tells what each instruction does: the algorithm is tested on every machine, and the
//! hardware is compared with this once before it is used.

use half::bf16;

use super::amx::{Config, Tiles};

/// Eight tiles of 16 rows of 64 bytes.
pub(super) struct Emulated {
    config: Config,
    tiles: [[[u8; 64]; 16]; 8],
}

impl Emulated {
    fn size(&self, tile: u8) -> (usize, usize) {
        (self.config.rows[tile as usize].into(), self.config.bytes[tile as usize].into())
    }

    fn word(&self, tile: u8, row: usize, at: usize) -> [u8; 4] {
        let row = &self.tiles[tile as usize][row];
        [row[4 * at], row[4 * at + 1], row[4 * at + 2], row[4 * at + 3]]
    }

    fn pair(&self, tile: u8, row: usize, at: usize) -> [f32; 2] {
        let [a, b, c, d] = self.word(tile, row, at);
        [bf16::from_le_bytes([a, b]).to_f32(), bf16::from_le_bytes([c, d]).to_f32()]
    }
}

impl Tiles for Emulated {
    fn new() -> Self {
        Self { config: Config::new(16), tiles: [[[0; 64]; 16]; 8] }
    }

    fn configure(&mut self, config: &Config) {
        assert!(config.palette == 1 && config.start_row == 0);
        assert!(config.rows.iter().all(|&r| r <= 16) && config.bytes.iter().all(|&b| b <= 64));
        *self = Self { config: *config, ..Self::new() };
    }

    fn zero<const TILE: u8>(&mut self) {
        self.tiles[TILE as usize] = [[0; 64]; 16];
    }

    unsafe fn load<const TILE: u8>(&mut self, from: *const u8, stride: usize) {
        let (rows, bytes) = self.size(TILE);
        self.zero::<TILE>();
        for row in 0..rows {
            // SAFETY: as promised by the caller.
            let line = unsafe { std::slice::from_raw_parts(from.add(row * stride), bytes) };
            self.tiles[TILE as usize][row][..bytes].copy_from_slice(line);
        }
    }

    unsafe fn store<const TILE: u8>(&mut self, to: *mut u8, stride: usize) {
        let (rows, bytes) = self.size(TILE);
        for row in 0..rows {
            // SAFETY: as promised by the caller.
            let line = unsafe { std::slice::from_raw_parts_mut(to.add(row * stride), bytes) };
            line.copy_from_slice(&self.tiles[TILE as usize][row][..bytes]);
        }
    }

    fn dot<const C: u8, const A: u8, const B: u8>(&mut self) {
        let ((rows, bytes), (_, depth), (pairs, width)) = (self.size(C), self.size(A), self.size(B));
        assert!(self.size(A).0 == rows && depth == 4 * pairs && width == bytes, "sizes of tiles");
        for m in 0..rows {
            // Even and odd channels are summed apart. Products of bf16 numbers are exact in f32.
            let mut sums = [[0.0f32; 2]; 16];
            for k in 0..pairs {
                let a = self.pair(A, m, k);
                for (n, sum) in sums.iter_mut().enumerate().take(bytes / 4) {
                    let b = self.pair(B, k, n);
                    sum[0] += a[0] * b[0];
                    sum[1] += a[1] * b[1];
                }
            }
            for (n, sum) in sums.iter().enumerate().take(bytes / 4) {
                let c = f32::from_le_bytes(self.word(C, m, n)) + (sum[0] + sum[1]);
                self.tiles[C as usize][m][4 * n..4 * n + 4].copy_from_slice(&c.to_le_bytes());
            }
        }
    }

    fn release(&mut self) {}
}

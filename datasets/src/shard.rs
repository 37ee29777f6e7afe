//! Which part of each batch a rank loads, where several ranks train together.

use std::ops::Range;

/// One of several ranks, each of which loads its own part of each batch. The parts follow each other, so that all ranks
/// together load the samples of one rank, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which rank, from 0.
    pub rank: usize,
    /// Number of ranks, at least 1.
    pub world: usize,
}

impl Default for Shard {
    /// One rank, which loads everything.
    fn default() -> Shard {
        Shard { rank: 0, world: 1 }
    }
}

impl Shard {
    /// This rank's part of `total` samples. Parts differ by at most one sample; the first ranks have the larger ones,
    /// and where there are fewer samples than ranks the last ones have none.
    pub fn part(&self, total: usize) -> Range<usize> {
        let cut = |rank: usize| rank * (total / self.world) + rank.min(total % self.world);
        cut(self.rank)..cut(self.rank + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_once_and_evenly() {
        for world in 1..6 {
            for total in 0..20 {
                let parts: Vec<_> = (0..world).map(|rank| Shard { rank, world }.part(total)).collect();
                let all: Vec<usize> = parts.iter().cloned().flatten().collect();
                assert_eq!(all, (0..total).collect::<Vec<_>>());
                let sizes = || parts.iter().map(Range::len);
                assert!(sizes().max().unwrap() - sizes().min().unwrap() <= 1);
                assert!(parts.is_sorted_by_key(|p| std::cmp::Reverse(p.len())));
            }
        }
    }
}

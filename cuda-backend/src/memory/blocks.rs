//! The bookkeeping of a pool: pieces of slabs, free or held, split on demand and joined with free neighbours when given back.

use std::collections::{BTreeMap, BTreeSet};

/// Every piece starts at, and is rounded up to, a multiple of this: what vector loads and the libraries ask for.
pub(super) const ALIGN: usize = 512;

/// A piece that is held or free.
#[derive(Debug, Clone)]
struct Block {
    len: usize,
    slab: u64,
    label: Option<String>,
}

/// All pieces of all slabs.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// By address; together they cover every slab without gaps.
    all: BTreeMap<u64, Block>,
    /// (size, address) of the free ones: the first that is large enough is the best fit.
    free: BTreeSet<(usize, u64)>,
}

impl Blocks {
    /// Size that a request takes.
    pub fn rounded(bytes: usize) -> usize {
        bytes.max(1).next_multiple_of(ALIGN)
    }

    /// A new slab, free as a whole.
    pub fn add_slab(&mut self, address: u64, len: usize) {
        self.all.insert(address, Block { len, slab: address, label: None });
        self.free.insert((len, address));
    }

    /// A piece of `len` bytes (already rounded), or the label back where no free one is large enough.
    pub fn take(&mut self, len: usize, label: String) -> Result<u64, String> {
        let Some(&(whole, address)) = self.free.range((len, 0)..).next() else { return Err(label) };
        let Some(block) = self.all.get_mut(&address) else { return Err(label) };
        self.free.remove(&(whole, address));
        block.label = Some(label);
        let slab = block.slab;
        if whole > len {
            block.len = len;
            let rest = address + len as u64;
            self.all.insert(rest, Block { len: whole - len, slab, label: None });
            self.free.insert((whole - len, rest));
        }
        Ok(address)
    }

    /// Gives a piece back.
    pub fn give(&mut self, address: u64) {
        let Some(mut block) = self.all.remove(&address) else { return };
        let mut start = address;
        if let Some((&before, left)) = self.all.range(..address).next_back()
            && left.label.is_none()
            && left.slab == block.slab
        {
            block.len += left.len;
            self.free.remove(&(left.len, before));
            self.all.remove(&before);
            start = before;
        }
        let end = start + block.len as u64;
        if let Some(right) = self.all.get(&end)
            && right.label.is_none()
            && right.slab == block.slab
        {
            self.free.remove(&(right.len, end));
            block.len += right.len;
            self.all.remove(&end);
        }
        block.label = None;
        self.free.insert((block.len, start));
        self.all.insert(start, block);
    }

    /// Slabs of which no piece is held, taken off the books: (address, size).
    pub fn take_free_slabs(&mut self) -> Vec<(u64, usize)> {
        // A slab's only piece starts where the slab does and ends where another slab's piece, or nothing, follows.
        let whole = |(&address, block): (&u64, &Block)| {
            let end = address + block.len as u64;
            let alone = self.all.get(&end).is_none_or(|next| next.slab != block.slab);
            (block.label.is_none() && block.slab == address && alone).then_some((address, block.len))
        };
        let slabs: Vec<(u64, usize)> = self.all.iter().filter_map(whole).collect();
        for &(address, len) in &slabs {
            self.all.remove(&address);
            self.free.remove(&(len, address));
        }
        slabs
    }

    /// Bytes that are held, and bytes that are free.
    pub fn bytes(&self) -> (usize, usize) {
        let free = self.free.iter().map(|(len, _)| len).sum();
        (self.all.values().map(|b| b.len).sum::<usize>() - free, free)
    }

    /// The largest free piece.
    pub fn largest_free(&self) -> usize {
        self.free.last().map_or(0, |(len, _)| *len)
    }

    /// Who holds how much: label, pieces, bytes; the largest first.
    pub fn holders(&self) -> Vec<(String, usize, usize)> {
        let mut sums: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for block in self.all.values() {
            if let Some(label) = &block.label {
                let sum = sums.entry(label).or_default();
                *sum = (sum.0 + 1, sum.1 + block.len);
            }
        }
        let mut list: Vec<_> = sums.into_iter().map(|(l, (n, bytes))| (l.to_owned(), n, bytes)).collect();
        list.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn split_join_and_best_fit() {
        let mut b = Blocks::default();
        b.add_slab(0x1000, 8192);
        b.add_slab(0x1000 + 8192, 4096); // adjacent by chance: never joined with the first
        let small = b.take(512, "small".into()).unwrap();
        assert_eq!(small, 0x1000 + 8192, "the smaller slab fits better");
        let a = b.take(2048, "a".into()).unwrap();
        assert_eq!(a, 0x1000 + 8192 + 512, "the rest of it fits better than the large one");
        let big = b.take(8192, "big".into()).unwrap();
        assert_eq!((big, b.take(2048, "none".into())), (0x1000, Err("none".into())));
        assert_eq!(b.bytes(), (512 + 2048 + 8192, 4096 - 512 - 2048));
        assert_eq!(b.holders()[0], ("big".to_owned(), 1, 8192));
        b.give(small);
        b.give(a);
        assert_eq!(b.largest_free(), 4096, "three pieces are one again");
        assert_eq!(b.take_free_slabs(), [(0x1000 + 8192, 4096)]);
        b.give(big);
        assert_eq!(b.take_free_slabs(), [(0x1000, 8192)]);
        assert_eq!(b.bytes(), (0, 0));
    }

    proptest! {
        /// Whatever is taken and given back in whatever order: pieces never overlap, and in the end slabs are whole.
        #[test]
        fn pieces_never_overlap(steps in prop::collection::vec((any::<bool>(), 1_usize..5000), 1..200)) {
            let mut b = Blocks::default();
            b.add_slab(1 << 20, 64 << 10);
            b.add_slab(4 << 20, 32 << 10);
            let mut held: Vec<(u64, usize)> = Vec::new();
            for (give, n) in steps {
                if give && !held.is_empty() {
                    b.give(held.swap_remove(n % held.len()).0);
                } else if let Ok(at) = b.take(Blocks::rounded(n), "x".into()) {
                    prop_assert_eq!(at % ALIGN as u64, 0);
                    for &(other, len) in &held {
                        prop_assert!(at + Blocks::rounded(n) as u64 <= other || other + len as u64 <= at);
                    }
                    held.push((at, Blocks::rounded(n)));
                }
                prop_assert_eq!(b.bytes().0, held.iter().map(|h| h.1).sum::<usize>());
                prop_assert_eq!(b.bytes().0 + b.bytes().1, 96 << 10);
            }
            held.drain(..).for_each(|(at, _)| b.give(at));
            prop_assert_eq!(b.take_free_slabs().len(), 2);
        }
    }
}

//! Max pooling, and the two gathers by its index. Indices come from outside, so they are checked first.

use rayon::prelude::*;
use smallvec::smallvec;

use super::*;
use crate::{
    Element, Format, Outputs,
    cpu::{
        self, channels_last,
        dispatch::vectorized,
        math::select,
        stored::{Stored, dispatch_stored},
    },
};
use num_traits::Float;

vectorized! {
    /// A row of maxima and their places from an image.
    fn max_row<S: Stored>(x: &[S], y: &mut [S], index: &mut [u8], map: &Map, oh: usize) {
        let (c, kw) = (map.channels, map.window.kernel[1]);
        let mut taps: Vec<(usize, u8)> = Vec::with_capacity(map.area());
        let mut shape = (0, 0);
        for (ow, (y, index)) in y.chunks_exact_mut(c).zip(index.chunks_exact_mut(c)).enumerate() {
            let columns = map.covered(1, ow);
            let (start, left) = (columns.start, map.offset(1, ow, columns.start));
            // Windows that the map's edge cuts alike have the same taps.
            if shape != (columns.len(), left) {
                shape = (columns.len(), left);
                taps.clear();
                for h in map.covered(0, oh) {
                    let place = map.offset(0, oh, h) * kw + left;
                    let at = h * map.size[1] * c;
                    taps.extend((0..columns.len()).map(|w| (at + w * c, (place + w) as u8)));
                }
            }
            let x = &x[start * c..];
            let mut j = 0;
            while j + 16 <= c {
                j += best_of::<S, 16>(&x[j..], &taps, &mut y[j..], &mut index[j..]);
            }
            while j < c {
                // Reads beyond the last channel, into the next pixel, do no harm where there is one.
                let inside = taps.last().is_some_and(|&(at, _)| at + j + 4 <= x.len());
                let (x, y, index) = (&x[j..], &mut y[j..], &mut index[j..]);
                j += if inside {
                    best_of::<S, 4>(x, &taps, y, index)
                } else {
                    best_of::<S, 1>(x, &taps, y, index)
                };
            }
        }
    }

    /// A row of the large map by indices of windows that do not overlap.
    fn place_row<S: Stored>(y: &[S], index: &[u8], x: &mut [S], map: &Map, h: usize) {
        let (c, [kh, kw]) = (map.channels, map.window.kernel);
        let start = h / kh * map.pooled[1] * c;
        let (y, index) = (&y[start..][..map.pooled[1] * c], &index[start..][..map.pooled[1] * c]);
        let (inside, rest) = x.split_at_mut(map.pooled[1] * kw * c);
        rest.fill(S::ZERO);
        let windows = y.chunks_exact(c).zip(index.chunks_exact(c));
        for (x, (y, index)) in inside.chunks_exact_mut(kw * c).zip(windows) {
            for (q, x) in x.chunks_exact_mut(c).enumerate() {
                let place = (h % kh * kw + q) as u8;
                for j in 0..c {
                    x[j] = y[j].keep_if(index[j] == place);
                }
            }
        }
    }

    /// A row of the large map by indices of any windows: sums over all that name a place.
    fn collect_row<S: Stored>(y: &[S], index: &[u8], x: &mut [S], map: &Map, h: usize) {
        let c = map.channels;
        let mut sums = vec![S::Real::ZERO; c];
        for (w, x) in x.chunks_exact_mut(c).enumerate() {
            sums.fill(S::Real::ZERO);
            for oh in map.covering(0, h) {
                for ow in map.covering(1, w) {
                    let place = (map.offset(0, oh, h) * map.window.kernel[1] + map.offset(1, ow, w)) as u8;
                    let start = (oh * map.pooled[1] + ow) * c;
                    let (y, index) = (&y[start..][..c], &index[start..][..c]);
                    for j in 0..c {
                        sums[j] += y[j].keep_if(index[j] == place).load();
                    }
                }
            }
            x.iter_mut().zip(&sums).for_each(|(x, &sum)| *x = S::store(sum));
        }
    }
}

/// The best of the taps (position, place) for `B` adjacent channels, as many of which as there are in `y` are
/// written and counted. Local arrays stay in registers.
#[inline(always)]
fn best_of<S: Stored, const B: usize>(x: &[S], taps: &[(usize, u8)], y: &mut [S], index: &mut [u8]) -> usize {
    let (mut best, mut places) = ([S::Real::ZERO; B], [0u32; B]);
    for (i, &(at, place)) in taps.iter().enumerate() {
        let (stored, mut wide) = (&x[at..at + B], [S::Real::ZERO; B]);
        for j in 0..B {
            wide[j] = stored[j].load();
        }
        for j in 0..B {
            let x = wide[j];
            // Larger, or the first NaN, or the first at all.
            let better = (x > best[j]) | (x.is_nan() & !best[j].is_nan()) | (i == 0);
            best[j] = select(better, x, best[j]);
            places[j] = select(better, place as u32, places[j]);
        }
    }
    if y.len() >= B {
        let (y, index) = (&mut y[..B], &mut index[..B]);
        for j in 0..B {
            y[j] = S::store(best[j]);
        }
        for j in 0..B {
            index[j] = places[j] as u8;
        }
        return B;
    }
    for (j, (y, index)) in y.iter_mut().zip(index).enumerate() {
        (*y, *index) = (S::store(best[j]), places[j] as u8);
    }
    y.len()
}

/// A row of the pooled map: in each window the place that the index names, which must be valid.
fn pick_row<T: Element>(x: &[T], index: &[u8], y: &mut [T], map: &Map, oh: usize) {
    let (c, Window { kernel, stride, padding }) = (map.channels, map.window);
    let line = map.size[1] * c;
    // Distance of each place from the window's first, which may lie in the padding.
    let steps: Vec<usize> = (0..map.area()).map(|i| i / kernel[1] * line + i % kernel[1] * c).collect();
    for (ow, (y, index)) in y.chunks_exact_mut(c).zip(index.chunks_exact(c)).enumerate() {
        let start = oh * stride[0] * line + ow * stride[1] * c;
        let lead = padding[0] * line + padding[1] * c;
        for (j, (y, &i)) in y.iter_mut().zip(index).enumerate() {
            *y = x[start + steps[i as usize] + j - lead];
        }
    }
}

impl Map {
    /// Fails where an index names no place of its window, or one in the padding.
    fn check(&self, op: &'static str, index: &[u8]) -> Result<()> {
        let area = self.area();
        let line = self.pooled[1] * self.channels;
        if index.is_empty() {
            return Ok(());
        }
        let columns: Vec<_> = (0..self.pooled[1]).map(|ow| self.covered(1, ow)).collect();
        let valid = |row: usize, at: usize, i: u8| {
            let (oh, ow, kw) = (row % self.pooled[0], at / self.channels, self.window.kernel[1]);
            let h = (oh * self.window.stride[0] + i as usize / kw).wrapping_sub(self.window.padding[0]);
            let w = (ow * self.window.stride[1] + i as usize % kw).wrapping_sub(self.window.padding[1]);
            (i as usize) < area && self.covered(0, oh).contains(&h) && columns[ow].contains(&w)
        };
        let bad = index.par_chunks(line).with_min_len(TASK.div_ceil(line)).enumerate().find_map_first(
            |(row, values)| {
                let largest = values.iter().fold(0, |a, &b| a.max(b)) as usize;
                if self.window.padding == [0; 2] && largest < area {
                    return None;
                }
                values.iter().enumerate().find(|&(at, &i)| !valid(row, at, i)).map(|(at, &i)| (row, at, i))
            },
        );
        let Some((row, at, i)) = bad else { return Ok(()) };
        let (n, oh, ow, c) =
            (row / self.pooled[0], row % self.pooled[0], at / self.channels, at % self.channels);
        let [kh, kw] = self.window.kernel;
        let what = if (i as usize) < area { "lies in the padding" } else { "lies outside" };
        let place = format!("at image {n}, channel {c}, row {oh}, column {ow}");
        Err(Error::value(op, format!("the index {i} {place} {what} of its {kh}×{kw} window")))
    }
}

impl MaxPool2d {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let (x, dims) = channels_last(ins[0])?;
        let map = Map::new(self.window, &dims, &outs[0].dims);
        let width = map.pooled[1] * map.channels;
        dispatch_stored!("max_pool2d", x.dtype(), T => {
            let x = cpu::slice::<T>(&x)?;
            let rows = |(row, (y, index)): (usize, (&mut [T], &mut [u8]))| {
                let (n, oh) = (row / map.pooled[0], row % map.pooled[0]);
                max_row(&x[n * map.image()..], y, index, &map, oh);
            };
            let (y, index) = cpu::output2(&outs[0].dims, Format::ChannelsLast, |y: &mut [T], index: &mut [u8]| {
                if width > 0 {
                    y.par_chunks_mut(width)
                        .zip(index.par_chunks_mut(width))
                        .with_min_len(TASK.div_ceil(width))
                        .enumerate()
                        .for_each(rows);
                }
            })?;
            Ok(smallvec![y, index])
        })
    }
}

impl PoolGather {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let ((x, dims), (index, _)) = (channels_last(ins[0])?, channels_last(ins[1])?);
        let map = Map::new(self.window, &dims, &outs[0].dims);
        let index = cpu::slice::<u8>(&index)?;
        map.check("pool_gather", index)?;
        dispatch_stored!("pool_gather", x.dtype(), T => {
            let x = cpu::slice::<T>(&x)?;
            let y = cpu::output(&outs[0].dims, Format::ChannelsLast, |y: &mut [T]| {
                for_rows(y, map.images, map.pooled[0], |n, oh, y| {
                    let line = map.pooled[1] * map.channels;
                    let index = &index[(n * map.pooled[0] + oh) * line..][..line];
                    pick_row(&x[n * map.image()..], index, y, &map, oh);
                });
            })?;
            Ok(smallvec![y])
        })
    }
}

impl MaxUnpool2d {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let ((y, dims), (index, _)) = (channels_last(ins[0])?, channels_last(ins[1])?);
        let map = Map::new(self.window, &outs[0].dims, &dims);
        let index = cpu::slice::<u8>(&index)?;
        map.check("max_unpool2d", index)?;
        let Window { kernel, stride, padding } = self.window;
        let apart = kernel == stride && padding == [0; 2];
        dispatch_stored!("max_unpool2d", y.dtype(), T => {
            let y = cpu::slice::<T>(&y)?;
            let x = cpu::output(&outs[0].dims, Format::ChannelsLast, |x: &mut [T]| {
                for_rows(x, map.images, map.size[0], |n, h, x| {
                    let (y, index) = (&y[n * map.pooled_image()..], &index[n * map.pooled_image()..]);
                    if !apart {
                        collect_row(y, index, x, &map, h);
                    } else if h < map.pooled[0] * kernel[0] {
                        place_row(y, index, x, &map, h);
                    } else {
                        x.fill(T::ZERO);
                    }
                });
            })?;
            Ok(smallvec![x])
        })
    }
}

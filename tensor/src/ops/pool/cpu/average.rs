//! Average pooling and its adjoint, both gathers.

use smallvec::smallvec;

use super::*;
use crate::{
    Element, Format, Outputs,
    cpu::{
        self, channels_last,
        dispatch::vectorized,
        stored::{Stored, dispatch_stored},
    },
};

impl Map {
    /// What the sum over window (`oh`, `ow`) is multiplied with.
    fn share<T: Real>(&self, oh: usize, ow: usize, count_padding: bool) -> T {
        let count =
            if count_padding { self.area() } else { self.covered(0, oh).len() * self.covered(1, ow).len() };
        T::narrow(1.0 / count as f64)
    }
}

vectorized! {
    /// A row of the pooled map from an image.
    fn average_row<S: Stored>(x: &[S], y: &mut [S], map: &Map, oh: usize, count_padding: bool) {
        let c = map.channels;
        let mut sums = vec![S::Real::ZERO; c];
        for (ow, y) in y.chunks_exact_mut(c).enumerate() {
            sums.fill(S::Real::ZERO);
            for h in map.covered(0, oh) {
                for w in map.covered(1, ow) {
                    let x = &x[(h * map.size[1] + w) * c..][..c];
                    for j in 0..c {
                        sums[j] += x[j].load();
                    }
                }
            }
            let share = map.share::<S::Real>(oh, ow, count_padding);
            y.iter_mut().zip(&sums).for_each(|(y, &sum)| *y = S::store(sum * share));
        }
    }

    /// A row of the large map from an image of the pooled map.
    fn spread_row<S: Stored>(g: &[S], x: &mut [S], map: &Map, h: usize, count_padding: bool) {
        let c = map.channels;
        let mut sums = vec![S::Real::ZERO; c];
        for (w, x) in x.chunks_exact_mut(c).enumerate() {
            sums.fill(S::Real::ZERO);
            for oh in map.covering(0, h) {
                for ow in map.covering(1, w) {
                    let g = &g[(oh * map.pooled[1] + ow) * c..][..c];
                    let share = map.share::<S::Real>(oh, ow, count_padding);
                    sums.iter_mut().zip(g).for_each(|(sum, g)| *sum += share * g.load());
                }
            }
            x.iter_mut().zip(&sums).for_each(|(x, &sum)| *x = S::store(sum));
        }
    }
}

impl AvgPool2d {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let (x, dims) = channels_last(ins[0])?;
        let map = Map::new(self.window, &dims, &outs[0].dims);
        dispatch_stored!("avg_pool2d", x.dtype(), T => {
            let x = cpu::slice::<T>(&x)?;
            let y = cpu::output(&outs[0].dims, Format::ChannelsLast, |y: &mut [T]| {
                for_rows(y, map.images, map.pooled[0], |n, oh, y| {
                    average_row(&x[n * map.image()..], y, &map, oh, self.count_padding);
                });
            })?;
            Ok(smallvec![y])
        })
    }
}

impl AvgPool2dInput {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let (g, dims) = channels_last(ins[0])?;
        let map = Map::new(self.pool.window, &outs[0].dims, &dims);
        dispatch_stored!("avg_pool2d_input", g.dtype(), T => {
            let g = cpu::slice::<T>(&g)?;
            let x = cpu::output(&outs[0].dims, Format::ChannelsLast, |x: &mut [T]| {
                for_rows(x, map.images, map.size[0], |n, h, x| {
                    spread_row(&g[n * map.pooled_image()..], x, &map, h, self.pool.count_padding);
                });
            })?;
            Ok(smallvec![x])
        })
    }
}

//! CPU kernel: channels-last pixel by pixel, any other layout as a copy of a view.

use rayon::prelude::*;

use super::*;
use crate::{
    Dims, Element, Format, Outputs, Tensor,
    cpu::{
        dispatch_any, output, slice,
        strided::{CHUNK, Walk, copy_to},
    },
};

impl ChannelShuffle {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let format = ins[0].layout().preferred_format();
        let y = dispatch_any!(ins[0].dtype(), T => match format {
            Format::ChannelsLast => self.pixels::<T>(&ins[0].to_format(format)?),
            Format::Contiguous => self.planes::<T>(ins[0]),
        });
        Ok(Outputs::from_iter([y?]))
    }

    fn pixels<T: Element>(&self, x: &Tensor) -> Result<Tensor> {
        let (channels, elements) = (x.dims()[1], slice::<T>(x)?);
        let size = (CHUNK / channels).max(1) * channels;
        output::<T>(x.dims(), Format::ChannelsLast, |y| {
            if y.len() <= size {
                return shuffle(elements, y, channels, self.groups);
            }
            let pieces = y.par_chunks_mut(size).zip(elements.par_chunks(size));
            pieces.for_each(|(y, x)| shuffle(x, y, channels, self.groups));
        })
    }

    fn planes<T: Element>(&self, x: &Tensor) -> Result<Tensor> {
        let mut dims = Dims::from_slice(x.dims());
        dims[1] /= self.groups;
        dims.insert(1, self.groups);
        let dense = match x.layout().reshape(&dims) {
            Some(_) => x.clone(),
            None => x.to_format(Format::Contiguous)?,
        };
        let grouped = dense.layout().reshape(&dims);
        let grouped = grouped.ok_or_else(|| Error::value("channel_shuffle", "channels can not be split"))?;
        let mut axes: Dims = (0..dims.len()).collect();
        axes.swap(1, 2);
        let view = grouped.permute(&axes);
        let walk = Walk::new(view.dims(), Format::Contiguous, [&view]);
        let elements = slice::<T>(&dense)?;
        output::<T>(x.dims(), Format::Contiguous, |y| copy_to(&walk, elements, y))
    }
}

/// Shuffles whole pixels. Two groups, and its inverse, are what networks use: those loops vectorise.
fn shuffle<T: Element>(x: &[T], y: &mut [T], channels: usize, groups: usize) {
    let each = channels / groups;
    for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
        if groups == 2 {
            let (a, b) = x.split_at(each);
            let pairs = y.as_chunks_mut::<2>().0.iter_mut();
            pairs.zip(a.iter().zip(b)).for_each(|(y, (&a, &b))| *y = [a, b]);
        } else if each == 2 {
            let (a, b) = y.split_at_mut(groups);
            let pairs = x.as_chunks::<2>().0.iter();
            pairs.zip(a.iter_mut().zip(b)).for_each(|(x, (a, b))| [*a, *b] = *x);
        } else {
            for (j, y) in y.chunks_exact_mut(groups).enumerate() {
                y.iter_mut().enumerate().for_each(|(i, y)| *y = x[i * each + j]);
            }
        }
    }
}

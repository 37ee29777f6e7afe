//! CPU kernel: the result is a sequence of rows, each made of one run of adjacent elements from every operand.

use rayon::prelude::*;

use super::*;
use crate::{
    Element, Format, Ops, Outputs, Tensor,
    cpu::{
        dispatch_any, output, slice,
        strided::{CHUNK, Cursor, Walk},
    },
    layout::order,
};

/// An operand: its elements, where its rows start, and how long a row is.
struct Part<'a, T> {
    elements: &'a [T],
    rows: Walk<1>,
    run: usize,
}

impl Cat {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let y = dispatch_any!(outs[0].dtype, T => self.join::<T>(ins, &outs[0].dims));
        Ok(Outputs::from_iter([y?]))
    }

    fn join<T: Element>(&self, ins: &[&Tensor], dims: &[usize]) -> Result<Tensor> {
        let last = |x: &&&Tensor| x.layout().preferred_format() == Format::ChannelsLast;
        let format = if ins.iter().any(|x| last(&x)) { Format::ChannelsLast } else { Format::Contiguous };
        let order = order(dims.len(), format);
        let (outer, inner) = order.split_at(order.iter().position(|&a| a == self.axis).unwrap_or(0));
        // Operands whose runs are not adjacent are copied first.
        let adjacent = |x: &Tensor| {
            let run = Walk::in_order(x.dims(), inner, [x.layout()]);
            run.dims.len() == 1 && run.strides[0][0] == 1
        };
        let ins: Vec<Tensor> = ins
            .iter()
            .filter(|x| !x.is_empty())
            .map(|&x| if adjacent(x) { Ok(x.clone()) } else { x.copy(format) })
            .collect::<Result<_>>()?;
        let parts: Vec<Part<T>> = ins
            .iter()
            .map(|x| {
                let rows = Walk::in_order(x.dims(), outer, [x.layout()]);
                Ok(Part { elements: slice(x)?, rows, run: inner.iter().map(|&a| x.dims()[a]).product() })
            })
            .collect::<Result<_>>()?;
        let row: usize = parts.iter().map(|p| p.run).sum();
        output::<T>(dims, format, |out| {
            if out.is_empty() {
                return;
            }
            let at_once = (CHUNK / row).max(1);
            if out.len() <= row * at_once {
                return fill(&parts, 0, row, out);
            }
            let pieces = out.par_chunks_mut(row * at_once).enumerate();
            pieces.for_each(|(i, out)| fill(&parts, i * at_once, row, out));
        })
    }
}

/// Writes rows from number `first` on.
fn fill<T: Element>(parts: &[Part<T>], first: usize, row: usize, out: &mut [T]) {
    let mut start = 0;
    for part in parts {
        let mut place = Cursor::new(&part.rows, first);
        for out in out.chunks_exact_mut(row) {
            copy_run(&mut out[start..start + part.run], &part.elements[place.offsets[0]..]);
            place.advance();
        }
        start += part.run;
    }
}

fn copy_run<T: Element>(to: &mut [T], from: &[T]) {
    let from = &from[..to.len()];
    if to.len() > 2 * CHUNK {
        to.par_chunks_mut(CHUNK).zip(from.par_chunks(CHUNK)).for_each(|(to, from)| to.copy_from_slice(from));
    } else {
        to.copy_from_slice(from);
    }
}

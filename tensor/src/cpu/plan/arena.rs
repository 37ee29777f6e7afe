//! The memory of a run: inputs, outputs and the arena, each value a span of one of them.

use std::collections::HashMap;

use super::memory::Layout;
use crate::{
    Element, Error, Format, Result, Tensor,
    cpu::{CpuBuffer, output},
    graph::{Graph, Residual, Run, Step, ValueId},
};

/// The start of a value and its elements' type is that of its meta; rank 4 is channels-last, all else row-major.
#[derive(Clone, Copy)]
struct Place {
    start: *mut u8,
    bytes: usize,
}

/// Where each value lies during a run.
pub(super) struct Memory<'a> {
    graph: &'a Graph,
    places: HashMap<ValueId, Place>,
}

impl<'a> Memory<'a> {
    /// `arena` has the bytes that `layout` asks for; `inputs` are channels-last; `known` is what [`known_maps`] found;
    /// `made` is room for the outputs that steps make.
    pub fn new(
        graph: &'a Graph,
        layout: &Layout,
        arena: &'a mut CpuBuffer,
        inputs: &'a [Tensor],
        known: &'a HashMap<ValueId, Tensor>,
        made: impl Iterator<Item = (ValueId, &'a mut CpuBuffer)>,
    ) -> Result<Self> {
        let mut places = HashMap::new();
        for (&id, input) in graph.inputs.iter().zip(inputs).chain(known) {
            let bytes = graph.meta(id).bytes();
            let start = bytes_of(input)?.as_ptr().cast_mut();
            places.insert(id, Place { start, bytes });
        }
        // All spans come from one pointer: values of different times lie in the same bytes, and a span borrowed for itself
        // would end the borrows of those it overlaps.
        let arena = arena.as_mut_slice::<u8>();
        let (len, base) = (arena.len(), arena.as_mut_ptr());
        for (&id, span) in &layout.spans {
            assert!(span.start + span.len <= len, "the arena holds what its layout asks for");
            let start = base.wrapping_add(span.start);
            places.insert(id, Place { start, bytes: graph.meta(id).bytes() });
        }
        for (id, buffer) in made {
            let bytes = graph.meta(id).bytes();
            places.insert(id, Place { start: buffer.as_mut_slice::<u8>()[..bytes].as_mut_ptr(), bytes });
        }
        Ok(Self { graph, places })
    }

    fn place<T: Element>(&self, id: ValueId) -> Result<Place> {
        let meta = self.graph.meta(id);
        if meta.dtype != T::DTYPE {
            return Err(Error::Read { held: meta.dtype, wanted: T::DTYPE });
        }
        let place = self.places.get(&id).copied();
        place.ok_or_else(|| Error::value("plan", format!("{id} has no memory")))
    }

    /// The elements of an operand.
    ///
    /// # Safety
    /// No step writes the value while the slice lives.
    pub unsafe fn read<T: Element>(&self, id: ValueId) -> Result<&'a [T]> {
        let Place { start, bytes } = self.place::<T>(id)?;
        // SAFETY: inside memory that is borrowed for 'a (see `new`), aligned for `T` as every tensor's elements are, initialised,
        // and of plain numbers.
        Ok(unsafe { std::slice::from_raw_parts(start.cast(), bytes / size_of::<T>()) })
    }

    /// The elements of a result.
    ///
    /// # Safety
    /// The value is made by the step that runs, is no input, and nobody else holds a slice of it. Values whose lives meet
    /// lie apart (`memory.rs`), so that no operand of the step overlaps it.
    #[expect(clippy::mut_from_ref, reason = "one value of many, apart from the others")]
    pub unsafe fn write<T: Element>(&self, id: ValueId) -> Result<&mut [T]> {
        let Place { start, bytes } = self.place::<T>(id)?;
        // SAFETY: as in `read`; exclusive by the caller's promise.
        Ok(unsafe { std::slice::from_raw_parts_mut(start.cast(), bytes / size_of::<T>()) })
    }

    /// A copy of a value as a tensor.
    ///
    /// # Safety
    /// As [`Memory::read`].
    pub unsafe fn tensor(&self, id: ValueId) -> Result<Tensor> {
        if let Some(constant) = self.graph.constant_of(id) {
            return Ok(constant.clone());
        }
        let meta = self.graph.meta(id);
        crate::cpu::dispatch_any!(meta.dtype, T => {
            // SAFETY: as promised by the caller.
            let from = unsafe { self.read::<T>(id)? };
            output::<T>(&meta.dims, Format::ChannelsLast, |to| to.copy_from_slice(from))
        })
    }

    /// Copies a tensor into a value.
    ///
    /// # Safety
    /// As [`Memory::write`].
    pub unsafe fn store(&self, id: ValueId, tensor: &Tensor) -> Result<()> {
        let tensor = tensor.to_format(Format::ChannelsLast)?;
        crate::cpu::dispatch_any!(tensor.dtype(), T => {
            // SAFETY: as promised by the caller.
            unsafe { self.write::<T>(id)? }.copy_from_slice(crate::cpu::slice::<T>(&tensor)?);
            Ok(())
        })
    }
}

/// The constants that steps read pixel by pixel, channels-last: summands, and parts of concatenations. Weights are packed.
pub(super) fn known_maps(graph: &Graph) -> Result<HashMap<ValueId, Tensor>> {
    let runs = |runs: &[Run]| runs.iter().map(|run| run.value).collect::<Vec<_>>();
    let mut maps = HashMap::new();
    for node in &graph.nodes {
        let read = match &node.step {
            Step::Conv(conv) => {
                let mut read = runs(&conv.sources);
                match conv.residual {
                    Some(Residual::Value(value)) => read.push(value),
                    Some(Residual::Unpooled { pooled, index }) => read.extend([pooled, index]),
                    None => {}
                }
                read
            }
            Step::Pool(pool) => runs(&pool.sources),
            Step::Collect(sources) => runs(sources),
            _ => continue,
        };
        for id in read {
            if let Some(constant) = graph.constant_of(id) {
                maps.insert(id, constant.to_format(Format::ChannelsLast)?);
            }
        }
    }
    Ok(maps)
}

/// The bytes of a dense tensor.
fn bytes_of(tensor: &Tensor) -> Result<&[u8]> {
    crate::cpu::dispatch_any!(tensor.dtype(), T => {
        let elements = crate::cpu::slice::<T>(tensor)?;
        // SAFETY: plain numbers without padding, seen as bytes.
        Ok(unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) })
    })
}

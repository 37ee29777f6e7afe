//! Fused convolutions of a plan.

use super::{arena::Memory, bytes::PreparedTable};
use crate::{
    DType, Error, Format, Result, Tensor,
    cpu::{
        conv::{
            After, Bytes, ConvGeometry, Direction, Epilogue, PackedWeights, Pointwise, Prepared,
            Residual as Added, Shared, Source, run_bytes,
        },
        slice,
    },
    graph::{ConvKind, ConvStep, Graph, Residual, Run, ValueId},
    ops::conv::geometry,
};

/// A convolution with its weights packed.
pub(super) struct PreparedConv {
    geometry: ConvGeometry,
    weights: Weights,
    bias: Option<Tensor>,
    tail: Option<(PackedWeights<f32>, Option<Tensor>)>,
    /// Channels of each source value.
    pitches: Vec<usize>,
}

/// How the input is read.
enum Weights {
    Numbers(Prepared<f32>),
    Bytes(PackedWeights<f32>, PreparedTable),
}

fn constant(graph: &Graph, id: ValueId) -> Result<Tensor> {
    let constant = graph.constant_of(id).filter(|t| t.dtype() == DType::F32);
    let constant = constant.ok_or_else(|| Error::value("plan", format!("{id} is no f32 constant")))?;
    constant.to_format(Format::Contiguous)
}

/// Sizes of the convolution that makes `out`.
pub(super) fn shape(graph: &Graph, step: &ConvStep, out: ValueId) -> (ConvGeometry, Direction) {
    let image = &graph.meta(step.sources[0].value).dims;
    let channels: usize = step.sources.iter().map(|run| run.len).sum();
    let x = [image[0], channels, image[2], image[3]];
    let (w, out) = (&graph.meta(step.weight).dims, &graph.meta(out).dims);
    let size = if step.labels { [out[1], out[2]] } else { [out[2], out[3]] };
    match &step.kind {
        ConvKind::Plain(conv) => {
            let y = [x[0], w[0], size[0], size[1]];
            (geometry(conv, &x, &y, [w[2], w[3]]), Direction::Forward)
        }
        ConvKind::Transposed(conv) => {
            let y = [x[0], w[1] * conv.conv.groups, size[0], size[1]];
            (geometry(&conv.conv, &y, &x, [w[2], w[3]]), Direction::InputGradient)
        }
    }
}

impl PreparedConv {
    pub fn new(graph: &Graph, step: &ConvStep, out: ValueId) -> Result<Self> {
        let (geometry, direction) = shape(graph, step, out);
        let weight = constant(graph, step.weight)?;
        let bias = |id: Option<ValueId>| id.map(|id| constant(graph, id)).transpose();
        let tail = match &step.tail {
            Some(tail) => {
                let weight = constant(graph, tail.weight)?;
                let (k, c) = (weight.dims()[0], weight.dims()[1]);
                let flat = ConvGeometry::new(1, [1, 1], c, k, [1, 1]);
                let packed = PackedWeights::new(&flat, Direction::Forward, slice::<f32>(&weight)?);
                Some((packed, bias(tail.bias)?))
            }
            None => None,
        };
        let alone = step.sources.len() == 1 && !step.labels;
        let last = step.tail.is_none() && step.residual.is_none();
        let weight = slice::<f32>(&weight)?;
        let weights = match step.table {
            Some(table) => {
                let packed = PackedWeights::new(&geometry, direction, weight);
                Weights::Bytes(packed, PreparedTable::new(graph, table)?)
            }
            None => Weights::Numbers(Prepared::new(&geometry, direction, weight, alone, last)),
        };
        let pitches = step.sources.iter().map(|run| graph.meta(run.value).dims[1]).collect();
        Ok(Self { geometry, weights, bias: bias(step.bias)?, tail, pitches })
    }

    pub fn run(&self, step: &ConvStep, memory: &Memory<'_>, out: ValueId) -> Result<()> {
        // SAFETY: operands were made by earlier steps, and the result is this step's own.
        let read = |id| unsafe { memory.read::<f32>(id) };
        let residual = match step.residual {
            None => None,
            Some(Residual::Value(value)) => Some(Added::Image(read(value)?)),
            Some(Residual::Unpooled { pooled, index }) => {
                // SAFETY: as above.
                Some(Added::Unpooled { pooled: read(pooled)?, index: unsafe { memory.read::<u8>(index)? } })
            }
        };
        let bias = self.bias.as_ref().map(slice::<f32>).transpose()?;
        let tail_bias =
            self.tail.as_ref().and_then(|(_, bias)| bias.as_ref()).map(slice::<f32>).transpose()?;
        let mut epilogue = Epilogue { bias, relu: step.relu, residual, relu_last: step.relu_last };
        let mut none = [];
        let after = match (&self.tail, step.labels) {
            (Some((weights, _)), _) => {
                let last = Epilogue {
                    bias: tail_bias,
                    relu: step.tail.is_some_and(|tail| tail.relu),
                    residual: epilogue.residual.take(),
                    relu_last: std::mem::take(&mut epilogue.relu_last),
                };
                After::Pointwise(Pointwise { layout: &weights.layout, packed: &weights.data, epilogue: last })
            }
            (None, true) => {
                // SAFETY: as above.
                let labels = unsafe { memory.write::<u8>(out)? };
                After::Labels { len: labels.len(), out: Shared(labels.as_mut_ptr()) }
            }
            (None, false) => After::Store,
        };
        // SAFETY: as above.
        let to = if step.labels { &mut none[..] } else { unsafe { memory.write::<f32>(out)? } };
        match &self.weights {
            Weights::Numbers(weights) => {
                let source = |(run, &pitch): (&Run, &usize)| {
                    Ok(Source { data: read(run.value)?, pitch, start: run.start, len: run.len })
                };
                let sources = step.sources.iter().zip(&self.pitches).map(source);
                weights.run(&self.geometry, &sources.collect::<Result<Vec<_>>>()?, epilogue, after, to);
            }
            Weights::Bytes(weights, table) => {
                // SAFETY: as above.
                let data = unsafe { memory.read::<u8>(step.sources[0].value)? };
                let bytes = Bytes { data, table: table.numbers()? };
                run_bytes(&self.geometry, bytes, weights, epilogue, after, to);
            }
        }
        Ok(())
    }
}

//! Fused convolutions of a plan in bf16.

use half::bf16;

use super::arena::Memory;
use super::conv::shape;
use crate::{
    DType, Error, Format, Ops, Result, Tensor,
    cpu::{
        conv::{
            ConvGeometry, Direction, Fold, Residual as Added, Source,
            bf16::{Conv, Finish, Out, Weights},
        },
        slice,
    },
    graph::{ConvStep, Graph, Residual, ValueId},
};

/// A convolution with its weights packed.
pub(super) struct PreparedHalf {
    geometry: ConvGeometry,
    weights: Weights,
    bias: Option<Tensor>,
    tail: Option<(Weights, Option<Tensor>)>,
    /// Channels of each source value.
    pitches: Vec<usize>,
    stored: DType,
    /// Pixels of the result that are one of the geometry's.
    fold: usize,
}

/// The values of a constant in f32.
fn constant(graph: &Graph, id: ValueId) -> Result<Tensor> {
    let constant = graph.constant_of(id);
    let constant = constant.ok_or_else(|| Error::value("plan", format!("{id} is no constant")))?;
    constant.cast(DType::F32)?.to_format(Format::Contiguous)
}

impl PreparedHalf {
    /// Whether the step is one for the bf16 kernels: bf16 but for bias and result.
    pub fn fits(graph: &Graph, step: &ConvStep, out: ValueId) -> bool {
        let half = |id: ValueId| graph.meta(id).dtype == DType::BF16;
        let residual = match step.residual {
            None => true,
            Some(Residual::Value(value) | Residual::Unpooled { pooled: value, .. }) => half(value),
        };
        let weights = half(step.weight) && step.tail.is_none_or(|tail| half(tail.weight));
        let known = graph.constant_of(step.weight).is_some()
            && step.tail.is_none_or(|tail| graph.constant_of(tail.weight).is_some());
        let sources = step.sources.iter().all(|run| half(run.value));
        let stored = matches!(graph.meta(out).dtype, DType::BF16 | DType::F32 | DType::U8);
        sources && residual && weights && known && stored && step.kind.groups() == 1
    }

    pub fn new(graph: &Graph, step: &ConvStep, out: ValueId) -> Result<Self> {
        let (geometry, direction) = shape(graph, step, out);
        let bias = |id: Option<ValueId>| id.map(|id| constant(graph, id)).transpose();
        let runs: Vec<usize> = step.sources.iter().map(|run| run.len).collect();
        let weight = constant(graph, step.weight)?;
        let weight = slice::<f32>(&weight)?;
        let alone = step.tail.is_none() && step.residual.is_none();
        let fold = Fold::of(&geometry, direction).filter(|_| alone);
        let mut bias_here = bias(step.bias)?;
        let (geometry, weights) = match fold {
            None => (geometry, Weights::new(&geometry, direction, &runs, weight)),
            Some(fold) => {
                let mut folded = vec![0.0; weight.len()];
                fold.weights(weight, &mut folded);
                if let Some(bias) = &mut bias_here {
                    let repeated = fold.repeat(slice::<f32>(bias)?);
                    *bias = Tensor::from_slice(&repeated, &[repeated.len()])?;
                }
                (fold.geometry, Weights::new(&fold.geometry, direction, &runs, &folded))
            }
        };
        let fold = fold.map_or(1, |fold| fold.by);
        let tail = match &step.tail {
            Some(tail) => {
                let weight = constant(graph, tail.weight)?;
                let (k, c) = (weight.dims()[0], weight.dims()[1]);
                let flat = ConvGeometry::new(1, [1, 1], c, k, [1, 1]);
                let packed = Weights::new(&flat, Direction::Forward, &[c], slice::<f32>(&weight)?);
                Some((packed, bias(tail.bias)?))
            }
            None => None,
        };
        let pitches = step.sources.iter().map(|run| graph.meta(run.value).dims[1]).collect();
        let stored = graph.meta(out).dtype;
        Ok(Self { geometry, weights, bias: bias_here, tail, pitches, stored, fold })
    }

    pub fn run(&self, step: &ConvStep, memory: &Memory<'_>, out: ValueId) -> Result<()> {
        // SAFETY: operands were made by earlier steps, and the result is this step's own.
        let read = |id| unsafe { memory.read::<bf16>(id) };
        let sources = step
            .sources
            .iter()
            .zip(&self.pitches)
            .map(|(run, &pitch)| Ok(Source { data: read(run.value)?, pitch, start: run.start, len: run.len }))
            .collect::<Result<Vec<_>>>()?;
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
        let relu_last = step.relu_last;
        let last = |bias, relu| Finish { bias, relu, residual, relu_last };
        let (finish, tail) = match (&self.tail, &step.tail) {
            (Some((weights, _)), Some(tail)) => {
                let first = Finish { bias, relu: step.relu, residual: None, relu_last: false };
                (first, Some((weights, last(tail_bias, tail.relu))))
            }
            _ => (last(bias, step.relu), None),
        };
        let (geometry, weights, fold) = (&self.geometry, &self.weights, self.fold);
        let conv = Conv { geometry, sources: &sources, weights, finish, tail, fold };
        // SAFETY: as above.
        unsafe {
            match self.stored {
                DType::U8 => conv.run(Out::Labels(memory.write(out)?)),
                DType::F32 => conv.run(Out::F32(memory.write(out)?)),
                _ => conv.run(Out::Bf16(memory.write(out)?)),
            }
        }
        Ok(())
    }
}

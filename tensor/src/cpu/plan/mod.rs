//! Graphs on the CPU: weights packed once, the values of a run in one arena, each step a call of a kernel.

mod arena;
mod bytes;
mod chain;
mod collect;
mod conv;
mod half_conv;
mod memory;
mod pool;
mod slab;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::CpuBuffer;
use crate::{
    DType, Error, Format, Layout, Plan, PlanMemory, Result, Tensor,
    graph::{Graph, LookupStep, Node, PoolStep, Run, Step, ValueId, interpret_step},
};
use arena::{Memory, known_maps};
use bytes::PreparedTable;
pub(super) use bytes::look_up;
use chain::PreparedChain;
use conv::PreparedConv;
use half_conv::PreparedHalf;

/// A graph with packed weights and a place for each value.
pub(super) struct CpuPlan {
    graph: Graph,
    steps: Vec<Prepared>,
    /// The outputs that steps make, each once: they get memory of their own. Others are inputs or constants.
    made: Vec<ValueId>,
    /// Constants that are read as maps.
    known: HashMap<ValueId, Tensor>,
    layout: memory::Layout,
    /// Arenas that no run uses. Runs at the same time have one each: none waits for another, which may be further down on its
    /// own stack, since a thread of a pool takes up other work while it waits.
    arenas: Mutex<Vec<CpuBuffer>>,
}

/// A node as it is run.
enum Prepared {
    /// A convolution in f32 by the fused kernel.
    Conv(Box<PreparedConv>),
    /// A convolution in bf16 by the fused kernel.
    HalfConv(Box<PreparedHalf>),
    /// A 2×2 max pool, straight from its runs of channels.
    Pool,
    /// Channels copied together.
    Collect,
    /// Numbers for bytes, or for the largest of 2×2 bytes.
    Table(PreparedTable),
    /// Pointwise operations in f32, block by block.
    Chain(PreparedChain),
    /// Anything else: operands as tensors, the result copied back.
    Tensors,
}

impl fmt::Debug for CpuPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuPlan").field("steps", &self.steps.len()).field("memory", &self.memory()).finish()
    }
}

impl CpuPlan {
    pub fn new(graph: &Graph) -> Result<Self> {
        let prepare = |node: &Node| -> Result<Prepared> {
            let float = |runs: &[Run]| runs.iter().all(|run| graph.meta(run.value).dtype == DType::F32);
            Ok(match &node.step {
                Step::Conv(conv) if float(&conv.sources) || conv.table.is_some() => {
                    Prepared::Conv(Box::new(PreparedConv::new(graph, conv, node.outs[0])?))
                }
                Step::Conv(conv) if PreparedHalf::fits(graph, conv, node.outs[0]) => {
                    Prepared::HalfConv(Box::new(PreparedHalf::new(graph, conv, node.outs[0])?))
                }
                Step::Pool(PoolStep { table: Some(table), .. }) | Step::Lookup(LookupStep { table, .. }) => {
                    Prepared::Table(PreparedTable::new(graph, *table)?)
                }
                Step::Pool(pool) if pool::fits(graph, pool) => Prepared::Pool,
                Step::Collect(runs) if collect::fits(graph, runs, node.outs[0]) => Prepared::Collect,
                Step::Chain(_) | Step::Op { .. } => match PreparedChain::new(graph, node)? {
                    Some(chain) => Prepared::Chain(chain),
                    None => Prepared::Tensors,
                },
                Step::Conv(_) | Step::Pool(_) | Step::Collect(_) => Prepared::Tensors,
            })
        };
        let steps = graph.nodes.iter().map(prepare).collect::<Result<_>>()?;
        let layout = memory::plan(graph);
        let results = graph.nodes.iter().flat_map(|node| &node.outs).copied();
        let made = results.filter(|id| graph.outputs.contains(id)).collect();
        let arenas = Mutex::new(vec![CpuBuffer::new(layout.bytes)?]);
        Ok(Self { graph: graph.clone(), steps, made, known: known_maps(graph)?, layout, arenas })
    }

    fn arenas(&self) -> MutexGuard<'_, Vec<CpuBuffer>> {
        self.arenas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, node: &Node, prepared: &Prepared, memory: &Memory<'_>) -> Result<()> {
        // SAFETY, for all kernels below: a step writes its own results and nothing else, each once, and reads operands that
        // were made before; steps run one after the other.
        match (prepared, &node.step) {
            (Prepared::Conv(conv), Step::Conv(step)) => conv.run(step, memory, node.outs[0]),
            (Prepared::Pool, Step::Pool(step)) => pool::run(&self.graph, step, memory, &node.outs),
            (Prepared::Collect, Step::Collect(runs)) => {
                collect::collect(&self.graph, runs, memory, node.outs[0])
            }
            (Prepared::Table(table), Step::Pool(step)) => {
                table.pool(&self.graph, step.sources[0].value, memory, &node.outs)
            }
            (Prepared::Table(table), Step::Lookup(step)) => {
                table.run(&self.graph, step.x, memory, node.outs[0])
            }
            (Prepared::Chain(chain), _) => chain.run(memory, node.outs[0]),
            (Prepared::HalfConv(conv), Step::Conv(step)) => conv.run(step, memory, node.outs[0]),
            _ => {
                let dtype = Some(self.graph.meta(node.outs[0]).dtype);
                // SAFETY: see above.
                let outs = interpret_step(&node.step, dtype, |id| unsafe { memory.tensor(id) })?;
                for (&id, tensor) in node.outs.iter().zip(&outs) {
                    // SAFETY: see above.
                    unsafe { memory.store(id, tensor)? };
                }
                Ok(())
            }
        }
    }
}

impl Plan for CpuPlan {
    fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        // A thread that is none of the pool's hands the whole run over, and not each step.
        rayon::scope(|_| self.run_timed(inputs, &mut |_, _| {}))
    }

    fn run_timed(&self, inputs: &[&Tensor], tick: &mut dyn FnMut(usize, Duration)) -> Result<Vec<Tensor>> {
        self.graph.check_inputs(inputs)?;
        let inputs = inputs.iter().map(|t| t.to_format(Format::ChannelsLast)).collect::<Result<Vec<_>>>()?;
        let room = |&id| CpuBuffer::new(self.graph.meta(id).bytes());
        let mut made = self.made.iter().map(room).collect::<Result<Vec<_>>>()?;
        let free = self.arenas().pop();
        let mut arena = free.map_or_else(|| CpuBuffer::new(self.layout.bytes), Ok)?;
        let made_here = self.made.iter().copied().zip(&mut made);
        let memory = Memory::new(&self.graph, &self.layout, &mut arena, &inputs, &self.known, made_here)?;
        for (i, (node, prepared)) in self.graph.nodes.iter().zip(&self.steps).enumerate() {
            let start = Instant::now();
            self.step(node, prepared, &memory)?;
            tick(i, start.elapsed());
        }
        self.arenas().push(arena);
        let tensor = |(&id, buffer): (_, CpuBuffer)| {
            let meta = self.graph.meta(id);
            let layout = Layout::dense(&meta.dims, Format::ChannelsLast);
            (id, Tensor::from_parts(Arc::new(buffer), layout, meta.dtype))
        };
        let mut known: HashMap<ValueId, Tensor> = self.made.iter().zip(made).map(tensor).collect();
        known.extend(self.graph.inputs.iter().copied().zip(inputs));
        let output = |&id: &ValueId| {
            let found = self.graph.constant_of(id).or_else(|| known.get(&id)).cloned();
            found.ok_or_else(|| Error::value("plan", format!("no step makes {id}")))
        };
        self.graph.outputs.iter().map(output).collect()
    }

    fn memory(&self) -> PlanMemory {
        PlanMemory { planned: self.layout.bytes, naive: self.graph.naive_bytes() }
    }
}

//! Graphs on a GPU: run once to warm up, recorded as a CUDA graph, replayed.
//!
//! A plan has a device of its own that shares everything loaded with the real one but has its own stream and pool:
//! addresses are part of a recording, so nobody else may be given them, and what others do meanwhile is not recorded. Inputs
//! are copied into fixed places before a replay, outputs out of theirs after it, all on the caller's stream.

mod conv;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tensor::graph::{Graph, Step, ValueId, interpret_step};
use tensor::{DType, Format, Op, Ops, Outputs, Plan, PlanMemory, Tensor};

use crate::backend::CudaBackend;
use crate::error::{Error, Result};
use crate::gpu::Captured;
use crate::ops::{Run, address};
use crate::runtime::Event;

/// A graph made executable on a GPU.
pub(crate) struct CudaPlan {
    graph: Graph,
    /// Where results go.
    outer: Arc<CudaBackend>,
    /// Where the work is done: the same device with stream and memory of its own.
    inner: Arc<CudaBackend>,
    constants: HashMap<ValueId, Tensor>,
    /// Those that batch normalisation reads, which stay in f32.
    vectors: HashMap<ValueId, Tensor>,
    /// Type of floats within the plan; inputs and outputs are f32.
    dtype: DType,
    /// Whether no constant is NaN or infinite in that type.
    finite: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    inputs: Vec<Tensor>,
    recorded: Option<(Captured, Vec<Tensor>)>,
    warm: bool,
}

impl fmt::Debug for CudaPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (steps, dtype) = (self.graph.nodes.len(), self.dtype);
        f.debug_struct("CudaPlan")
            .field("device", &self.outer)
            .field("steps", &steps)
            .field("dtype", &dtype)
            .finish()
    }
}

impl CudaPlan {
    /// `graph` on `device`, its floats in `dtype`.
    pub fn new(graph: &Graph, device: &Arc<CudaBackend>, dtype: DType) -> Result<Self> {
        let inner = device.apart()?;
        let (mut constants, mut vectors, mut finite) = (HashMap::new(), HashMap::new(), true);
        let norms = graph.nodes.iter().filter(|node| normalises(&node.step));
        let read: HashSet<ValueId> = norms.flat_map(|node| node.step.operands()).collect();
        let operands = graph.nodes.iter().flat_map(|node| node.step.operands());
        for id in operands.chain(graph.outputs.iter().copied()) {
            if let Some(value) = graph.constant_of(id)
                && !constants.contains_key(&id)
            {
                let value = value.to_device(&tensor::cpu::device())?.to_format(Format::ChannelsLast)?;
                let place: tensor::Device = inner.clone();
                if read.contains(&id) {
                    vectors.insert(id, value.to_device(&place)?);
                }
                let value = if value.dtype() == DType::F32 { value.cast(dtype)? } else { value };
                finite = finite && value.to_f64_vec()?.iter().all(|v| v.is_finite());
                constants.insert(id, value.to_device(&place)?);
            }
        }
        let (graph, outer) = (graph.clone(), device.clone());
        Ok(Self { graph, outer, inner, constants, vectors, dtype, finite, state: Mutex::default() })
    }

    /// Every step in order on the plan's inputs; `tick` is called before the first step and after each.
    fn steps(&self, inputs: &[Tensor], tick: &mut dyn FnMut() -> Result<()>) -> Result<Vec<Tensor>> {
        let mut values: HashMap<ValueId, Tensor> = HashMap::new();
        for (&id, input) in self.graph.inputs.iter().zip(inputs) {
            let narrow = input.dtype() == DType::F32 && self.dtype != DType::F32;
            values.insert(id, if narrow { input.cast(self.dtype)? } else { input.clone() });
        }
        let mut uses: HashMap<ValueId, usize> = HashMap::new();
        for id in
            self.graph.nodes.iter().flat_map(|n| n.step.operands()).chain(self.graph.outputs.iter().copied())
        {
            *uses.entry(id).or_default() += 1;
        }
        tick()?;
        for node in &self.graph.nodes {
            let vectors = normalises(&node.step).then_some(&self.vectors);
            let get = |id: ValueId| {
                let found = vectors.and_then(|vectors| vectors.get(&id));
                let found = found.or_else(|| self.constants.get(&id)).or_else(|| values.get(&id)).cloned();
                found.ok_or_else(|| tensor::Error::value("plan", format!("{id} is used before it is made")))
            };
            let outs: Outputs<Tensor> = match &node.step {
                Step::Conv(step) => Outputs::from_iter([conv::run(&self.run(), step, self.finite, get)?]),
                step @ (Step::Op { .. }
                | Step::Pool(_)
                | Step::Collect(_)
                | Step::Chain(_)
                | Step::Lookup(_)) => interpret_step(step, None, get)?,
            };
            values.extend(node.outs.iter().copied().zip(outs));
            // Values give their memory back after their last use, and so take turns in it.
            for id in node.step.operands() {
                if let Some(left) = uses.get_mut(&id) {
                    *left -= 1;
                    if *left == 0 {
                        values.remove(&id);
                    }
                }
            }
            tick()?;
        }
        let output = |&id: &ValueId| -> Result<Tensor> {
            let found = self.constants.get(&id).or_else(|| values.get(&id)).cloned();
            let found = found.ok_or_else(|| tensor::Error::value("plan", format!("no step makes {id}")))?;
            let found = if found.dtype().is_half() { found.cast(self.graph.meta(id).dtype)? } else { found };
            Ok(found.to_format(found.layout().preferred_format())?)
        };
        self.graph.outputs.iter().map(output).collect()
    }

    fn run(&self) -> Run<'_> {
        Run::new(self.inner.exec(), &self.inner, "plan")
    }

    /// Copies the inputs to their fixed places; the first time these are made.
    fn place(&self, state: &mut State, inputs: &[&Tensor]) -> Result<()> {
        let device: tensor::Device = self.outer.clone();
        let mut dense = Vec::new();
        for input in inputs {
            dense.push(input.to_device(&device)?.to_format(Format::ChannelsLast)?);
        }
        if state.inputs.is_empty() {
            for t in &dense {
                state.inputs.push(self.run().empty(t.dims(), t.dtype(), Format::ChannelsLast)?);
            }
        }
        for (from, to) in dense.iter().zip(&state.inputs) {
            self.outer.exec().stream.copy(address(from)?, address(to)?, from.len() * from.dtype().size())?;
        }
        Ok(())
    }

    /// Copies a value of the plan into memory of the caller's.
    fn hand_out(&self, t: &Tensor) -> Result<Tensor> {
        let run = Run::new(self.outer.exec(), &self.outer, "plan output");
        let y = run.empty(t.dims(), t.dtype(), t.layout().preferred_format())?;
        self.outer.exec().stream.copy(address(t)?, address(&y)?, t.len() * t.dtype().size())?;
        Ok(y)
    }

    fn replay(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.graph.check_inputs(inputs)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.place(&mut state, inputs)?;
        let (stream, callers) = (&self.inner.exec().stream, &self.outer.exec().stream);
        if !state.warm {
            // Loads kernels, measures convolutions and takes memory, none of which can be recorded.
            stream.wait(&Event::record(callers)?)?;
            self.steps(&state.inputs, &mut || Ok(()))?;
            callers.wait(&Event::record(stream)?)?;
            state.warm = true;
        }
        if state.recorded.is_none() {
            let mut outputs = Vec::new();
            let graph = self.inner.exec().capture(|| {
                outputs = self.steps(&state.inputs, &mut || Ok(()))?;
                Ok(())
            })?;
            state.recorded = Some((graph, outputs));
        }
        let Some((graph, outputs)) = &state.recorded else {
            return Err(Error::Unusable("the plan was not recorded".to_owned()));
        };
        self.inner.exec().gpu.faults.expect();
        graph.launch(callers)?;
        outputs.iter().map(|t| self.hand_out(t)).collect()
    }

    /// Step by step, with an event between any two.
    fn timed(&self, inputs: &[&Tensor], tick: &mut dyn FnMut(usize, Duration)) -> Result<Vec<Tensor>> {
        self.graph.check_inputs(inputs)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.place(&mut state, inputs)?;
        let stream = &self.inner.exec().stream;
        stream.wait(&Event::record(&self.outer.exec().stream)?)?;
        let mut marks = Vec::new();
        let outputs = self.steps(&state.inputs, &mut || {
            marks.push(Event::record(stream)?);
            Ok(())
        });
        // Also where a step failed: the next run, a replay, is on another stream and uses the same memory.
        stream.synchronize()?;
        let outputs = outputs?;
        for (i, pair) in marks.windows(2).enumerate() {
            tick(i, pair[1].since(&pair[0])?);
        }
        outputs.iter().map(|t| self.hand_out(t)).collect()
    }
}

/// Whether a step is a batch normalisation, whose per-channel operands are f32 where its maps are halves.
fn normalises(step: &Step) -> bool {
    matches!(
        step,
        Step::Op {
            op: Op::BatchNorm(_) | Op::BatchNormApply(_) | Op::BatchNormReduce(_) | Op::BatchNormInput(_),
            ..
        }
    )
}

impl Plan for CudaPlan {
    fn run(&self, inputs: &[&Tensor]) -> tensor::Result<Vec<Tensor>> {
        self.replay(inputs).map_err(|e| e.on(tensor::Backend::name(&*self.outer)))
    }

    fn run_timed(
        &self,
        inputs: &[&Tensor],
        tick: &mut dyn FnMut(usize, Duration),
    ) -> tensor::Result<Vec<Tensor>> {
        self.timed(inputs, tick).map_err(|e| e.on(tensor::Backend::name(&*self.outer)))
    }

    fn memory(&self) -> PlanMemory {
        PlanMemory { planned: self.inner.memory().peak, naive: self.graph.naive_bytes() }
    }
}

impl Drop for CudaPlan {
    fn drop(&mut self) {
        // Replays run on the caller's stream, of which the plan's pool knows nothing; and the recording goes before the memory
        // that it names.
        let _ = self.outer.exec().stream.synchronize();
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).recorded = None;
    }
}

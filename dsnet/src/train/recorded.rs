//! A training step on a GPU that is recorded once, as a graph, and then done by one call: nothing of it runs on the host.
//!
//! The learner records its own step ([`super::learner`]), with everything that a step changes at fixed places: parameters,
//! what the optimiser keeps, running statistics, the running average. Before a replay the batch and the optimiser's numbers
//! are copied to theirs; after it the host reads the losses and whether gradients were finite, and only then lets the new
//! state be copied over the old. So a step that fails, or must not be taken, leaves everything as before.

use std::sync::Arc;

use cuda_backend::{CudaBackend, Recorded, Recording};
use nn::{
    Collect, Ctx, Entry, Param,
    loss::LossValue,
    optim::{Ema, LossScale, Proposal},
};
use tensor::{DType, Meta, Ops, Tensor, rng::Key};

use super::{Learner, StepLoss, learner::Average};
use crate::{Error, Result};

/// Steps that are done one operation at a time before one is recorded: kernels are loaded, algorithms chosen.
pub(super) const WARM_UP: usize = 2;

/// What is known of steps on batches of one shape.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Shape of images and labels, and how many steps it was seen in a row.
    seen: Option<([Meta; 2], usize)>,
    recorded: Option<RecordedStep>,
}

/// Everything that changes in a step, by what holds it.
#[derive(Debug)]
struct State {
    /// Parameters and buffers of the model, then of the running average.
    entries: Vec<Entry>,
    /// How many of them are the model's.
    of_model: usize,
    /// The parameters that have gradients: the optimiser keeps something for each.
    params: Vec<(String, Param)>,
}

#[derive(Debug)]
struct RecordedStep {
    gpu: Arc<CudaBackend>,
    recording: Recording,
    shape: [Meta; 2],
    /// The random stream that was recorded.
    stream: u64,
    state: State,
    /// Places of the entries, and of what the optimiser keeps.
    entries: Vec<Tensor>,
    slots: Vec<Vec<Tensor>>,
    /// Places of the loss scale, where there is one.
    scale: Option<LossScale>,
    inputs: Inputs,
    has_sel: bool,
}

/// Places of what is different in each step.
#[derive(Debug)]
struct Inputs {
    images: Tensor,
    labels: Tensor,
    numbers: Tensor,
    average: Option<Tensor>,
}

impl Steps {
    /// Whether a step on this batch is to be done by a recording.
    pub(super) fn ready(&mut self, images: &Tensor, labels: &Tensor) -> bool {
        let shape = [images.meta(), labels.meta()];
        if let Some(step) = &self.recorded {
            // Batches of another shape, the last of an epoch, are rare: they are done one operation at a time.
            return step.shape == shape;
        }
        let times = match self.seen.take() {
            Some((before, times)) if before == shape => times,
            _ => 0,
        };
        self.seen = Some((shape, times + 1));
        times >= WARM_UP
    }

    /// Lets the warm-up begin anew: a step was left out, and so not all of it was done.
    pub(super) fn left_out(&mut self) {
        self.seen = None;
    }
}

impl Learner {
    /// One step by replaying the recording, which is made first where there is none; `None` where it must not be taken, because
    /// a loss or a gradient is NaN or infinite: one operation at a time finds out what follows from that.
    pub(super) fn replay(
        &mut self,
        gpu: &Arc<CudaBackend>,
        [images, labels]: [&Tensor; 2],
        key: Key,
        factor: f64,
    ) -> Result<Option<StepLoss>> {
        let mut step = match self.steps.recorded.take() {
            Some(step) => step,
            None => self.record(gpu, [images, labels], key, factor).map_err(|e| {
                e.during("recording the training step (--capture=false trains without recording)")
            })?,
        };
        let result = step.run(self, [images, labels], key, factor);
        self.steps.recorded = Some(step);
        result
    }

    /// Records a step on this batch; nothing moves.
    fn record(
        &self,
        gpu: &Arc<CudaBackend>,
        [images, labels]: [&Tensor; 2],
        key: Key,
        factor: f64,
    ) -> Result<RecordedStep> {
        let mut entries = Collect::of(&self.model);
        let of_model = entries.len();
        entries.extend(self.average.as_ref().map_or(vec![], |average| Collect::of(&average.model)));
        let places = entries.iter().map(|e| gpu.place(&e.value())).collect::<Result<Vec<_>, _>>()?;
        let params = self.optimizer.updated(&self.model);
        let place_all =
            |slots: Vec<Tensor>| slots.iter().map(|t| gpu.place(t)).collect::<Result<Vec<_>, _>>();
        let kept = self.optimizer.kept(&params)?.into_iter().map(place_all).collect::<Result<Vec<_>, _>>()?;
        let average = self.average.as_ref().map(|average| average.numbers(self, of_model)).transpose()?;
        let inputs = Inputs {
            images: gpu.place(images)?,
            labels: gpu.place(labels)?,
            numbers: gpu.place(&self.optimizer.numbers(&params, factor)?)?,
            average: average.map(|t| gpu.place(&t)).transpose()?,
        };
        let scale = self.scale.as_ref().map(|scale| on_places(scale, gpu)).transpose()?;
        let state = State { entries, of_model, params };
        // The steps before have done everything that is recorded but this.
        let two = [1.0_f32, 2.0].map(|v| Tensor::scalar(v).to_device(&self.device));
        told(two.into_iter().collect::<Result<Vec<_>, _>>()?)?;
        // The step is recorded on the places; what holds the values gets them back whatever comes of it.
        let before: Vec<Tensor> = state.entries.iter().map(Entry::value).collect();
        let mut has_sel = false;
        let mut failed = None;
        state.entries.iter().zip(&places).for_each(|(entry, place)| entry.set(place.clone()));
        let recording = gpu.record(|| {
            let recorded = self.recorded(&state, &places, &kept, scale.as_ref(), &inputs, key, &mut has_sel);
            recorded.map_err(|e| {
                let told = tensor::Error::value("step", e.to_string());
                failed = Some(e);
                told
            })
        });
        state.entries.iter().zip(before).for_each(|(entry, value)| entry.set(value));
        let recording = match failed {
            Some(e) => return Err(e),
            None => recording?,
        };
        Ok(RecordedStep {
            gpu: gpu.clone(),
            recording,
            shape: [images.meta(), labels.meta()],
            stream: key.stream,
            state,
            entries: places,
            slots: kept,
            scale,
            inputs,
            has_sel,
        })
    }

    /// The step as operations on places.
    fn recorded(
        &self,
        state: &State,
        places: &[Tensor],
        kept: &[Vec<Tensor>],
        scale: Option<&LossScale>,
        inputs: &Inputs,
        key: Key,
        has_sel: &mut bool,
    ) -> Result<Recorded> {
        let ctx = self.pass(key);
        let value = self.loss(&ctx, &inputs.images, &inputs.labels)?;
        let grads = self.gradients(&value, scale, ctx)?;
        if grads.iter().map(|g| &g.name).ne(state.params.iter().map(|(name, _)| name)) {
            return Err(Error::message("the recorded step moves other parameters than the steps before"));
        }
        let by = self.factor(&grads, scale)?;
        let proposal = self.optimizer.propose_from(&grads, kept, &inputs.numbers, &by)?;
        let mut recorded = Recorded::default();
        if let Some(scale) = scale {
            let mut next = scale.clone();
            next.update(&proposal.finite()?)?;
            recorded.state.extend(scale.parts().into_iter().zip(next.parts()));
        }
        let Proposal { found, values, slots } = proposal;
        // Running statistics are set by the pass; parameters get what the optimiser proposes.
        let mut news: Vec<Tensor> = state.entries.iter().map(Entry::value).collect();
        for ((name, _), value) in state.params.iter().zip(values) {
            if let Some(i) = state.entries[..state.of_model].iter().position(|e| e.name == *name) {
                news[i] = value;
            }
        }
        if let Some(numbers) = &inputs.average {
            let (model, average) = news.split_at_mut(state.of_model);
            let mixed = Ema::mixed(average, model, numbers)?;
            average.iter_mut().zip(mixed).for_each(|(old, new)| *old = new);
        }
        recorded.state.extend(places.iter().cloned().zip(news));
        recorded.state.extend(kept.iter().flatten().cloned().zip(slots.into_iter().flatten()));
        let LossValue { total, pixel, sel } = value;
        *has_sel = sel.is_some();
        let parts = [Some(total), Some(pixel), sel].into_iter().flatten().map(|v| v.into_tensor());
        recorded.outputs = vec![told(parts.chain([found]).collect())?];
        Ok(recorded)
    }
}

impl RecordedStep {
    fn run(
        &mut self,
        learner: &mut Learner,
        [images, labels]: [&Tensor; 2],
        key: Key,
        factor: f64,
    ) -> Result<Option<StepLoss>> {
        // A step of another kind in between has put its results elsewhere.
        for (entry, place) in self.state.entries.iter().zip(&self.entries) {
            self.bring(&entry.value(), place)?;
        }
        for (slots, places) in learner.optimizer.kept(&self.state.params)?.iter().zip(&self.slots) {
            slots.iter().zip(places).try_for_each(|(slot, place)| self.bring(slot, place))?;
        }
        if let (Some(scale), Some(places)) = (&learner.scale, &self.scale) {
            let mut pairs = scale.parts().into_iter().zip(places.parts());
            pairs.try_for_each(|(part, place)| self.bring(&part, &place))?;
        }
        self.bring(images, &self.inputs.images)?;
        self.bring(labels, &self.inputs.labels)?;
        self.bring(&learner.optimizer.numbers(&self.state.params, factor)?, &self.inputs.numbers)?;
        if let (Some(average), Some(place)) = (&learner.average, &self.inputs.average) {
            self.bring(&average.numbers(learner, self.state.of_model)?, place)?;
        }
        let outputs = self.recording.replay(Ctx::shift(self.stream, key.stream))?;
        let numbers = outputs.first().map(Tensor::to_vec::<f64>).transpose()?.unwrap_or_default();
        let (&[total, pixel, ..], Some(&found)) = (&numbers[..], numbers.last()) else {
            return Err(Error::message("the recorded step tells no loss"));
        };
        if !total.is_finite() || found != 0.0 {
            return Ok(None);
        }
        self.recording.accept()?;
        // What holds values has the places from here on.
        self.state.entries.iter().zip(&self.entries).for_each(|(entry, place)| entry.set(place.clone()));
        learner.scale.clone_from(&self.scale);
        let value = |(name, _): &(String, Param)| {
            let at = self.state.entries[..self.state.of_model].iter().position(|e| e.name == *name);
            at.map(|i| self.entries[i].clone())
        };
        let values = self.state.params.iter().filter_map(value).collect();
        learner.optimizer.accept(&self.state.params, values, self.slots.clone());
        Ok(Some(StepLoss { total, pixel, sel: self.has_sel.then(|| numbers[2]), overflow: None }))
    }

    /// Copies a value to a place, unless it lies there.
    fn bring(&self, value: &Tensor, place: &Tensor) -> Result<()> {
        if Arc::ptr_eq(value.buffer(), place.buffer()) {
            return Ok(());
        }
        Ok(self.gpu.overwrite(place, value)?)
    }
}

/// What the host reads after a replay, as one tensor.
fn told(numbers: Vec<Tensor>) -> Result<Tensor> {
    let numbers = numbers.iter().map(|t| t.cast(DType::F64)?.reshape(&[1]));
    let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::cat(&numbers.iter().collect::<Vec<_>>(), 0)?)
}

/// A loss scale of the same value on places.
fn on_places(scale: &LossScale, gpu: &CudaBackend) -> Result<LossScale> {
    let [scale, good] = scale.parts();
    Ok(LossScale::from_parts([gpu.place(&scale)?, gpu.place(&good)?]))
}

impl Average {
    /// The numbers of the average's next step, of `count` values.
    fn numbers(&self, learner: &Learner, count: usize) -> Result<Tensor> {
        let steps = learner.optimizer.state().values().map(|state| state.steps).max();
        Ok(self.ema.numbers(steps.unwrap_or(0) + 1, count)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_recorded_when_it_came_often_enough_in_a_row() {
        let batch = |n: usize| Tensor::zeros(&[n, 3, 8, 8], DType::F32).unwrap();
        let labels = Tensor::zeros(&[1, 8, 8], DType::U8).unwrap();
        let mut steps = Steps::default();
        let ready: Vec<bool> = [4, 4, 2, 4, 4, 4, 4].map(|n| steps.ready(&batch(n), &labels)).to_vec();
        assert_eq!(ready, [false, false, false, false, false, true, true]);
    }
}

//! What a run writes down about itself: the lines of its log, and the same numbers under TensorBoard's tags.

use serde::{Deserialize, Serialize};

use crate::{
    bench::Memory,
    metrics::{Confusion, Scores},
};

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// When the program starts or goes on.
    Start(Box<StartLine>),
    /// After a training step.
    Step(StepLine),
    /// After an epoch.
    Epoch(Box<EpochLine>),
}

/// The circumstances of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartLine {
    /// Steps that were done before.
    pub step: usize,
    /// Seconds since 1970.
    pub time: f64,
    /// Version of this program.
    pub version: String,
    /// Threads that compute, in each rank.
    pub threads: usize,
    /// Ranks that share the batch.
    #[serde(default = "one")]
    pub ranks: usize,
    /// Trainable values of the model, without the training head.
    pub parameters: usize,
    /// The training data, in words.
    pub data: String,
    /// Training samples.
    pub images: usize,
    /// The data that scores are taken on, in words.
    pub val_data: String,
    /// Its samples.
    pub val_images: usize,
    /// Steps of the whole run.
    pub total_steps: usize,
}

/// JSON has no number for what is not finite: it is written as null.
pub(super) fn finite_or_nan<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// Ranks of a run whose log does not tell.
fn one() -> usize {
    1
}

/// Where the seconds of a step went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Waiting for the batch.
    pub data: f64,
    /// Network and loss.
    pub forward: f64,
    /// Gradients.
    pub backward: f64,
    /// Checks, clipping and the optimiser.
    pub update: f64,
}

/// A training step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// Steps done, this one included.
    pub step: usize,
    /// Epoch, from 0.
    pub epoch: usize,
    /// The whole loss; NaN (null) where it overflowed.
    #[serde(deserialize_with = "finite_or_nan")]
    pub loss: f64,
    /// Its part from pixels.
    #[serde(deserialize_with = "finite_or_nan")]
    pub pixel: f64,
    /// Its semantic encoding part, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sel: Option<f64>,
    /// The loss scale with which loss or gradients overflowed, where they did: the step was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflow: Option<f64>,
    /// Learning rate of this step.
    pub lr: f64,
    /// Seconds that it took, loading included.
    pub seconds: f64,
    /// What they were spent on (logs of earlier versions do not tell).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phases: Option<Phases>,
}

/// An epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochLine {
    /// Steps done.
    pub step: usize,
    /// Epoch, from 0.
    pub epoch: usize,
    /// Mean loss of its steps.
    pub loss: f64,
    /// Scores on the validation split, where it was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val: Option<Scores>,
    /// What the scores were read from: rows of true classes, columns of predicted ones and of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    /// Seconds that evaluation took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_seconds: Option<f64>,
    /// Whether these are the best weights so far.
    pub best: bool,
    /// Highest use of memory: by tensors in this epoch, by the process since it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
}

impl Line {
    /// Steps done when this line was written: where in the run it belongs.
    pub fn step(&self) -> usize {
        match self {
            Line::Start(start) => start.step,
            Line::Step(step) => step.step,
            Line::Epoch(epoch) => epoch.step,
        }
    }

    /// The numbers of this line by TensorBoard tag; those of a start are none.
    pub(super) fn scalars(&self) -> Vec<(String, f64)> {
        match self {
            Line::Start(_) => Vec::new(),
            Line::Step(step) => step.scalars(),
            Line::Epoch(epoch) => epoch.scalars(),
        }
    }
}

/// Tags with numbers that may be absent; only those that are there, and are numbers.
fn present<const N: usize>(values: [(&str, Option<f64>); N]) -> Vec<(String, f64)> {
    let finite = values.into_iter().filter_map(|(tag, value)| Some((tag.to_owned(), value?)));
    finite.filter(|(_, value)| value.is_finite()).collect()
}

impl StepLine {
    fn scalars(&self) -> Vec<(String, f64)> {
        present([
            ("train/loss", Some(self.loss)),
            ("train/loss_pixel", Some(self.pixel)),
            ("train/loss_sel", self.sel),
            ("train/overflow_at_scale", self.overflow),
            ("train/learning_rate", Some(self.lr)),
            ("seconds/step", Some(self.seconds)),
            ("seconds/data", self.phases.map(|p| p.data)),
            ("seconds/forward", self.phases.map(|p| p.forward)),
            ("seconds/backward", self.phases.map(|p| p.backward)),
            ("seconds/update", self.phases.map(|p| p.update)),
        ])
    }
}

impl EpochLine {
    fn scalars(&self) -> Vec<(String, f64)> {
        let val = self.val.as_ref();
        let memory = self.memory.as_ref();
        let megabytes = |bytes: usize| bytes as f64 / 1e6;
        let mut all = present([
            ("epoch/loss", Some(self.loss)),
            ("seconds/evaluation", self.val_seconds),
            ("memory/tensors_MB", memory.map(|m| megabytes(m.peak_tensor_bytes))),
            ("memory/process_MB", memory.and_then(|m| m.peak_process_bytes).map(megabytes)),
            ("val/mIoU", val.map(|v| v.miou)),
            ("val/pixel_accuracy", val.and_then(|v| v.pixel_accuracy)),
            ("val/category_mIoU", val.map(|v| v.category_miou)),
        ]);
        for group in val.iter().flat_map(|v| &v.gamma_groups) {
            let tag = group.name.replace("γ = ", "val_groups/gamma_");
            all.extend(group.iou.map(|iou| (tag, iou)));
        }
        for class in val.iter().flat_map(|v| &v.classes) {
            all.extend(class.iou.map(|iou| (format!("val_classes/{}", class.name.replace(' ', "_")), iou)));
        }
        all
    }
}

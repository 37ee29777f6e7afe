//! Checkpoints of DSNet: what the file says about its model, and the ways in which commands read it.

use std::path::Path;

use datasets::{Classes, Dataset, Normalization, Position, class_weights};
use nn::{Checkpoint, Initializer, Module, checkpoint::Meta, optim::LossScale};
use serde::{Deserialize, Serialize};
use tensor::Tensor;

use crate::{
    Error, Result,
    data::Source,
    model::{self, DsNet, TrainableDsNet},
    spare,
    train::Learner,
};

/// Key of [`ModelInfo`] in a checkpoint's metadata.
const INFO: &str = "dsnet";

/// Key of the best score so far in a checkpoint's metadata.
const BEST: &str = "best_val_miou";

/// Key of the loss scale in a checkpoint's metadata, where the training has one.
const SCALE: &str = "loss_scale";

/// Tensors below this belong to the training head, which inference drops.
const HEAD: &str = "enc.";

/// What a checkpoint says about its model: commands that read one need no further options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Name of the model.
    pub model: String,
    /// Where its training data came from.
    pub data: Source,
    /// The labelling scheme: "cityscapes" or "camvid".
    pub scheme: String,
    /// Names of the classes, in train id order.
    pub classes: Vec<String>,
    /// Channel means that images are normalised with.
    pub mean: [f32; 3],
    /// Channel standard deviations that images are normalised with.
    pub std: [f32; 3],
    /// γ of each class in the training set (Eq. 3), for group means.
    pub gamma: Vec<u32>,
    /// With which strength [`adjust`](crate::adjust) took the weights of classes out of the logits, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjusted: Option<f64>,
}

/// Where in its run a checkpoint was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Saved {
    /// The batch to go on with.
    pub at: Position,
    /// Steps done.
    pub step: usize,
    /// Steps of the whole run.
    pub total_steps: usize,
    /// The seed of the run.
    pub seed: u64,
    /// The best validation mIoU so far, in 0..=1.
    pub best: Option<f64>,
}

/// A model read from a checkpoint, ready to run.
#[derive(Debug)]
pub struct Trained {
    /// What the checkpoint says.
    pub info: ModelInfo,
    /// The net.
    pub net: DsNet,
}

impl ModelInfo {
    /// Of a model trained on `dataset` with these class frequencies.
    ///
    /// # Errors
    /// Where the frequencies are none.
    pub fn new(model: &str, data: Source, dataset: &dyn Dataset, frequencies: &[f64]) -> Result<Self> {
        let (classes, normalization) = (dataset.classes(), dataset.normalization());
        Ok(Self {
            model: model.into(),
            data,
            scheme: classes.scheme().into(),
            classes: classes.names().into_iter().map(str::to_owned).collect(),
            mean: normalization.mean,
            std: normalization.std,
            gamma: class_weights(frequencies)?.gamma,
            adjusted: None,
        })
    }

    /// What images are normalised with.
    pub fn normalization(&self) -> Normalization {
        Normalization { mean: self.mean, std: self.std }
    }

    /// The labelling scheme.
    ///
    /// # Errors
    /// Where this program does not know it.
    pub fn classes(&self) -> Result<Classes> {
        let known = [Classes::cityscapes(), Classes::camvid()];
        known.into_iter().find(|c| c.scheme() == self.scheme && c.names() == self.classes).ok_or_else(|| {
            Error::message(format!(
                "the model's labelling scheme \"{}\" with {} classes is not known here",
                self.scheme,
                self.classes.len()
            ))
        })
    }

    /// Fails where data is labelled by another scheme than the model's.
    ///
    /// # Errors
    /// Names both.
    pub fn check_classes(&self, classes: &Classes, weights: &Path, data: &str) -> Result<()> {
        if self.classes == classes.names() {
            return Ok(());
        }
        Err(Error::message(format!(
            "{} knows the {} classes of {}, but {data} is labelled with the {} classes of {}; evaluate it on the data \
             it was trained for",
            weights.display(),
            self.classes.len(),
            self.scheme,
            classes.len(),
            classes.scheme()
        )))
    }
}

/// What a checkpoint is told about its model.
fn described(info: &ModelInfo, seed: u64) -> Result<Meta> {
    let mut meta = Meta::new(&info.model, info.classes.len(), seed);
    let json = serde_json::to_value(info);
    let json = json.map_err(|e| Error::message(format!("the model can not be described: {e}")))?;
    meta.extras.insert(INFO.into(), json);
    Ok(meta)
}

/// What a checkpoint says about its model.
fn info_of(checkpoint: &Checkpoint, path: &Path) -> Result<ModelInfo> {
    let why = |why: String| nn::Error::Checkpoint { path: path.into(), why };
    let json = checkpoint.meta.extras.get(INFO);
    let json = json.ok_or_else(|| why(format!("is no DSNet checkpoint: it has no entry \"{INFO}\"")))?;
    let info = serde_json::from_value(json.clone());
    Ok(info.map_err(|e| why(format!("its description of the model can not be read ({e})")))?)
}

/// Writes everything that going on needs; what `path` held before goes on as `previous`, where that is given.
///
/// # Errors
/// Where the file can not be written; the one before is then untouched.
pub fn save(
    path: &Path,
    previous: Option<&Path>,
    learner: &Learner,
    info: &ModelInfo,
    saved: &Saved,
) -> Result<()> {
    let mut meta = described(info, saved.seed)?;
    (meta.epoch, meta.batch) = (saved.at.epoch as u64, saved.at.batch as u64);
    (meta.step, meta.total_steps) = (saved.step as u64, saved.total_steps as u64);
    if let Some(best) = saved.best {
        // As text: it must come back to the last bit, for later scores are compared with it.
        meta.extras.insert(BEST.into(), format!("{best:?}").into());
    }
    if let Some(scale) = &learner.scale {
        meta.extras.insert(SCALE.into(), scale.state()?.to_vec().into());
    }
    let mut checkpoint = Checkpoint::capture(&learner.model, Some(&learner.optimizer), meta);
    if let Some(average) = &learner.average {
        checkpoint = checkpoint.with_average(&average.model);
    }
    match previous {
        Some(previous) => checkpoint.save_keeping(path, previous)?,
        None => checkpoint.save(path)?,
    }
    Ok(())
}

/// Reads what [`save`] wrote into `learner`, and says where to go on.
///
/// # Errors
/// A file that can not be read or is damaged; one of another model, of other classes, of another seed or length.
pub fn restore(path: &Path, learner: &mut Learner, info: &ModelInfo, run: &Saved) -> Result<Saved> {
    let checkpoint = Checkpoint::load(path)?;
    check(&checkpoint, path, info)?;
    let meta = &checkpoint.meta;
    if (meta.total_steps, meta.seed) != (run.total_steps as u64, run.seed) {
        let why = format!(
            "belongs to a run of {} steps with seed {}, but this run has {} steps and seed {}; has the dataset changed?",
            meta.total_steps, meta.seed, run.total_steps, run.seed
        );
        return Err(nn::Error::Checkpoint { path: path.into(), why }.into());
    }
    if meta.step > meta.total_steps {
        let why = format!("claims {} steps of {}", meta.step, meta.total_steps);
        return Err(nn::Error::Checkpoint { path: path.into(), why }.into());
    }
    if let Some(scale) = &mut learner.scale {
        let state = meta.extras.get(SCALE).and_then(|v| serde_json::from_value(v.clone()).ok());
        let why = || "holds no loss scale, but the training wants one".to_owned();
        let state = state.ok_or_else(|| nn::Error::Checkpoint { path: path.into(), why: why() })?;
        *scale = LossScale::of(state, &Tensor::device(scale.tensor()))?;
    }
    if let Some(average) = &learner.average {
        checkpoint.restore_average(&average.model)?;
    }
    checkpoint.restore(&learner.model, &mut learner.optimizer)?;
    Ok(Saved {
        at: Position { epoch: meta.epoch as usize, batch: meta.batch as usize },
        step: meta.step as usize,
        best: meta.extras.get(BEST).and_then(|v| v.as_str()?.parse().ok()),
        ..*run
    })
}

/// Writes a model alone, with its training head or without.
///
/// # Errors
/// Where the file can not be written; the one before is then untouched.
pub fn save_model(path: &Path, model: &dyn Module, info: &ModelInfo) -> Result<()> {
    Ok(Checkpoint::capture(model, None, described(info, 0)?).save(path)?)
}

/// Fails where a checkpoint is of another model than `info`.
fn check(checkpoint: &Checkpoint, path: &Path, info: &ModelInfo) -> Result<()> {
    checkpoint.expect(&info.model, info.classes.len())?;
    let has = info_of(checkpoint, path)?;
    if has.classes != info.classes {
        let why = format!("knows the classes of {}, not those of {}", has.scheme, info.scheme);
        return Err(nn::Error::Checkpoint { path: path.into(), why }.into());
    }
    Ok(())
}

/// Sets the first weights of a training from a checkpoint, from their running average where it holds one; its head as well,
/// where both have one.
///
/// # Errors
/// As [`load`]; a checkpoint of another model or other classes.
pub fn start_from(path: &Path, model: &TrainableDsNet, info: &ModelInfo) -> Result<()> {
    let checkpoint = Checkpoint::load(path)?.averaged();
    check(&checkpoint, path, info)?;
    let has_head = checkpoint.model_state().keys().any(|name| name.starts_with(HEAD));
    if has_head && model.enc.is_some() {
        checkpoint.restore_model(model, &[])?;
    } else {
        checkpoint.restore_model(&model.net, &[HEAD])?;
    }
    Ok(())
}

/// Reads a model for running it: the running average of its weights, where the file holds one. A training head in the file is
/// left out.
///
/// # Errors
/// A file that can not be read, is damaged (another one of its run is then offered), or no checkpoint of a DSNet.
pub fn load(path: &Path) -> Result<Trained> {
    let offer = |e: nn::Error| spare::offer(e.into(), path, |_| "use it instead".into());
    let checkpoint = Checkpoint::load(path).map_err(offer)?.averaged();
    let info = info_of(&checkpoint, path)?;
    let shape = model::config(&info.model, info.classes.len());
    let shape = shape.map_err(|e| nn::Error::Checkpoint { path: path.into(), why: e.to_string() })?;
    let net = DsNet::new(&shape, &Initializer::new(0))?;
    checkpoint.restore_model(&net, &[HEAD])?;
    Ok(Trained { info, net })
}

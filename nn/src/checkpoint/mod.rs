//! Checkpoints: everything that a training needs to go on as if it had never stopped, in one safetensors file.
//!
//! Tensors are named `model.<name>` (parameters and buffers), `optim.<name>.<slot>` and `optim.<name>.step`, and
//! `average.<name>` where a running average of the model is kept. The
//! file's metadata holds one entry, `checkpoint`: a checksum over all tensors and over the JSON of a [`Meta`] that
//! follows it. Random numbers need no state of their own: streams are counted from seed and step.
//!
//! A file is written beside its place, synced and renamed, so that a crash leaves the old one whole. It is read and
//! checked in full before anything in a model changes: a file that lost its end or in which a byte changed is an error.

mod atomic;
mod file;
mod meta;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use atomic::{write_atomically, write_keeping};
pub use meta::Meta;

use tensor::Tensor;

use crate::{
    Error, Module, Result, load_state,
    optim::{Optimizer, State},
    parameters, state_dict,
};

/// A model's and an optimiser's state with the position of the training.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// What is known besides tensors.
    pub meta: Meta,
    tensors: BTreeMap<String, Tensor>,
    path: PathBuf,
}

impl Checkpoint {
    /// What `model` and `optimizer` hold now. Cheap: values are shared, not copied.
    pub fn capture(model: &dyn Module, optimizer: Option<&Optimizer>, mut meta: Meta) -> Self {
        meta.optimizer = optimizer.map(|o| o.name().into());
        let mut tensors: BTreeMap<String, Tensor> =
            state_dict(model).into_iter().map(|(name, t)| (format!("model.{name}"), t)).collect();
        if let Some(optimizer) = optimizer {
            for (name, state) in optimizer.state() {
                tensors.insert(format!("optim.{name}.step"), Tensor::scalar(state.steps as i64));
                for (slot, value) in optimizer.slots().iter().zip(&state.slots) {
                    tensors.insert(format!("optim.{name}.{slot}"), value.clone());
                }
            }
        }
        Self { meta, tensors, path: PathBuf::from("(not saved)") }
    }

    /// With the running average of the model.
    pub fn with_average(mut self, average: &dyn Module) -> Self {
        let named = state_dict(average).into_iter().map(|(name, t)| (format!("average.{name}"), t));
        self.tensors.extend(named);
        self
    }

    /// Writes the file; what was there before stays until the new one is complete on disk.
    ///
    /// # Errors
    /// Where the file can not be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path.as_ref(), &self.encode(path.as_ref())?)
    }

    /// [`Checkpoint::save`], and the file that was there before goes on under the name `previous`, in the same folder.
    ///
    /// # Errors
    /// Where the file can not be written; both are then as they were.
    pub fn save_keeping(&self, path: &Path, previous: &Path) -> Result<()> {
        write_keeping(path, previous, &self.encode(path)?)
    }

    fn encode(&self, path: &Path) -> Result<Vec<u8>> {
        file::encode(&self.meta, &self.tensors).map_err(|why| unusable(path, why))
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// A file that can not be read, is truncated, damaged, no checkpoint at all, or of a newer format.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let read = file::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
        let (meta, tensors) =
            read.and_then(|bytes| file::decode(&bytes)).map_err(|why| unusable(path, why))?;
        Ok(Self { meta, tensors, path: path.into() })
    }

    /// Fails unless this is a checkpoint of the model called `model` with that many classes.
    ///
    /// # Errors
    /// Says what it is and what was wanted.
    pub fn expect(&self, model: &str, classes: usize) -> Result<()> {
        let Meta { model: has, classes: has_classes, .. } = &self.meta;
        if has == model && *has_classes == classes {
            return Ok(());
        }
        let why = format!(
            "holds {has} with {has_classes} classes, but {model} with {classes} classes was asked for"
        );
        Err(unusable(&self.path, why))
    }

    /// The model's parameters and buffers by name.
    pub fn model_state(&self) -> BTreeMap<String, Tensor> {
        self.below("model.")
    }

    /// The same of its running average; empty where none was kept.
    pub fn average_state(&self) -> BTreeMap<String, Tensor> {
        self.below("average.")
    }

    fn below(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let ours = self.tensors.iter();
        ours.filter_map(|(n, t)| Some((n.strip_prefix(prefix)?.to_string(), t.clone()))).collect()
    }

    /// The checkpoint of the running average alone, where one was kept; else this one.
    pub fn averaged(mut self) -> Self {
        let average = self.average_state();
        if !average.is_empty() {
            self.tensors = average.into_iter().map(|(name, t)| (format!("model.{name}"), t)).collect();
            self.meta.optimizer = None;
        }
        self
    }

    /// Sets `average` to the running average in the file.
    ///
    /// # Errors
    /// As [`Checkpoint::restore_model`]; where the file holds none.
    pub fn restore_average(&self, average: &dyn Module) -> Result<()> {
        let state = self.average_state();
        if state.is_empty() {
            return Err(unusable(
                &self.path,
                "holds no average of the weights, but the training wants one".into(),
            ));
        }
        load_state(average, &state, &[]).map_err(|e| unusable(&self.path, e.to_string()))
    }

    /// Sets the parameters and buffers of `model`: all of them, or none where one does not fit. Tensors whose names
    /// begin with one of `skip` (a training head, `enc.`) may be there without the model wanting them.
    ///
    /// # Errors
    /// Missing, unexpected and misshapen tensors, all listed at once.
    pub fn restore_model(&self, model: &dyn Module, skip: &[&str]) -> Result<()> {
        load_state(model, &self.model_state(), skip).map_err(|e| unusable(&self.path, e.to_string()))
    }

    /// Sets model and optimiser to go on with a training: both, or none where something does not fit.
    ///
    /// # Errors
    /// As [`Checkpoint::restore_model`]; the state of another optimiser, or none.
    pub fn restore(&self, model: &dyn Module, optimizer: &mut Optimizer) -> Result<()> {
        let state = self.optimizer_state(model, optimizer).map_err(|why| unusable(&self.path, why))?;
        self.restore_model(model, &[])?;
        optimizer.set_state(state)
    }

    /// The optimiser's state, checked against the parameters of `model`.
    fn optimizer_state(
        &self,
        model: &dyn Module,
        optimizer: &Optimizer,
    ) -> Result<BTreeMap<String, State>, String> {
        let wanted = optimizer.name();
        match self.meta.optimizer.as_deref() {
            Some(name) if name == wanted => {}
            Some(name) => return Err(format!("holds the state of {name}, but the training uses {wanted}")),
            None => return Err(format!("holds no optimiser state, but a training with {wanted} wants it")),
        }
        let params: BTreeMap<String, Tensor> =
            parameters(model).into_iter().map(|(name, p)| (name, p.value())).collect();
        let mut states = BTreeMap::new();
        let mut used = 0;
        for (name, param) in &params {
            let of = |slot: &str| self.tensors.get(&format!("optim.{name}.{slot}"));
            let Some(steps) = of("step") else { continue };
            let steps = steps.to_vec::<i64>().ok().and_then(|v| u64::try_from(*v.first()?).ok());
            let steps = steps.ok_or_else(|| format!("optim.{name}.step is no count"))?;
            let mut slots = vec![];
            for slot in optimizer.slots() {
                let value = of(slot).ok_or_else(|| format!("optim.{name}.{slot} is missing"))?;
                if value.meta() != param.meta() {
                    let (has, wants) = (value.meta(), param.meta());
                    return Err(format!("optim.{name}.{slot} is {has} but the parameter is {wants}"));
                }
                let moved = value.to_device(&Tensor::device(param)).map_err(|e| e.to_string())?;
                slots.push(moved);
            }
            used += 1 + slots.len();
            states.insert(name.clone(), State { steps, slots });
        }
        let all = self.tensors.keys().filter(|n| n.starts_with("optim.")).count();
        if used != all {
            return Err(format!("{} optimiser tensors belong to no parameter of the model", all - used));
        }
        Ok(states)
    }
}

fn unusable(path: &Path, why: String) -> Error {
    Error::Checkpoint { path: path.into(), why }
}

#[cfg(test)]
mod tests;

//! State dicts: a model's parameters and buffers by name, out and in.

use std::{collections::BTreeMap, fmt::Write};

use tensor::{Ops, Tensor};

use crate::{Collect, Entry, Error, Module, Result, Slot};

/// How many names of a kind a message lists.
const LISTED: usize = 5;

impl Entry {
    /// The value now.
    pub fn value(&self) -> Tensor {
        match &self.slot {
            Slot::Param(p) => p.value(),
            Slot::Buffer(b) => b.value(),
        }
    }

    /// Replaces the value.
    pub fn set(&self, value: Tensor) {
        match &self.slot {
            Slot::Param(p) => p.set(value),
            Slot::Buffer(b) => b.set(value),
        }
    }
}

/// The parameters and buffers of `model` with their names, in the order of the visit.
pub fn state_dict(model: &dyn Module) -> Vec<(String, Tensor)> {
    Collect::of(model).into_iter().map(|e| (e.name.clone(), e.value())).collect()
}

/// Sets every parameter and buffer of `model` from `tensors`; floats are converted to the model's type and moved
/// to its device. Tensors whose names begin with one of `skip` may be there without the model wanting them (a
/// training head). Everything is checked first: after an error the model is as it was.
///
/// # Errors
/// Tensors that are missing, unexpected or of other dims or kind, all listed at once.
pub fn load_state(model: &dyn Module, tensors: &BTreeMap<String, Tensor>, skip: &[&str]) -> Result<()> {
    let entries = Collect::of(model);
    let (mut missing, mut misfits, mut values) = (vec![], vec![], vec![]);
    for entry in &entries {
        let (name, want) = (&entry.name, entry.value());
        match tensors.get(name) {
            None => missing.push(name.as_str()),
            Some(t) if t.dims() != want.dims() || t.dtype().is_float() != want.dtype().is_float() => {
                misfits.push(format!("{name} is {} but the model wants {}", t.meta(), want.meta()));
            }
            Some(t) => values.push(t.cast(want.dtype())?.to_device(&Tensor::device(&want))?),
        }
    }
    let wanted = |name: &String| entries.iter().any(|e| e.name == *name);
    let skipped = |name: &String| skip.iter().any(|prefix| name.starts_with(prefix));
    let unexpected: Vec<&str> =
        tensors.keys().filter(|n| !skipped(n) && !wanted(n)).map(String::as_str).collect();
    if missing.is_empty() && misfits.is_empty() && unexpected.is_empty() {
        entries.iter().zip(values).for_each(|(entry, value)| entry.set(value));
        return Ok(());
    }
    let mut why = String::new();
    list(&mut why, "missing", &missing.iter().map(|n| hinted(n, &unexpected)).collect::<Vec<_>>());
    list(&mut why, "of other dims or kind", &misfits);
    list(&mut why, "unexpected", &unexpected);
    Err(Error::config("state does not fit the model", why))
}

/// Appends "3 missing: a, b, c".
fn list(out: &mut String, kind: &str, items: &[impl AsRef<str>]) {
    if items.is_empty() {
        return;
    }
    let names: Vec<&str> = items.iter().take(LISTED).map(AsRef::as_ref).collect();
    let separator = if out.is_empty() { "" } else { "; " };
    let more = if items.len() > LISTED { ", …" } else { "" };
    // Writing to a string can not fail.
    let _ = write!(out, "{separator}{} {kind}: {}{more}", items.len(), names.join(", "));
}

/// The name, and the unexpected one that it may have been called.
fn hinted(name: &str, unexpected: &[&str]) -> String {
    let near = |a: &&str| strsim::normalized_levenshtein(name, a);
    let best = unexpected.iter().take(1000).max_by(|a, b| near(a).total_cmp(&near(b)));
    match best.filter(|b| near(b) > 0.7) {
        Some(best) => format!("{name} (there is {best})"),
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use tensor::DType;

    use super::*;
    use crate::{BatchNormConfig, Conv2dConfig, Initializer, Sequential};

    fn model(seed: u64, channels: usize) -> Sequential {
        let init = Initializer::new(seed);
        Sequential::new()
            .with(Conv2dConfig::new(2, channels, 1).build(&init.scope("0")).unwrap())
            .with(BatchNormConfig::new(channels).build(&init.scope("1")).unwrap())
    }

    fn dict(model: &Sequential) -> BTreeMap<String, Tensor> {
        state_dict(model).into_iter().collect()
    }

    fn weight(model: &Sequential) -> Vec<f64> {
        dict(model)["0.weight"].to_f64_vec().unwrap()
    }

    #[test]
    fn round_trip_with_conversion() {
        let (from, to) = (model(1, 3), model(2, 3));
        let doubles = dict(&from).into_iter().map(|(n, t)| (n, t.cast(DType::F64).unwrap())).collect();
        assert_ne!(weight(&from), weight(&to));
        load_state(&to, &doubles, &[]).unwrap();
        assert_eq!(weight(&from), weight(&to));
        assert_eq!(dict(&to)["0.weight"].dtype(), DType::F32);
    }

    #[test]
    fn misfits_are_listed_and_nothing_is_set() {
        let to = model(2, 3);
        let (before, mut state) = (weight(&to), dict(&model(1, 3)));
        let moved = state.remove("1.running_mean").unwrap();
        state.insert("1.runing_mean".into(), moved);
        state.insert("1.bias".into(), Tensor::zeros(&[4], DType::F32).unwrap());
        let error = load_state(&to, &state, &[]).unwrap_err().to_string();
        for part in [
            "1 missing: 1.running_mean (there is 1.runing_mean)",
            "1.bias is f32[4] but the model wants f32[3]",
            "1 unexpected: 1.runing_mean",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(weight(&to), before);
    }

    #[test]
    fn a_head_can_be_skipped() {
        let (to, mut state) = (model(2, 3), dict(&model(1, 3)));
        state.insert("enc.d".into(), Tensor::zeros(&[4], DType::F32).unwrap());
        assert!(load_state(&to, &state, &[]).is_err());
        load_state(&to, &state, &["enc."]).unwrap();
    }
}

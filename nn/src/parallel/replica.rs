//! The ranks' copies of the model: made equal at the start, checked to be equal later.

use std::collections::BTreeMap;

use tensor::Tensor;

use crate::{
    Collect, Collective, Module, Result,
    collective::Failure,
    init::fnv1a,
    optim::{Optimizer, State},
    parameters,
};

/// Gives every rank rank 0's parameters and buffers.
///
/// # Errors
/// A model of another shape on another rank; a rank that is lost or hangs.
pub fn broadcast_state(model: &dyn Module, ranks: &dyn Collective) -> Result<()> {
    if ranks.world() == 1 {
        return Ok(());
    }
    for entry in Collect::of(model) {
        entry.set(ranks.broadcast(&entry.value(), 0)?);
    }
    Ok(())
}

/// Gives every rank rank 0's state of the optimiser, for the parameters of `model`.
///
/// # Errors
/// As [`broadcast_state`]; another optimiser on another rank.
pub fn broadcast_optimizer(
    optimizer: &mut Optimizer,
    model: &dyn Module,
    ranks: &dyn Collective,
) -> Result<()> {
    let params = parameters(model);
    let slots = optimizer.slots().len();
    let steps: Vec<i64> =
        params.iter().map(|(name, _)| optimizer.state().get(name).map_or(0, |s| s.steps as i64)).collect();
    let steps = ranks.broadcast(&Tensor::from_slice(&steps, &[steps.len()])?, 0)?.to_vec::<i64>()?;
    let mut state = BTreeMap::new();
    for ((name, param), steps) in params.into_iter().zip(steps).filter(|(_, steps)| *steps > 0) {
        let mine = optimizer.state().get(&name);
        let value =
            |slot: usize| mine.and_then(|s| s.slots.get(slot).cloned()).unwrap_or_else(|| param.value());
        let slots = (0..slots).map(|slot| ranks.broadcast(&value(slot), 0)).collect::<Result<Vec<_>>>()?;
        state.insert(name, State { steps: steps as u64, slots });
    }
    optimizer.set_state(state)
}

/// Fails where a rank's parameters or buffers differ from rank 0's in a single bit: then updates were not the same, and
/// the ranks no longer train one model.
///
/// # Errors
/// [`Failure::Diverged`], on every rank; a rank that is lost or hangs.
pub fn check_replicas(model: &dyn Module, ranks: &dyn Collective) -> Result<()> {
    if ranks.world() == 1 {
        return Ok(());
    }
    let entries = Collect::of(model);
    let hash = |value: Tensor| -> Result<i64> { Ok(fnv1a(&value.to_bytes()?) as i64) };
    let hashes = entries.iter().map(|e| hash(e.value())).collect::<Result<Vec<_>>>()?;
    let all = ranks.all_gather(&Tensor::from_slice(&hashes, &[hashes.len()])?)?;
    let all = all.iter().map(Tensor::to_vec::<i64>).collect::<Result<Vec<_>, _>>()?;
    for (rank, has) in all.iter().enumerate() {
        if let Some(i) = has.iter().zip(&all[0]).position(|(a, b)| a != b) {
            return Err(Failure::Diverged { rank, what: entries[i].name.clone() }.into());
        }
    }
    Ok(())
}

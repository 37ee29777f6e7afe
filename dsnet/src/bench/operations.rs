//! Where the time of a training step goes: one row for each operation on each shape of operands.

use std::{collections::BTreeMap, time::Instant};

use serde::Serialize;
use tensor::{Device, profile::profile};

use super::training::Pupil;
use crate::{Result, device::Precision, train::Size};

/// What an operation takes of a training step, all its uses on operands of these shapes together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperationTime {
    /// Its name.
    pub op: String,
    /// Types and dims of its operands; empty where operands of all shapes are counted together.
    pub operands: String,
    /// Uses in one step.
    pub calls: usize,
    /// Milliseconds in one step, the mean of all measured steps.
    pub ms: f64,
    /// Floating-point operations of the plain sum in one step.
    pub flops: u64,
    /// Bytes that have to be read and written at least in one step.
    pub bytes: u64,
}

/// The result of [`operations`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operations {
    /// Steps measured.
    pub iters: usize,
    /// Threads.
    pub threads: usize,
    /// What they were computed in.
    pub precision: Precision,
    /// Where they were computed.
    pub device: String,
    /// Milliseconds of a step, its mean; more than all operations together take.
    pub step_ms: f64,
    /// By operation, the costliest first.
    pub totals: Vec<OperationTime>,
    /// By operation and operands, the costliest first.
    pub operations: Vec<OperationTime>,
}

/// Times the operations of `iters` training steps (as [`super::training`]'s).
///
/// # Errors
/// Where there is no such model, or the size is no multiple of 8.
pub fn operations(
    name: &str,
    classes: usize,
    size: Size,
    batch: usize,
    iters: usize,
    precision: Precision,
    device: &Device,
    tick: &dyn Fn(),
) -> Result<Operations> {
    let mut pupil = Pupil::new(name, classes, size, batch, precision, device)?;
    pupil.step()?;
    let mut seconds = 0.0;
    let mut rows = BTreeMap::new();
    let mut totals = BTreeMap::new();
    for _ in 0..iters {
        let start = Instant::now();
        let (done, samples) = profile(|| pupil.step());
        done?;
        seconds += start.elapsed().as_secs_f64();
        for sample in samples {
            let both =
                [rows.entry((sample.op, sample.operands.clone())), totals.entry((sample.op, String::new()))];
            for entry in both {
                let sum: &mut OperationTime = entry.or_insert_with_key(|(op, operands)| OperationTime {
                    op: (*op).into(),
                    operands: operands.clone(),
                    calls: 0,
                    ms: 0.0,
                    flops: 0,
                    bytes: 0,
                });
                sum.calls += 1;
                sum.ms += sample.time.as_secs_f64() * 1e3;
                sum.flops += sample.cost.flops;
                sum.bytes += sample.cost.bytes;
            }
        }
        tick();
    }
    Ok(Operations {
        iters,
        threads: rayon::current_num_threads(),
        precision,
        device: device.name().into(),
        step_ms: seconds * 1e3 / iters as f64,
        totals: per_step(totals, iters),
        operations: per_step(rows, iters),
    })
}

/// Sums over `iters` steps as means, the costliest first.
fn per_step(sums: BTreeMap<(&str, String), OperationTime>, iters: usize) -> Vec<OperationTime> {
    let n = iters as u64;
    let mut rows: Vec<_> = sums
        .into_values()
        .map(|row| OperationTime {
            calls: row.calls / iters,
            ms: row.ms / iters as f64,
            flops: row.flops / n,
            bytes: row.bytes / n,
            ..row
        })
        .collect();
    rows.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    rows
}

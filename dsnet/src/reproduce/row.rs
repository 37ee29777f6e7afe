//! Making one row: training, where it takes one, then measuring; and the file that says that it is done.

use std::path::{Path, PathBuf};

use nn::{Initializer, checkpoint::write_atomically, parameter_count};
use serde::{Deserialize, Serialize};

use super::{Request, Row};
use crate::{
    Error, Result,
    bench::{self, Way},
    compile::Wanted,
    device,
    model::{self, DsNet},
    report::Record,
    train::{RunFolder, Size, TrainOptions, train},
    ui::Progress,
};

/// Classes of Cityscapes, for rows that are trained on nothing.
const CLASSES: usize = 19;

/// The mean latency of one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Milliseconds.
    pub mean_ms: f64,
}

/// What a finished row is found to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// How it was trained, as TOML; empty where nothing was.
    pub settings: String,
    /// How latencies were measured; empty where none were. (Files of the first version do not tell.)
    #[serde(default)]
    pub measuring: String,
    /// Trainable values.
    pub parameters: usize,
    /// mIoU on the validation split in 0..=1, of the best weights.
    pub miou: Option<f64>,
    /// mIoU of the groups of equal γ, γ ascending.
    pub groups: Vec<Option<f64>>,
    /// Passes over the training set.
    pub epochs: usize,
    /// Latencies at the row's sizes.
    pub latencies: Vec<Latency>,
    /// Threads that were measured with.
    pub threads: usize,
    /// Where latencies were measured.
    pub device: String,
}

fn file(row: &Row, out: &Path) -> PathBuf {
    out.join(&row.name).join("row.json")
}

/// The row as it was made before, with whatever settings; none where it is not finished.
fn made(row: &Row, out: &Path) -> Result<Option<Measured>> {
    let path = file(row, out);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            Error::message(format!("{} can not be read ({e}); delete it to measure again", path.display()))
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path, e)),
    }
}

/// The row as it was made before; none where it was not made as `request` wants it.
pub(super) fn stored(row: &Row, request: &Request) -> Result<Option<Measured>> {
    let wanted = (trained_how(row)?, measured_how(row, request));
    Ok(made(row, &request.out)?.filter(|found| (&found.settings, &found.measuring) == (&wanted.0, &wanted.1)))
}

/// [`Measured::settings`] of a row.
fn trained_how(row: &Row) -> Result<String> {
    row.training.as_ref().map_or(Ok(String::new()), settings)
}

/// [`Measured::measuring`] of a row.
fn measured_how(row: &Row, request: &Request) -> String {
    if row.sizes.is_empty() {
        return String::new();
    }
    let (device, threads) = (device_of(request), rayon::current_num_threads());
    let precision = request.options.precision.unwrap_or_default();
    format!("device {device}, precision {precision}, threads {threads}, mean of {}", request.iters)
}

fn device_of(request: &Request) -> &str {
    request.options.device.as_deref().unwrap_or("cpu")
}

/// What decides the result of a training, as text.
fn settings(options: &TrainOptions) -> Result<String> {
    // None of these changes it.
    let same = TrainOptions {
        threads: None,
        workers: None,
        out: None,
        root: None,
        cache: None,
        cache_limit: None,
        save_every: None,
        rank_timeout: None,
        ..options.clone().with_defaults()?
    };
    same.to_toml()
}

/// Makes a row, or what is left of it.
pub(super) fn make(row: &Row, request: &Request) -> Result<Measured> {
    let folder = request.out.join(&row.name);
    let precision = request.options.precision.unwrap_or_default();
    let (settings, measuring) = (trained_how(row)?, measured_how(row, request));
    let before = made(row, &request.out)?;
    if before.as_ref().is_some_and(|before| row.training.is_some() && before.settings != settings) {
        let what =
            format!("{} was made with other settings; choose another --out, or delete it", folder.display());
        return Err(Error::usage(what));
    }
    // What was measured otherwise is measured anew; the training stays.
    let trained_before = match before {
        Some(before) if before.measuring == measuring => return Ok(before),
        before => before.filter(|_| row.training.is_some()),
    };
    let mut found = Measured {
        settings,
        measuring,
        parameters: 0,
        miou: None,
        groups: vec![],
        epochs: 0,
        latencies: vec![],
        threads: rayon::current_num_threads(),
        device: String::new(),
    };
    let Some(model) = &row.model else { return Ok(found) };
    let mut classes = CLASSES;
    if let Some(options) = &row.training {
        if trained_before.is_none() {
            trained(&folder, options)?;
        }
        let record = Record::read(&RunFolder::reopen(Some(&folder))?.0)?;
        let best = record.best().and_then(|epoch| epoch.val.as_ref());
        let scores = best.ok_or_else(|| Error::message("the run was never evaluated"))?;
        found.miou = Some(scores.miou);
        found.groups = scores.gamma_groups.iter().map(|group| group.iou).collect();
        found.epochs = record.config.epochs;
        classes = record.config.data.classes().len();
    }
    let net = DsNet::new(&model::config(model, classes)?, &Initializer::new(0))?;
    found.parameters = parameter_count(&net);
    let device = device::open(device_of(request), precision)?;
    for &size in &row.sizes {
        let progress = Progress::new(format!("measuring {model}"), "runs", request.iters as u64);
        let way = Way::Plan(Wanted::Labels, precision);
        let tick = || progress.add(1);
        let inference = bench::inference(model, classes, size, 1, request.iters, way, &device, &tick)?;
        found.device = device::described(&device)?;
        progress.finish();
        let Size { height, width } = size;
        found.latencies.push(Latency { width, height, mean_ms: inference.timing.mean_ms });
    }
    let json = serde_json::to_vec_pretty(&found);
    let json = json.map_err(|e| Error::message(format!("a row can not be written: {e}")))?;
    std::fs::create_dir_all(&folder).map_err(|e| Error::io("make the folder", &folder, e))?;
    write_atomically(&file(row, &request.out), &json)?;
    Ok(found)
}

/// Trains in `folder`, or goes on there.
fn trained(folder: &Path, options: &TrainOptions) -> Result<()> {
    let options = options.clone().with_defaults()?;
    let folder = if folder.join("config.toml").exists() {
        let (folder, stored) = RunFolder::reopen(Some(folder))?;
        let before = settings(&stored)?;
        if before != settings(&options)? {
            let what = format!(
                "{} was begun with other settings; choose another --out, or delete it",
                folder.path().display()
            );
            return Err(Error::usage(what));
        }
        folder
    } else {
        options.resolve()?.check_init()?;
        RunFolder::create(Some(folder), "", &options)?
    };
    train(&options.resolve()?, &folder)
}

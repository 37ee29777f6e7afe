//! Where the time of loading goes: reading files, decoding them, augmenting, collating; and what loading threads deliver.
//!
//! Reading is timed by the clock on the wall. The other stages are timed by what the thread spent on a processor, where the
//! system tells (Linux): other programs do not change it.

use std::{sync::Arc, time::Instant};

use datasets::{Batch, CacheUse, Cached, Dataset, Loader, LoaderOptions, Position};
use serde::Serialize;

use crate::{Error, Result, train::TrainConfig};

/// Mean time of a stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// What is done.
    pub name: String,
    /// Milliseconds for each sample, on one core: by the clock for reading, else on the processor.
    pub ms: f64,
}

/// What a number of loading threads delivers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Delivery {
    /// Loading threads.
    pub workers: usize,
    /// Samples per second that a consumer gets who does nothing else.
    pub samples_per_second: f64,
}

/// The result of [`data`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataBench {
    /// The data, in words.
    pub data: String,
    /// Samples measured.
    pub samples: usize,
    /// Width and height of what a step gets.
    pub size: (usize, usize),
    /// Bytes of files read for each sample.
    pub file_bytes: u64,
    /// Bytes that a step gets of each sample.
    pub batch_bytes: u64,
    /// The stages of a sample that is read from its files.
    pub stages: Vec<Stage>,
    /// The same for one that is read from the cache, where there is one; the cache then holds it.
    pub cached: Option<Vec<Stage>>,
    /// Bytes in the cache, and how many samples were left out of it.
    pub cache: Option<(u64, u64)>,
    /// What loading threads deliver, from the cache where there is one.
    pub delivery: Vec<Delivery>,
}

impl DataBench {
    /// The stages that count: from the cache where there is one.
    pub fn counting(&self) -> &[Stage] {
        self.cached.as_deref().unwrap_or(&self.stages)
    }

    /// Samples per second of one core.
    pub fn per_core(&self) -> f64 {
        1e3 / total(self.counting())
    }

    /// The stage that takes longest.
    pub fn bottleneck(&self) -> Option<&Stage> {
        self.counting().iter().max_by(|a, b| a.ms.total_cmp(&b.ms))
    }
}

/// Milliseconds of all stages.
pub fn total(stages: &[Stage]) -> f64 {
    stages.iter().map(|stage| stage.ms).sum()
}

/// Seconds that this thread spent on a processor, where the system tells.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<u64>().ok()? as f64 * 1e-9)
}

/// What `f` returns, and the seconds on a processor that it takes; on the wall where the system does not tell.
fn computed<T>(f: impl FnOnce() -> T) -> (T, f64) {
    let before = processor_seconds();
    let (value, wall) = timed(f);
    let spent = before.and_then(|before| Some(processor_seconds()? - before));
    (value, spent.unwrap_or(wall))
}

/// Seconds that `f` takes, with its result.
fn timed<T>(f: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = f();
    (value, start.elapsed().as_secs_f64())
}

/// Loads about `count` samples as the training that `config` describes would, first stage by stage on one thread, then by
/// each of these numbers of `workers`. `tick` is called after each sample of the first part.
///
/// # Errors
/// Where a sample can not be read, or the data has none.
pub fn data(config: &TrainConfig, count: usize, workers: &[usize], tick: &dyn Fn()) -> Result<DataBench> {
    let plain = config.parts(config.data.open_train()?)?;
    // All that a batch of training has, but small data in smaller ones.
    let options = |data: &Arc<dyn Dataset>| LoaderOptions {
        batch: config.batch.min(data.len()),
        drop_last: true,
        ..config.loader_options()
    };
    let loader = Loader::new(plain.clone(), options(&plain))?;
    let mut bench = DataBench {
        data: plain.describe(),
        samples: count,
        size: (0, 0),
        file_bytes: 0,
        batch_bytes: 0,
        stages: vec![],
        cached: None,
        cache: None,
        delivery: vec![],
    };
    bench.stages = stages(&loader, count, &mut bench, true, tick)?;
    let mut data = plain;
    if let Some(folder) = config.open_cache()? {
        let cached = Arc::new(Cached::new(config.data.open_train()?, folder)?);
        data = config.parts(cached.clone())?;
        let loader = Loader::new(data.clone(), options(&data))?;
        for (_, index) in samples(&loader, count) {
            data.load(index)?;
        }
        bench.cached = Some(stages(&loader, count, &mut bench.clone(), false, &|| {})?);
        let CacheUse { bytes, left_out, .. } = cached.usage();
        bench.cache = Some((bytes, left_out));
    }
    for &workers in workers {
        let loader = Loader::new(data.clone(), LoaderOptions { workers, ..options(&data) })?;
        let batch = loader.options().batch;
        let batches = count.div_ceil(batch);
        let per_epoch = loader.batches_per_epoch();
        let to = Position { epoch: batches / per_epoch, batch: batches % per_epoch };
        let (delivered, seconds) =
            timed(|| loader.range(Position::default(), to)?.collect::<Result<Vec<_>, _>>());
        let samples: usize = delivered?.iter().map(Batch::len).sum();
        bench.delivery.push(Delivery { workers, samples_per_second: samples as f64 / seconds });
    }
    Ok(bench)
}

/// Epoch and index of the first `count` samples that training meets.
fn samples(loader: &Loader, count: usize) -> Vec<(usize, usize)> {
    let epoch = |epoch| loader.order(epoch).into_iter().map(move |index| (epoch, index));
    (0..).flat_map(epoch).take(count).collect()
}

/// Means over `count` samples; `from_files`: whether they are read from files, and not from a cache.
fn stages(
    loader: &Loader,
    count: usize,
    bench: &mut DataBench,
    from_files: bool,
    tick: &dyn Fn(),
) -> Result<Vec<Stage>> {
    let data = loader.dataset();
    let norm = data.normalization();
    let (mut read, mut decode, mut augment, mut collate) = (0.0, 0.0, 0.0, 0.0);
    let (mut bytes, mut collated) = (0, 0);
    let mut waiting = Vec::new();
    let files = |index| -> Result<u64> {
        let mut bytes = 0;
        for path in data.files(index).iter().filter(|_| from_files) {
            bytes += std::fs::read(path).map_err(|e| Error::io("read", path, e))?.len() as u64;
        }
        Ok(bytes)
    };
    for (epoch, index) in samples(loader, count) {
        let (first, seconds) = timed(|| files(index));
        read += seconds;
        bytes += first?;
        // Loading reads the files again, which the system has in memory by then.
        let (again, reading) = computed(|| files(index));
        again?;
        let (sample, seconds) = computed(|| data.load(index));
        // The sum of differences is what counts: a single one may be below 0 by the clock's resolution.
        decode += seconds - reading;
        let (augmented, seconds) = computed(|| sample.map(|sample| loader.augment(epoch, index, sample)));
        augment += seconds;
        waiting.push(augmented?.sample);
        if waiting.len() == loader.options().batch || collated + waiting.len() == count {
            let (names, indices) = (vec![String::new(); waiting.len()], vec![0; waiting.len()]);
            let (batch, seconds) =
                computed(|| Batch::collate(&waiting, names, indices, Some(&norm), Position::default()));
            collate += seconds;
            let images = batch?.images;
            bench.size = (images.dims()[3], images.dims()[2]);
            collated += waiting.len();
            waiting.clear();
        }
        tick();
    }
    let each = count.max(1);
    if from_files {
        bench.file_bytes = bytes / each as u64;
        // Colours as f32, labels as bytes.
        bench.batch_bytes = (bench.size.0 * bench.size.1 * (3 * size_of::<f32>() + 1)) as u64;
    }
    let load = match (from_files, bytes) {
        (false, _) => "from the cache",
        (true, 0) => "draw",
        (true, _) => "decode",
    };
    // Above 0, for rates and shares.
    let stage =
        |name: &str, seconds: f64| Stage { name: name.into(), ms: 1e3 * seconds.max(1e-9) / each as f64 };
    let mut all = vec![stage(load, decode), stage("augment", augment), stage("collate", collate)];
    if bytes > 0 {
        all.insert(0, stage("read", read));
    }
    Ok(all)
}

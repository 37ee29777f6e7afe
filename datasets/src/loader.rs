//! Worker threads that turn samples into batches ahead of time.
//!
//! Worker k of n builds the batches k, k + n, k + 2n, ... of the run and hands them over through a bounded
//! channel of its own; the consumer asks the channels in turn. So the order is fixed by arithmetic, memory is
//! bounded, and nothing is reordered or waits for anything but its own batch. Everything random depends on
//! (seed, epoch, index) only: one worker or sixteen, fresh or resumed, the batches are the same.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::augment::{Augment, Geometry};
use crate::batch::{Batch, Pixels};
use crate::dataset::{Dataset, Normalization, Sample};
use crate::error::{Error, Result};
use crate::jitter::Jitter;
use crate::rng::Rng;
use crate::shard::Shard;

/// Marks the random stream of shuffling.
const STREAM: u64 = 0x7368_7566;

/// A place in a training run: batch `batch` of epoch `epoch`, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Position {
    /// Passes over the data completed before this one.
    pub epoch: usize,
    /// Batches of this epoch before this one.
    pub batch: usize,
}

/// A sample as training sees it, not yet normalised.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmented {
    /// Image and labels.
    pub sample: Sample,
    /// What was done to them.
    pub geometry: Geometry,
    /// How the colours were changed, where they were.
    pub jitter: Option<Jitter>,
    /// Width and height before that.
    pub original: (usize, usize),
}

/// How samples become batches.
#[derive(Debug, Clone)]
pub struct LoaderOptions {
    /// Samples per batch, on all ranks together.
    pub batch: usize,
    /// A new order in every epoch; otherwise 0, 1, 2, ...
    pub shuffle: bool,
    /// Leave out an incomplete last batch.
    pub drop_last: bool,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Which part of each batch is loaded here.
    pub shard: Shard,
    /// Loading threads.
    pub workers: usize,
    /// Finished batches that each thread may have waiting.
    pub prefetch: usize,
    /// What is done to each sample.
    pub augment: Augment,
    /// What images are normalised with; the dataset's own when `None`.
    pub normalization: Option<Normalization>,
    /// Whether images are normalised.
    pub pixels: Pixels,
}

impl Default for LoaderOptions {
    /// One sample per batch in dataset order, unchanged: what evaluation wants.
    fn default() -> LoaderOptions {
        LoaderOptions {
            batch: 1,
            shuffle: false,
            drop_last: false,
            seed: 0,
            shard: Shard::default(),
            workers: 1,
            prefetch: 2,
            augment: Augment::default(),
            normalization: None,
            pixels: Pixels::Normalized,
        }
    }
}

/// A dataset with the way it is batched. Cheap to clone; threads run only while [`Batches`] exists.
#[derive(Clone)]
pub struct Loader {
    dataset: Arc<dyn Dataset>,
    options: Arc<LoaderOptions>,
}

impl Loader {
    /// Errors on options that make no sense, and on a dataset that yields no batch.
    pub fn new(dataset: Arc<dyn Dataset>, options: LoaderOptions) -> Result<Loader> {
        options.augment.validate()?;
        for (value, name) in [
            (options.batch, "batch size"),
            (options.workers, "number of workers"),
            (options.prefetch, "prefetch"),
        ] {
            if value == 0 {
                return Err(Error::Options(format!("the loader's {name} must be at least 1")));
            }
        }
        let Shard { rank, world } = options.shard;
        if rank >= world {
            return Err(Error::Options(format!("there is no rank {rank} among {world}")));
        }
        let loader = Loader { dataset, options: Arc::new(options) };
        if loader.batches_per_epoch() == 0 {
            return Err(Error::Options(format!(
                "{} has {} samples, too few for one batch of {} with incomplete batches left out",
                loader.dataset.describe(),
                loader.dataset.len(),
                loader.options.batch
            )));
        }
        Ok(loader)
    }

    /// The dataset.
    pub fn dataset(&self) -> &Arc<dyn Dataset> {
        &self.dataset
    }

    /// The options.
    pub fn options(&self) -> &LoaderOptions {
        &self.options
    }

    /// Batches in one epoch.
    pub fn batches_per_epoch(&self) -> usize {
        let (n, batch) = (self.dataset.len(), self.options.batch);
        if self.options.drop_last { n / batch } else { n.div_ceil(batch) }
    }

    /// Sample numbers of one epoch, in the order in which they are loaded.
    pub fn order(&self, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.dataset.len()).collect();
        if self.options.shuffle {
            Rng::new(self.options.seed, &[STREAM, epoch as u64]).shuffle(&mut order);
        }
        order
    }

    /// All batches of one epoch.
    pub fn epoch(&self, epoch: usize) -> Result<Batches> {
        self.range(Position { epoch, batch: 0 }, Position { epoch: epoch + 1, batch: 0 })
    }

    /// The batches from `from` up to, not including, `to`, across epochs, loaded ahead without a pause
    /// between them. Errors when `from` is beyond the end of its epoch, and when a thread cannot be started.
    pub fn range(&self, from: Position, to: Position) -> Result<Batches> {
        let per_epoch = self.batches_per_epoch();
        if from.batch > per_epoch {
            return Err(Error::Options(format!(
                "cannot start at batch {} of epoch {}: an epoch has {per_epoch} batches of {}; was the run \
                 started with another batch size or dataset?",
                from.batch, from.epoch, self.options.batch
            )));
        }
        let ticket = |p: Position| p.epoch * per_epoch + p.batch;
        let (first, end) = (ticket(from), ticket(to));
        let stop = Arc::new(AtomicBool::new(false));
        let mut batches = Batches { next: first, first, end, per_epoch, stop, workers: Vec::new() };
        let count = self.options.workers.min(end.saturating_sub(first));
        for worker in 0..count {
            let (send, receive) = sync_channel(self.options.prefetch);
            let (loader, stop) = (self.clone(), batches.stop.clone());
            let thread = std::thread::Builder::new()
                .name(format!("loader-{worker}"))
                .spawn(move || loader.work(first + worker, end, count, &stop, &send))
                .map_err(|e| Error::io("start a thread for loading", self.dataset.describe(), e))?;
            batches.workers.push(Worker { receive: Some(receive), thread: Some(thread) });
        }
        Ok(batches)
    }

    /// Sample `index` as training sees it in `epoch`.
    pub fn sample(&self, epoch: usize, index: usize) -> Result<Augmented> {
        Ok(self.augment(epoch, index, self.dataset.load(index)?))
    }

    /// Sample `index`, read already, as training sees it in `epoch`.
    pub fn augment(&self, epoch: usize, index: usize, whole: Sample) -> Augmented {
        let o = &*self.options;
        let original = whole.image.size();
        let geometry = o.augment.draw(o.seed, epoch, index, original);
        let norm = o.normalization.unwrap_or_else(|| self.dataset.normalization());
        let mut sample = if geometry.is_identity(original) { whole } else { geometry.apply(&whole, &norm) };
        let jitter = o.augment.draw_jitter(o.seed, epoch, index);
        if let Some(jitter) = jitter {
            sample.image = jitter.apply(&sample.image, geometry.picture());
        }
        Augmented { sample, geometry, jitter, original }
    }

    fn work(
        &self,
        first: usize,
        end: usize,
        step: usize,
        stop: &AtomicBool,
        send: &SyncSender<Result<Batch>>,
    ) {
        let per_epoch = self.batches_per_epoch();
        let mut order = (usize::MAX, Vec::new());
        for ticket in (first..end).step_by(step) {
            let position = Position { epoch: ticket / per_epoch, batch: ticket % per_epoch };
            let batch = catch_unwind(AssertUnwindSafe(|| {
                if order.0 != position.epoch {
                    order = (position.epoch, self.order(position.epoch));
                }
                self.build(position, &order.1, stop)
            }))
            .unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
                let message = text.or_else(|| panic.downcast_ref::<String>().cloned());
                Err(Error::Worker {
                    epoch: position.epoch,
                    batch: position.batch,
                    message: message.unwrap_or_else(|| "no message".into()),
                })
            });
            // The consumer left: nobody wants the rest.
            if stop.load(Ordering::Relaxed) || send.send(batch).is_err() {
                return;
            }
        }
    }

    fn build(&self, position: Position, order: &[usize], stop: &AtomicBool) -> Result<Batch> {
        let o = &*self.options;
        let norm = o.normalization.unwrap_or_else(|| self.dataset.normalization());
        let start = position.batch * o.batch;
        let all = &order[start..(start + o.batch).min(order.len())];
        let indices = all[o.shard.part(all.len())].to_vec();
        if indices.is_empty() {
            return Batch::empty(
                self.sample(position.epoch, all[0])?.sample.image.size(),
                o.pixels,
                position,
            );
        }
        let mut samples: Vec<Sample> = Vec::with_capacity(indices.len());
        for &index in &indices {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            samples.push(self.sample(position.epoch, index)?.sample);
        }
        let names = indices.iter().map(|&i| self.dataset.name(i).to_owned()).collect();
        let norm = (o.pixels == Pixels::Normalized).then_some(&norm);
        Batch::collate(&samples, names, indices, norm, position)
    }
}

/// Batches in order, made ahead by worker threads. A failed batch is an `Err` in its place and the following
/// ones still come. Dropping it stops the threads.
pub struct Batches {
    next: usize,
    first: usize,
    end: usize,
    per_epoch: usize,
    stop: Arc<AtomicBool>,
    workers: Vec<Worker>,
}

struct Worker {
    receive: Option<Receiver<Result<Batch>>>,
    thread: Option<JoinHandle<()>>,
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        if self.next >= self.end {
            return None;
        }
        let worker = &self.workers[(self.next - self.first) % self.workers.len()];
        self.next += 1;
        match worker.receive.as_ref().map(Receiver::recv) {
            Some(Ok(batch)) => Some(batch),
            // Panics are caught per batch, so a silent channel means the thread itself was lost.
            _ => {
                let at = std::mem::replace(&mut self.next, self.end) - 1;
                let (epoch, batch) = (at / self.per_epoch, at % self.per_epoch);
                let message = "the thread ended before its batches were made".into();
                Some(Err(Error::Worker { epoch, batch, message }))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.saturating_sub(self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batches {}

impl Drop for Batches {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Closing the channels wakes the threads that wait for room.
        self.workers.iter_mut().for_each(|w| w.receive = None);
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // A panic outside catch_unwind was already reported as a lost thread.
                let _ = thread.join();
            }
        }
    }
}

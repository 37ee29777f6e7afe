//! The training loop. Everything random is a function of (seed, epoch, index), and a checkpoint holds everything else:
//! a run that was killed ends, when it goes on, with the same weights as one that was not.

use std::{sync::Arc, time::Instant};

use datasets::{Batch, Dataset, Loader, LoaderOptions, Position, Shard};
use nn::{Collective, collective::Solo, optim::Ema, schedule::Schedule};

use super::{
    Feed, Learner, Line, Log, Phases, RunFolder, StepLine, StepLoss, TrainConfig, TrainData, fit,
    ranks::{self, Lead},
    rate,
    rescue::rescue,
};
use crate::{
    Error, Result,
    metrics::{Confusion, Scores},
    model::{self, DsNet},
    spare, stop,
    ui::{Progress, duration, percent},
    weights::{self, ModelInfo, Saved},
};

/// Trains as `config` says, in `folder`, which is locked meanwhile; goes on where the folder has a checkpoint.
///
/// # Errors
/// Defects of the data, all listed, before anything starts (a folder made for this run is then taken away again);
/// [`Error::NotFinite`] with step, layer and files; a
/// checkpoint that can not be read or is of another model; [`Error::Stopped`] by a signal. The message says what is saved
/// and how to go on.
pub fn train(config: &TrainConfig, folder: &RunFolder) -> Result<()> {
    let folder = folder.clone().locked()?;
    let done = TrainData::open(config).and_then(|data| train_on(config, &folder, &data));
    done.inspect_err(|_| folder.take_back())
}

/// The same on data that is open already.
///
/// # Errors
/// As [`train`]; a rank that is lost or hangs, by its number.
pub fn train_on(config: &TrainConfig, folder: &RunFolder, data: &TrainData) -> Result<()> {
    let folder = folder.clone().locked()?;
    if config.place.world == 1 {
        return run(config, &folder, data, Arc::new(Solo));
    }
    ranks::threads(config, &folder, data, run)
}

/// The training, as rank 0 leads it.
pub(super) fn run(
    config: &TrainConfig,
    folder: &RunFolder,
    data: &TrainData,
    ranks: Arc<dyn Collective>,
) -> Result<()> {
    let start = Instant::now();
    let mut run = Run::prepare(config, folder, data, ranks)?;
    run.announce();
    run.log.write(&run.start_line())?;
    let listening = stop::listen()?;
    if let Err(e) = run.epochs() {
        let (state, on_disk) = (run.saved, run.on_disk.is_some());
        return Err(rescue(run.lead.explain(e), folder, &state, on_disk, || run.save()));
    }
    drop(listening);
    run.conclude(start)
}

/// A run under way.
pub(super) struct Run<'a> {
    pub(super) config: &'a TrainConfig,
    pub(super) folder: &'a RunFolder,
    pub(super) loader: Loader,
    pub(super) val: Arc<dyn Dataset>,
    pub(super) learner: Learner,
    pub(super) lead: Lead,
    pub(super) info: ModelInfo,
    pub(super) schedule: Schedule,
    /// Where the training stands.
    pub(super) saved: Saved,
    /// Where the last checkpoint stands; none before the first, and where it is damaged.
    pub(super) on_disk: Option<Position>,
    pub(super) log: Log,
}

impl<'a> Run<'a> {
    fn prepare(
        config: &'a TrainConfig,
        folder: &'a RunFolder,
        data: &TrainData,
        ranks: Arc<dyn Collective>,
    ) -> Result<Self> {
        let TrainData { train, val, frequencies } = data.clone();
        let (device, ranks) = ranks::join(config, ranks)?;
        let shard = Shard { rank: ranks.rank(), world: ranks.world() };
        let shape = model::config(&config.model, train.classes().len())?;
        let mut learner = Learner::new(config, &shape, &frequencies)?;
        let info = ModelInfo::new(&config.model, config.data.source, &*train, &frequencies)?;
        let loader = Loader::new(train, LoaderOptions { shard, ..config.loader_options() })?;
        let total_steps = loader.batches_per_epoch() * config.epochs;
        let mut saved =
            Saved { at: Position::default(), step: 0, total_steps, seed: config.seed, best: None };
        let mut on_disk = None;
        if let Some(path) = folder.checkpoint()? {
            let how = |other: &std::path::Path| {
                format!("to go on from it:\n  {}", folder.resume_command(Some(other)))
            };
            saved = weights::restore(&path, &mut learner, &info, &saved)
                .map_err(|e| spare::offer(e, &path, how))?;
            on_disk = (path == folder.last()).then_some(saved.at);
        } else if let Some(path) = &config.init {
            weights::start_from(path, &learner.model, &info)?;
            if let Some(average) = &learner.average {
                Ema::begin(&average.model, &learner.model)?;
            }
        }
        learner.move_to(&device)?;
        let lead = Lead::new(ranks);
        lead.begin(&mut learner, saved.at)?;
        let log = Log::open(folder, saved.step, saved.at)?;
        let schedule = Schedule::new(config.schedule.0.clone()).warmup(config.warmup as u64);
        Ok(Self { config, folder, loader, val, learner, lead, info, schedule, saved, on_disk, log })
    }

    pub(super) fn per_epoch(&self) -> usize {
        self.loader.batches_per_epoch()
    }

    fn epochs(&mut self) -> Result<()> {
        let (per_epoch, epochs) = (self.per_epoch(), self.config.epochs);
        let end = Position { epoch: epochs, batch: 0 };
        if self.saved.at >= end {
            return Ok(());
        }
        let batch = self.config.batch as u64;
        let progress = Progress::new("training", "images", (per_epoch * epochs) as u64 * batch);
        progress.begin_at(self.saved.step as u64 * batch);
        let mut epoch_start = Instant::now();
        let mut batches = Feed::new(self.loader.range(self.saved.at, end)?, &self.learner.device)?;
        loop {
            if self.saved.at.batch == per_epoch {
                self.end_epoch(epoch_start, &progress)?;
                epoch_start = Instant::now();
            }
            stop::check()?;
            let start = Instant::now();
            let Some(batch) = batches.next() else { return Ok(()) };
            let batch = batch?;
            let loss = self.step(&batch, start)?;
            let overflow =
                loss.overflow.map_or(String::new(), |at| format!(", overflow at scale {at}: skipped"));
            let epoch = batch.position.epoch + 1;
            progress.note(format!("epoch {epoch}/{epochs}, loss {:.4}{overflow}", loss.total));
            progress.add(self.config.batch as u64);
            if self.saved.at.batch < per_epoch && self.saved.step.is_multiple_of(self.config.save_every) {
                self.lead.check(&self.learner)?;
                self.save()?;
            }
        }
    }

    /// One step; returns the loss.
    fn step(&mut self, batch: &Batch, start: Instant) -> Result<StepLoss> {
        let waited = start.elapsed().as_secs_f64();
        let Position { epoch, batch: index } = batch.position;
        let per_epoch = self.per_epoch();
        let step = epoch * per_epoch + index;
        let factor = rate::factor(&self.schedule, step, epoch, per_epoch, self.config.epochs);
        self.lead.step(batch.position, factor)?;
        let (images, labels) = (&batch.images, &batch.labels);
        let loss = self.learner.step(images, labels, self.config.key(step), factor);
        let loss = loss.map_err(|e| fit::explained(e, &mut self.learner, images, labels));
        let loss = loss.map_err(|e| match e {
            Error::NotFinite(what) => {
                let last = self.folder.last();
                let kept = if last.exists() {
                    format!("the last checkpoint {} is untouched", last.display())
                } else {
                    "no checkpoint was written yet".into()
                };
                let (step, epoch, names) = (step + 1, epoch + 1, batch.names.join(", "));
                Error::NotFinite(format!(
                    "training stopped at step {step} (epoch {epoch}): {what}\n  images: {names}\n  {kept}"
                ))
            }
            other => other.during(format!("step {} on {}", step + 1, batch.names.join(", "))),
        })?;
        (self.saved.at.batch, self.saved.step) = (index + 1, step + 1);
        self.log.write(&Line::Step(StepLine {
            step: step + 1,
            epoch,
            loss: loss.total,
            pixel: loss.pixel,
            sel: loss.sel,
            overflow: loss.overflow,
            lr: self.config.lr * factor,
            seconds: start.elapsed().as_secs_f64(),
            phases: Some(Phases { data: waited, ..self.learner.phases }),
        }))?;
        Ok(loss)
    }

    /// Evaluation, log line, checkpoints.
    fn end_epoch(&mut self, start: Instant, progress: &Progress) -> Result<()> {
        let (Position { epoch, .. }, step, epochs) = (self.saved.at, self.saved.step, self.config.epochs);
        let due = (epoch + 1).is_multiple_of(self.config.eval_every) || epoch + 1 == epochs;
        self.lead.check(&self.learner)?;
        let found = due.then(|| self.score(&self.learner.scored().net)).transpose()?;
        let (miou, loss) = (found.as_ref().map(|found| found.scores.miou), self.log.mean_loss());
        let best = miou.is_some_and(|m| self.saved.best.is_none_or(|b| m > b));
        if best {
            weights::save_model(&self.folder.best(), self.learner.scored(), &self.info)?;
            self.saved.best = miou;
        }
        // The line first: without the checkpoint, going on drops it and writes it again.
        self.log_epoch(epoch, step, loss, found, best)?;
        self.saved.at = Position { epoch: epoch + 1, batch: 0 };
        self.save()?;
        let val = miou.map_or(String::new(), |m| format!("  val mIoU {}", percent(Some(m))));
        let mark = if best { "  best so far" } else { "" };
        let time = duration(start.elapsed().as_secs_f64());
        progress.line(&format!("epoch {:>3}/{epochs}  loss {loss:.4}{val}  {time}{mark}", epoch + 1));
        Ok(())
    }

    pub(super) fn score(&self, net: &DsNet) -> Result<Evaluation> {
        let start = Instant::now();
        let progress = Progress::new("evaluating", "images", self.val.len() as u64);
        let precision = self.config.precision;
        let confusion = self.lead.score(net, precision, &self.val, self.info.normalization(), &progress)?;
        let scores = Scores::new(&confusion, self.val.classes(), Some(&self.info.gamma));
        Ok(Evaluation { scores, confusion, seconds: start.elapsed().as_secs_f64() })
    }

    /// Writes the checkpoint, unless it is there. The one before is kept, if it is whole.
    fn save(&mut self) -> Result<()> {
        if self.on_disk == Some(self.saved.at) {
            return Ok(());
        }
        self.log.sync()?;
        let previous = self.on_disk.map(|_| self.folder.previous());
        let last = self.folder.last();
        weights::save(&last, previous.as_deref(), &self.learner, &self.info, &self.saved)?;
        self.on_disk = Some(self.saved.at);
        Ok(())
    }
}

/// What an evaluation found.
pub(super) struct Evaluation {
    pub(super) scores: Scores,
    pub(super) confusion: Confusion,
    pub(super) seconds: f64,
}

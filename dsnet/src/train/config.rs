//! The settings of a run, with nothing left open: options that were given, defaults of the dataset for the others.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use datasets::{Augment, LoaderOptions, Pixels, Shard};
use nn::Checkpoint;
use tensor::rng::Key;

use super::{
    OptimizerKind, TrainOptions,
    shrink::Shrink,
    values::{Crop, Fall, Loss, PatchList, Scales, Size},
};
use crate::{
    Error, Result,
    data::{DataGiven, DataSpec, Labels, Source},
    device::{self, Precision},
    launch::{Launch, Place},
    model,
};

/// Everything that decides what a run does.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainConfig {
    /// The data.
    pub data: DataSpec,
    /// Parts that each training picture is cut into.
    pub patches: PatchList,
    /// Window cut out of each training sample.
    pub crop: Crop,
    /// Random resizing before the crop.
    pub scales: Scales,
    /// Whether half of the training samples are mirrored.
    pub flip: bool,
    /// Random change of colours, 0 to 1.
    pub jitter: f64,
    /// Where decoded samples are kept, and how many bytes of them.
    pub cache: Option<(PathBuf, u64)>,
    /// Loading threads.
    pub workers: usize,
    /// Name of the model, as in [`model::names`].
    pub model: String,
    /// Checkpoint with the first weights.
    pub init: Option<PathBuf>,
    /// What is minimised, label smoothing included.
    pub loss: Loss,
    /// Passes over the training set.
    pub epochs: usize,
    /// Samples per step.
    pub batch: usize,
    /// The optimiser.
    pub optimizer: OptimizerKind,
    /// Highest learning rate.
    pub lr: f64,
    /// How the learning rate falls.
    pub schedule: Fall,
    /// Steps over which the learning rate rises.
    pub warmup: usize,
    /// Weight decay.
    pub weight_decay: f64,
    /// Decay of the running average of the weights, where one is kept.
    pub ema: Option<f64>,
    /// Largest norm of the gradient, where there is a limit.
    pub clip: Option<f64>,
    /// Seed of everything random.
    pub seed: u64,
    /// Where to compute, as `--device` names it.
    pub device: String,
    /// In which type products are computed.
    pub precision: Precision,
    /// Whether steps on a GPU are recorded.
    pub capture: bool,
    /// The ranks that share each batch, and which of them are of this process.
    pub place: Place,
    /// How long a rank may give no sign of life before it is taken to hang.
    pub rank_timeout: Duration,
    /// Steps between two checkpoints.
    pub save_every: usize,
    /// Epochs between two evaluations.
    pub eval_every: usize,
    /// Sample pictures at the end.
    pub samples: usize,
}

/// What differs by dataset when nothing is said.
struct Defaults {
    crop: &'static str,
    scales: &'static str,
    epochs: usize,
    loss: &'static str,
    /// Of Adam.
    lr: f64,
}

fn defaults(source: Source) -> Defaults {
    // With the weight 1 of the paper, SEL outweighs OWFL in the encoder of a net that starts from nothing, and short runs end
    // several points lower (`docs/results.md`).
    let short = Defaults { crop: "none", scales: "1", epochs: 6, loss: "owfl+0.1*sel", lr: 1e-2 };
    match source {
        Source::Synthetic => short,
        Source::Camvid => Defaults { crop: "256x352", scales: "0.6..1.2", epochs: 80, ..short },
        // Section IV: crops of 800 × 800 at scales {0.5, 1.0}, 120 epochs, λ₁ = λ₂ = 1.
        Source::Cityscapes => {
            Defaults { crop: "800x800", scales: "0.5,1.0", epochs: 120, loss: "owfl+sel", lr: 1e-3 }
        }
    }
}

impl TrainOptions {
    /// These options with the default of each that was not given (the run folder and starting weights have none).
    ///
    /// # Errors
    /// Never for options that this program accepts; the texts of defaults are read like those of users.
    pub fn with_defaults(self) -> Result<Self> {
        let source = self.data.unwrap_or(Source::Synthetic);
        let Defaults { crop, scales, epochs, loss, lr } = defaults(source);
        let optimizer = self.optimizer.unwrap_or(OptimizerKind::Adam);
        let lr = match optimizer {
            OptimizerKind::Adam | OptimizerKind::Adamw => lr,
            OptimizerKind::Sgd => 2e-2,
        };
        let synthetic = source == Source::Synthetic;
        // A rank for each GPU.
        let gpus = device::ordinals(self.device.as_deref().unwrap_or("cpu"))?.len();
        Ok(self.or(Self {
            data: Some(source),
            labels: (source == Source::Cityscapes).then_some(Labels::Fine),
            train_images: synthetic.then_some(DataSpec::TRAIN_IMAGES),
            val_images: synthetic.then_some(DataSpec::VAL_IMAGES),
            scene_size: synthetic.then_some(DataSpec::SCENE_SIZE),
            patches: Some(PatchList(None)),
            crop: Some(crop.parse().map_err(Error::usage)?),
            scales: Some(scales.parse().map_err(Error::usage)?),
            flip: Some(true),
            jitter: Some(0.0),
            shrink: Some(1),
            cache_limit: Some(32.0),
            workers: Some(1),
            model: Some("dsnet-1.0".into()),
            loss: Some(loss.parse().map_err(Error::usage)?),
            label_smoothing: Some(0.0),
            epochs: Some(epochs),
            batch: Some(4),
            optimizer: Some(optimizer),
            lr: Some(lr),
            schedule: Some("poly".parse().map_err(Error::usage)?),
            warmup: Some(50),
            weight_decay: Some(2e-4),
            ema: Some(0.0),
            clip: Some(0.0),
            seed: Some(0),
            device: Some("cpu".into()),
            precision: Some(Precision::F32),
            capture: Some(true),
            ranks: Some(gpus.max(1)),
            rank_timeout: Some(RANK_TIMEOUT),
            save_every: Some(50),
            eval_every: Some(1),
            samples: Some(6),
            ..Self::default()
        }))
    }

    /// The settings that these options ask for.
    ///
    /// # Errors
    /// Where options can not work, or not together.
    pub fn resolve(&self) -> Result<TrainConfig> {
        self.resolve_at(None)
    }

    /// The same for a process that a launcher started.
    ///
    /// # Errors
    /// As [`TrainOptions::resolve`]; ranks that can not be shared out among the processes.
    pub fn resolve_at(&self, launch: Option<&Launch>) -> Result<TrainConfig> {
        self.resolve_as(|ranks, gpus, device| Place::new(launch, ranks, gpus, device))
    }

    /// The settings of a run to look at, however many processes took part.
    ///
    /// # Errors
    /// As [`TrainOptions::resolve`].
    pub(crate) fn resolve_to_look_at(&self) -> Result<TrainConfig> {
        self.resolve_as(|ranks, gpus, _| {
            let count = ranks.unwrap_or(1);
            Ok(Place { first: 0, count, world: count, gpus })
        })
    }

    fn resolve_as(
        &self,
        place: impl FnOnce(Option<usize>, Vec<usize>, &str) -> Result<Place>,
    ) -> Result<TrainConfig> {
        let o = self.clone().with_defaults()?;
        o.check_numbers()?;
        let missing = |name: &str| Error::usage(format!("the option {name} has no value"));
        macro_rules! get {
            ($name:ident) => {
                o.$name.clone().ok_or_else(|| missing(stringify!($name)))?
            };
        }
        let (source, seed) = (get!(data), get!(seed));
        let shrink = Shrink::by(get!(shrink))?;
        let seconds = get!(rank_timeout);
        if !seconds.is_finite() || seconds < 1e-3 {
            return Err(Error::usage(format!("rank-timeout can not be {seconds}")));
        }
        let device = get!(device);
        let place = place(o.ranks, device::ordinals(&device)?, &device)?;
        let cache_limit = get!(cache_limit);
        if !(cache_limit.is_finite() && cache_limit > 0.0) {
            return Err(Error::usage(format!("cache-limit can not be {cache_limit}")));
        }
        let given = DataGiven {
            root: o.root.clone(),
            labels: o.labels,
            train_images: o.train_images,
            val_images: o.val_images,
            scene_size: o.scene_size,
        };
        let kept_in = o.cache.clone().filter(|folder| folder != Path::new("none"));
        let config = TrainConfig {
            data: given.spec(source)?,
            patches: shrink.patches(get!(patches))?,
            crop: shrink.crop(get!(crop))?,
            scales: get!(scales),
            flip: get!(flip),
            jitter: get!(jitter),
            cache: kept_in.map(|folder| (folder, (cache_limit * 1e9) as u64)),
            workers: get!(workers),
            model: get!(model),
            init: o.init.clone(),
            loss: Loss(get!(loss).0.smoothing(get!(label_smoothing))),
            epochs: get!(epochs),
            batch: get!(batch),
            optimizer: get!(optimizer),
            lr: get!(lr),
            schedule: get!(schedule),
            warmup: get!(warmup),
            weight_decay: get!(weight_decay),
            ema: Some(get!(ema)).filter(|&e| e != 0.0),
            clip: Some(get!(clip)).filter(|&c| c != 0.0),
            seed,
            device,
            precision: get!(precision),
            capture: get!(capture),
            place,
            rank_timeout: o.timeout(),
            save_every: get!(save_every),
            eval_every: get!(eval_every),
            samples: get!(samples),
        };
        config.check()?;
        Ok(config)
    }
}

/// Seconds.
const RANK_TIMEOUT: f64 = 30.0;

impl TrainOptions {
    /// How long a rank may give no sign of life.
    pub(super) fn timeout(&self) -> Duration {
        Duration::try_from_secs_f64(self.rank_timeout.unwrap_or(RANK_TIMEOUT)).unwrap_or(Duration::MAX)
    }

    /// The options with the number of ranks that a launcher has started, unless it was asked for.
    ///
    /// # Errors
    /// Ranks that can not be shared out.
    pub fn launched(self, launch: Option<&Launch>) -> Result<Self> {
        let device = self.device.as_deref().unwrap_or("cpu");
        let place = Place::new(launch, self.ranks, device::ordinals(device)?, device)?;
        Ok(Self { ranks: Some(place.world), ..self })
    }
}

impl TrainConfig {
    /// Fails where the weights to begin with are not there or of no use: before a run folder is made and data looked over for
    /// minutes.
    ///
    /// # Errors
    /// Names the file.
    pub fn check_init(&self) -> Result<()> {
        let Some(path) = &self.init else { return Ok(()) };
        std::fs::File::open(path).map(drop).map_err(|e| {
            Error::message(format!(
                "the weights to begin with (init), {}, can not be read: {e}; is it made by a training that is still to come?",
                path.display()
            ))
        })?;
        Ok(Checkpoint::load(path)?.expect(&self.model, self.data.classes().len())?)
    }

    /// How training samples become batches.
    pub fn loader_options(&self) -> LoaderOptions {
        LoaderOptions {
            batch: self.batch,
            shuffle: true,
            drop_last: true,
            seed: self.seed,
            shard: Shard::default(),
            workers: self.workers,
            prefetch: 2,
            augment: Augment {
                scale: self.scales.0.clone(),
                crop: self.crop.0.map(|size| (size.height, size.width)),
                flip: self.flip,
                jitter: self.jitter as f32,
            },
            normalization: None,
            pixels: Pixels::Normalized,
        }
    }

    /// Names the random stream of a step, counted from 0.
    pub(super) fn key(&self, step: usize) -> Key {
        Key::new(self.seed, step as u64 + 1)
    }

    fn check(&self) -> Result<()> {
        self.data.check()?;
        model::config(&self.model, 1)?;
        for (name, value, most) in [
            ("epochs", self.epochs, 1_000_000),
            ("batch", self.batch, 1 << 16),
            ("workers", self.workers, 1 << 10),
            ("ranks", self.place.world, 1 << 10),
            ("save-every", self.save_every, usize::MAX),
            ("eval-every", self.eval_every, usize::MAX),
            ("train-images", self.data.train_images, 10_000_000),
            ("val-images", self.data.val_images, 10_000_000),
        ] {
            if value == 0 {
                return Err(Error::usage(format!("{name} must be at least 1")));
            }
            if value > most {
                return Err(Error::usage(format!("{name} can be {most} at most, not {value}")));
            }
        }
        for (name, value, least) in [
            ("lr", self.lr, f64::MIN_POSITIVE),
            ("weight-decay", self.weight_decay, 0.0),
            ("clip", self.clip.unwrap_or(0.0), 0.0),
            ("jitter", self.jitter, 0.0),
            ("label-smoothing", self.loss.0.smoothing, 0.0),
            ("ema", self.ema.unwrap_or(0.0), 0.0),
        ] {
            if !value.is_finite() || value < least {
                return Err(Error::usage(format!("{name} can not be {value}")));
            }
        }
        for (name, value, most) in [
            ("jitter", self.jitter, 1.0),
            ("label-smoothing", self.loss.0.smoothing, 0.99),
            ("ema", self.ema.unwrap_or(0.0), 0.999_999),
        ] {
            if value > most {
                return Err(Error::usage(format!("{name} can be {most} at most, not {value}")));
            }
        }
        if self.batch < self.place.world {
            return Err(Error::usage(format!(
                "a batch of {} can not be shared by {} ranks: each wants at least one sample",
                self.batch, self.place.world
            )));
        }
        if let Crop(Some(Size { height, width })) = self.crop
            && (!height.is_multiple_of(8) || !width.is_multiple_of(8))
        {
            let up = |n: usize| n.next_multiple_of(8);
            let (h, w) = (up(height), up(width));
            return Err(Error::usage(format!(
                "crop {height}x{width}: height and width must be multiples of 8, as {h}x{w}"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

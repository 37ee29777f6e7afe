//! The options of `train`, all of them optional: flags on the command line and keys of a TOML file are the
//! same list, read by the same struct, so that neither can know something that the other does not.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::values::{Crop, Fall, Loss, PatchList, Scales};
use crate::{
    Error, Result,
    data::{Labels, Source},
};

/// Options that may change when a run goes on, and differ from process to process: they do not change its result.
const FREE: [&str; 8] =
    ["threads", "workers", "rank-timeout", "save-every", "root", "out", "cache", "cache-limit"];

/// The largest TOML file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Which optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Adam, weight decay added to the gradient.
    Adam,
    /// Adam with decoupled weight decay.
    Adamw,
    /// Stochastic gradient descent with momentum 0.9.
    Sgd,
}

macro_rules! options {
    ($($(#[$meta:meta])* $name:ident: $type:ty,)*) => {
        /// Options of `train` as they were given; what was not given is `None`.
        #[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub struct TrainOptions {
            $($(#[$meta])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<$type>,)*
        }

        impl TrainOptions {
            /// These options, with those of `other` where one was not given.
            pub fn or(self, other: Self) -> Self {
                Self { $($name: self.$name.or(other.$name),)* }
            }
        }
    };
}

options! {
    /// Where samples come from [default: synthetic]
    #[arg(long, value_enum, help_heading = "Data")]
    data: Source,
    /// Folder of the dataset (camvid, cityscapes)
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    root: PathBuf,
    /// Which Cityscapes labels [default: fine]
    #[arg(long, value_enum, help_heading = "Data")]
    labels: Labels,
    /// Number of synthetic training scenes [default: 600]
    #[arg(long, value_name = "N", help_heading = "Data")]
    train_images: usize,
    /// Number of synthetic validation scenes [default: 100]
    #[arg(long, value_name = "N", help_heading = "Data")]
    val_images: usize,
    /// Size of synthetic scenes [default: 128x256]
    #[arg(long, value_name = "HxW", help_heading = "Data")]
    scene_size: super::Size,
    /// Overlapping parts that each training picture is cut into, each a sample of its own, as 880x880:2x4 for eight of 880 × 880
    /// pixels in 2 rows of 4; or `none` [default: none]
    #[arg(long, value_name = "HxW:RxC", help_heading = "Data")]
    patches: PatchList,
    /// Window cut out of each sample, or `none` [default: by dataset]
    #[arg(long, value_name = "HxW", help_heading = "Data")]
    crop: Crop,
    /// Random resizing before the crop: 1, a choice 0.5,1.0 or a range 0.75..1.5 [default: by dataset]
    #[arg(long, value_name = "SCALES", help_heading = "Data")]
    scales: Scales,
    /// Mirror half of the samples [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Data")]
    flip: bool,
    /// Change brightness, contrast and saturation by random factors in 1 ± this; 0: not [default: 0]
    #[arg(long, value_name = "X", help_heading = "Data")]
    jitter: f64,
    /// Divide the sizes of --patches and --crop by this, for pictures that are as much smaller: to rehearse a recipe [default: 1]
    #[arg(long, value_name = "N", help_heading = "Data")]
    shrink: usize,
    /// Folder to keep decoded samples in, so that pictures are decompressed once and not in every epoch; or `none` [default: none]
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    cache: PathBuf,
    /// What the files in that folder may take together, in GB; samples beyond are decoded each time [default: 32]
    #[arg(long, value_name = "GB", help_heading = "Data")]
    cache_limit: f64,
    /// Loading threads [default: 1]
    #[arg(long, value_name = "N", help_heading = "Data")]
    workers: usize,

    /// dsnet-0.5, 1.0, 1.5, 2.0, or a variant of 1.0 as dsnet-add; `dsnet summary --all` lists them [default: dsnet-1.0]
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    model: String,
    /// Start from these weights instead of random ones
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    init: PathBuf,

    /// ce, wce, fl, owfl or bootstrap (the hardest pixels; bootstrap:4096:0.3), perhaps with +sel, each perhaps with a weight as in
    /// owfl+0.1*sel [default: by dataset]
    #[arg(long, value_name = "LOSS", help_heading = "Training")]
    loss: Loss,
    /// Share of the target that is spread over all classes [default: 0]
    #[arg(long, value_name = "X", help_heading = "Training")]
    label_smoothing: f64,
    /// Passes over the training set [default: by dataset]
    #[arg(long, value_name = "N", help_heading = "Training")]
    epochs: usize,
    /// Samples per step [default: 4]
    #[arg(long, value_name = "N", help_heading = "Training")]
    batch: usize,
    /// Optimiser [default: adam]
    #[arg(long, value_enum, help_heading = "Training")]
    optimizer: OptimizerKind,
    /// Highest learning rate [default: by dataset; sgd 0.02]
    #[arg(long, value_name = "X", help_heading = "Training")]
    lr: f64,
    /// How the learning rate falls: poly, cosine, step:EPOCHS:FACTOR, multistep:EPOCH,EPOCH:FACTOR, constant [default: poly]
    #[arg(long, value_name = "CURVE", help_heading = "Training")]
    schedule: Fall,
    /// Steps over which the learning rate rises at the start [default: 50]
    #[arg(long, value_name = "STEPS", help_heading = "Training")]
    warmup: usize,
    /// Weight decay [default: 0.0002]
    #[arg(long, value_name = "X", help_heading = "Training")]
    weight_decay: f64,
    /// Keep a running average of the weights with this decay, as 0.999; it is what is evaluated and kept as best. 0: none
    /// [default: 0]
    #[arg(long, value_name = "DECAY", help_heading = "Training")]
    ema: f64,
    /// Largest norm of the gradient; 0 for no limit [default: 0]
    #[arg(long, value_name = "X", help_heading = "Training")]
    clip: f64,
    /// Seed of weights, order and augmentation [default: 0]
    #[arg(long, value_name = "N", help_heading = "Training")]
    seed: u64,
    /// Threads that compute; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", help_heading = "Training")]
    threads: usize,
    /// Where to compute: cpu, cuda, cuda:1 for the second GPU, or cuda:0,1 for several [default: cpu]
    #[arg(long, value_name = "NAME", help_heading = "Training")]
    device: String,
    /// What layers compute in; weights, statistics and losses stay f32, and f16 has a loss scale. The CPU is fast in f32 and
    /// bf16 [default: f32]
    #[arg(long, value_enum, help_heading = "Training")]
    precision: crate::device::Precision,
    /// Record the steps on a GPU as a graph and replay it; docs/cuda.md [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Training")]
    capture: bool,
    /// Ranks that share each batch, with their part of the threads each; docs/parallel.md [default: 1]
    #[arg(long, value_name = "N", help_heading = "Training")]
    ranks: usize,
    /// Seconds without a sign of life after which a rank is taken to hang [default: 30]
    #[arg(long, value_name = "SECONDS", help_heading = "Training")]
    rank_timeout: f64,

    /// Run folder [default: a new one below runs/]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    out: PathBuf,
    /// Steps between two checkpoints; one is also written after each epoch [default: 50]
    #[arg(long, value_name = "STEPS", help_heading = "Run")]
    save_every: usize,
    /// Epochs between two evaluations; the last epoch is always evaluated [default: 1]
    #[arg(long, value_name = "EPOCHS", help_heading = "Run")]
    eval_every: usize,
    /// Sample pictures at the end [default: 6]
    #[arg(long, value_name = "N", help_heading = "Run")]
    samples: usize,
}

/// Names of all options, as flags (without dashes) and TOML keys.
fn names() -> Vec<String> {
    let command = TrainOptions::augment_args(clap::Command::new("train"));
    command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

impl TrainOptions {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// Where it can not be read or is no TOML, where a key is none of the options (the nearest is suggested), or a
    /// value is of the wrong kind.
    pub fn read(path: &Path) -> Result<Self> {
        let mut text = String::new();
        let read = File::open(path).and_then(|f| f.take(MAX_FILE + 1).read_to_string(&mut text));
        if read.map_err(|e| Error::io("read", path, e))? as u64 > MAX_FILE {
            let what = format!("{} is too large for a file with options", path.display());
            return Err(Error::usage(what));
        }
        Self::parse(&text).map_err(|why| Error::usage(format!("{}: {why}", path.display())))
    }

    /// Reads TOML text; the message does not name the file.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = toml::from_str(text).map_err(|e| e.to_string())?;
        let known = names();
        if let Some(key) = table.keys().find(|key| !known.contains(key)) {
            let nearest = known.iter().max_by(|a, b| likeness(a, key).total_cmp(&likeness(b, key)));
            return Err(match nearest.filter(|name| likeness(name, key) > 0.6) {
                Some(name) => format!("there is no option \"{key}\"; did you mean \"{name}\"?"),
                None => format!("there is no option \"{key}\"; the options are {}", known.join(", ")),
            });
        }
        toml::from_str(text).map_err(|e| e.to_string())
    }

    /// Fails where a number is larger than TOML, in which the settings of a run are kept, can say.
    ///
    /// # Errors
    /// Names the option.
    pub(super) fn check_numbers(&self) -> Result<()> {
        let json = serde_json::to_value(self);
        let json = json.map_err(|e| Error::message(format!("the options can not be looked at: {e}")))?;
        let too_large = |n: &u64| i64::try_from(*n).is_err();
        let numbers = json.as_object().into_iter().flatten();
        match numbers.filter_map(|(name, value)| Some((name, value.as_u64().filter(too_large)?))).next() {
            None => Ok(()),
            Some((name, n)) => Err(Error::usage(format!("{name} can be {} at most, not {n}", i64::MAX))),
        }
    }

    /// As the text of a TOML file.
    ///
    /// # Errors
    /// Where a number is too large for TOML.
    pub fn to_toml(&self) -> Result<String> {
        self.check_numbers()?;
        toml::to_string(self).map_err(|e| Error::message(format!("the options can not be written: {e}")))
    }

    /// Names and values of the options given here.
    ///
    /// # Errors
    /// As [`TrainOptions::to_toml`].
    pub(crate) fn table(&self) -> Result<toml::Table> {
        self.check_numbers()?;
        toml::Table::try_from(self)
            .map_err(|e| Error::message(format!("the options can not be looked at: {e}")))
    }

    /// Names and values of the options given here that decide a run's result.
    ///
    /// # Errors
    /// As [`TrainOptions::to_toml`].
    pub(crate) fn binding(&self) -> Result<BTreeMap<String, String>> {
        let binds = |key: &str| !FREE.contains(&key);
        let all = self.table()?.into_iter().filter(|(key, _)| binds(key));
        Ok(all.map(|(key, value)| (key, value.to_string())).collect())
    }

    /// Options given here that decide a run's result and differ from those of `stored`: name, value here, value there.
    ///
    /// # Errors
    /// As [`TrainOptions::to_toml`].
    pub(crate) fn differing(&self, stored: &Self) -> Result<Vec<(String, String, String)>> {
        let there = stored.binding()?;
        let differs = |(key, value): (String, String)| {
            let other = there.get(&key);
            (other != Some(&value)).then(|| (key, value, other.map_or("unset".into(), String::clone)))
        };
        Ok(self.binding()?.into_iter().filter_map(differs).collect())
    }
}

/// How alike two names are, in 0..=1.
fn likeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, &b.replace('_', "-").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_flags_say() {
        let text = "data = \"camvid\"\nroot = \"d\"\ncrop = \"64x96\"\nlr = 2e-3\nweight-decay = 1e-4\nflip = false\n";
        let o = TrainOptions::parse(text).unwrap();
        assert_eq!((o.data, o.lr, o.flip), (Some(Source::Camvid), Some(2e-3), Some(false)));
        assert_eq!(o.crop.unwrap().to_string(), "64x96");
        assert_eq!(o.epochs, None);
        assert_eq!(TrainOptions::parse(&o.to_toml().unwrap()).unwrap(), o);
    }

    #[test]
    fn every_flag_is_a_key() {
        let names = names();
        assert!(names.len() > 20 && names.contains(&"weight-decay".to_owned()));
        // serde and clap spell them alike: a value of the wrong type is noticed for every key.
        for name in names {
            let message = TrainOptions::parse(&format!("{name} = {{ a = 1 }}")).unwrap_err();
            assert!(message.contains("expected"), "{name}: {message}");
        }
    }

    #[test]
    fn mistakes_are_named_with_a_suggestion() {
        for (text, part) in [
            ("epoch = 3", "did you mean \"epochs\"?"),
            ("weight_decay = 3", "did you mean \"weight-decay\"?"),
            ("zzz = 3", "the options are data, root"),
            ("epochs = \"many\"", "epochs"),
            ("crop = \"wide\"", "360x480"),
            ("epochs = ", "line 1"),
        ] {
            let message = TrainOptions::parse(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn flags_override_the_file() {
        let file = TrainOptions::parse("epochs = 3\nbatch = 2").unwrap();
        let flags = TrainOptions { epochs: Some(9), ..Default::default() };
        let merged = flags.clone().or(file.clone());
        assert_eq!((merged.epochs, merged.batch), (Some(9), Some(2)));
        assert_eq!(flags.differing(&file).unwrap(), [("epochs".to_owned(), "9".to_owned(), "3".to_owned())]);
        assert!(file.differing(&file).unwrap().is_empty());
    }

    #[test]
    fn numbers_that_toml_can_not_say_are_refused() {
        let most = TrainOptions { seed: Some(i64::MAX as u64), ..Default::default() };
        assert_eq!(TrainOptions::parse(&most.to_toml().unwrap()).unwrap(), most);
        most.resolve().unwrap();
        let seed = TrainOptions { seed: Some(1 << 63), ..Default::default() };
        let warmup = TrainOptions { warmup: Some(usize::MAX), ..Default::default() };
        for (options, name) in [(seed, "seed"), (warmup, "warmup")] {
            let errors = [
                options.resolve().unwrap_err(),
                options.to_toml().unwrap_err(),
                options.binding().unwrap_err(),
                options.differing(&most).unwrap_err(),
            ];
            for error in errors {
                assert!(
                    error.to_string().starts_with(&format!("{name} can be 9223372036854775807")),
                    "{error}"
                );
                assert_eq!(error.exit_code(), 2);
            }
        }
    }
}

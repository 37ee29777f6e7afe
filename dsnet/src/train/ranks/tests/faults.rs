//! A rank that is lost in the middle of a training is named, the others stop, and the last checkpoint is whole.

use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use datasets::{Classes, Dataset, Depth, Image, LabelMap, Loader, Normalization, Sample, Split, class_stats};

use nn::collective::Threads;
use tensor::{DType, Tensor, rng::Key};

use crate::{
    Result, model,
    train::{Learner, OptimizerKind, RunFolder, TrainConfig, TrainData, TrainOptions, train_on},
};

/// What a sample does instead of being loaded.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Error,
    Panic,
    Hang,
}

/// A data set of which one sample goes bad in a later epoch.
struct Faulty {
    good: Arc<dyn Dataset>,
    bad: usize,
    fault: Fault,
    loads: AtomicUsize,
    /// Whether hanging is over.
    over: Arc<(Mutex<bool>, Condvar)>,
}

impl Dataset for Faulty {
    fn describe(&self) -> String {
        self.good.describe()
    }

    fn len(&self) -> usize {
        self.good.len()
    }

    fn name(&self, index: usize) -> &str {
        self.good.name(index)
    }

    fn name_below_root(&self, index: usize) -> String {
        self.good.name_below_root(index)
    }

    fn classes(&self) -> &Classes {
        self.good.classes()
    }

    fn normalization(&self) -> Normalization {
        self.good.normalization()
    }

    fn image(&self, index: usize) -> datasets::Result<Image> {
        self.good.image(index)
    }

    fn labels(&self, index: usize) -> datasets::Result<LabelMap> {
        self.good.labels(index)
    }

    fn load(&self, index: usize) -> datasets::Result<Sample> {
        if index == self.bad && self.loads.fetch_add(1, Ordering::Relaxed) == 1 {
            match self.fault {
                Fault::Error => {
                    let (path, source) = ("a.png".into(), std::io::Error::other("the disk is gone"));
                    return Err(datasets::Error::Io { action: "read", path, source });
                }
                Fault::Panic => panic!("the reader fell over"),
                Fault::Hang => {
                    let over = self.over.0.lock().unwrap();
                    drop(self.over.1.wait_while(over, |over| !*over).unwrap());
                }
            }
        }
        self.good.load(index)
    }

    fn content_key(&self) -> datasets::Result<String> {
        self.good.content_key()
    }

    fn inspect(&self, index: usize, depth: Depth) -> Result<bool, Vec<datasets::Error>> {
        self.good.inspect(index, depth)
    }
}

const OPTIONS: &str = "model = \"dsnet-tiny\"\ntrain-images = 8\nval-images = 2\nscene-size = \"32x64\"\nepochs = 3\n\
                       batch = 4\nranks = 2\nsave-every = 50\nsamples = 0\n";

/// Trains with a sample of rank 1 that goes bad in the second epoch; what is told.
fn told(at: &Path, fault: Fault) -> String {
    let options = TrainOptions::parse(OPTIONS).unwrap();
    let timeout = if fault == Fault::Hang { 2 } else { 100 };
    let config = TrainConfig { rank_timeout: Duration::from_secs(timeout), ..options.resolve().unwrap() };
    let folder = RunFolder::create(Some(&at.join("run")), "", &options).unwrap();
    let good = config.data.open(Split::Train).unwrap();
    let over = Arc::new((Mutex::new(false), Condvar::new()));
    // A sample that rank 1 loads in both of the first epochs: each batch's last two are its.
    let loader = Loader::new(good.clone(), config.loader_options()).unwrap();
    let of_rank_1 = |epoch| [2, 3, 6, 7].map(|at| loader.order(epoch)[at]);
    let bad = *of_rank_1(1).iter().find(|bad| of_rank_1(0).contains(bad)).unwrap();
    let steps = 2 + loader.order(1).iter().position(|i| *i == bad).unwrap() / 4;
    let faulty = Faulty { good: good.clone(), bad, fault, loads: AtomicUsize::new(0), over: over.clone() };
    let data = TrainData {
        train: Arc::new(faulty),
        val: config.data.open(Split::Val).unwrap(),
        frequencies: class_stats(&*good, None, &|_| ()).unwrap().0.frequencies(),
    };
    let error = train_on(&config, &folder, &data).unwrap_err().chain();
    *over.0.lock().unwrap() = true;
    over.1.notify_all();
    // No step is lost: what is saved is the state before the step that failed.
    assert!(error.contains(&format!("the state after step {steps} of 6 is in ")), "{error}");
    let saved = nn::Checkpoint::load(folder.last()).unwrap();
    assert_eq!(saved.meta.step, steps as u64);
    let log = std::fs::read_to_string(folder.log()).unwrap();
    assert_eq!(log.lines().filter(|line| line.contains("\"kind\":\"step\"")).count(), steps, "{log}");
    error
}

#[test]
fn a_rank_that_is_lost_is_named() {
    for (fault, parts) in [
        (Fault::Error, &["rank 1 failed, and the others stopped", "the disk is gone"][..]),
        (Fault::Panic, &["rank 1 failed", "the reader fell over"]),
        (Fault::Hang, &["rank 1 hangs: it gave no sign of life for 2 s", "raise --rank-timeout"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let error = told(dir.path(), fault);
        assert!(parts.iter().all(|part| error.contains(part)), "{fault:?}: {error}");
    }
}

#[test]
fn a_number_that_is_none_is_told_by_the_rank_that_finds_it() {
    let told = |bad: [f64; 2], lr: f64| {
        let stopped = Threads::run(2, Duration::from_secs(120), move |ranks| -> Result<()> {
            let shape = model::config("dsnet-tiny", 3)?;
            let loss = "owfl+sel".parse()?;
            let mut learner = Learner::with(&shape, loss, &[0.7, 0.2, 0.1], OptimizerKind::Sgd, lr, 1)?;
            let images = Tensor::full(bad[ranks.rank()], &[1, 3, 16, 16], DType::F32)?;
            learner.ranks = ranks;
            let labels = Tensor::zeros(&[1, 16, 16], DType::U8)?;
            (0..9).try_for_each(|_| learner.step(&images, &labels, Key::default(), 1.0).map(|_| ()))
        });
        let stopped = stopped.unwrap_err();
        format!("rank {}: {}", stopped.failure.rank(), stopped.cause.unwrap())
    };
    let image = told([0.5, f64::NAN], 1e-3);
    assert!(image.starts_with("rank 1: ") && image.contains("the images hold NaN"), "{image}");
    // Weights that run away do so on all ranks; the first one speaks.
    let weights = told([0.5, 0.7], 1e30);
    assert!(weights.starts_with("rank 0: ") && weights.contains("layer"), "{weights}");
}

//! What a run writes about itself: its log, from which reports are made, and TensorBoard's events.

use std::{fs, path::Path};

use datasets::{Classes, Image, Position};
use dsnet::{
    bench::Memory,
    metrics::{Confusion, Scores},
    report::{self, Record},
    tensorboard::{EventFile, Until},
    train::{EpochLine, Line, Log, Phases, RunFolder, StepLine, TrainOptions},
};

/// The run folder in `folder`, made where it is not there.
fn run_folder(folder: &Path) -> RunFolder {
    let path = folder.join("run");
    if !path.exists() {
        let options = TrainOptions::default().with_defaults().unwrap();
        drop(RunFolder::create(Some(&path), "", &options).unwrap());
    }
    RunFolder::reopen(Some(&path)).unwrap().0
}

/// A log as a run writes it.
pub fn log(folder: &Path) -> Vec<u8> {
    let run = run_folder(folder);
    let mut log = Log::open(&run, 0, Position::default()).unwrap();
    let classes = Classes::cityscapes();
    let mut confusion = Confusion::new(classes.len());
    confusion.add(&[0, 1, 2, 10, 255], &[0, 1, 1, 255, 0]).unwrap();
    let gamma: Vec<u32> = (0..19).map(|i| i % 3).collect();
    let val = Scores::new(&confusion, &classes, Some(&gamma));
    for step in 1..=4 {
        let epoch = (step - 1) / 2;
        let phases = Some(Phases { data: 0.01, forward: 0.03, backward: 0.05, update: 0.01 });
        let (loss, pixel, sel, lr, seconds) = (1.5, 1.0, Some(0.5), 1e-3, 0.1);
        log.write(&Line::Step(StepLine {
            step,
            epoch,
            loss,
            pixel,
            sel,
            overflow: None,
            lr,
            seconds,
            phases,
        }))
        .unwrap();
        if step % 2 == 0 {
            let line = EpochLine {
                step,
                epoch,
                loss,
                val: Some(val.clone()),
                confusion: Some(confusion.clone()),
                val_seconds: Some(1.0),
                best: true,
                memory: Some(Memory { peak_tensor_bytes: 1, peak_process_bytes: Some(2) }),
                time: Some(1e9),
            };
            log.write(&Line::Epoch(Box::new(line))).unwrap();
        }
    }
    fs::read(run.log()).unwrap()
}

/// A damaged line of a log is left out, whatever it holds: a log stops no training, and no report.
pub fn read_log(folder: &Path, bytes: &[u8]) -> Result<(), String> {
    let run = run_folder(folder);
    fs::write(run.log(), bytes).unwrap();
    let record = Record::read(&run).unwrap();
    report::render(&record, None).unwrap();
    report::render_comparison(&[&record, &record], &[None, None]).unwrap();
    drop(Log::open(&run, 4, Position { epoch: 2, batch: 0 }).unwrap());
    let text = String::from_utf8(fs::read(run.log()).unwrap()).unwrap();
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    if text.as_bytes() == bytes { Ok(()) } else { Err(run.log().display().to_string()) }
}

/// TensorBoard's events as a run writes them.
pub fn events(folder: &Path) -> Vec<u8> {
    let path = folder.join("good.events");
    let mut events = EventFile::open(&path, Until::AllOf(0)).unwrap();
    for step in 1..=3 {
        events.scalars(step, &[("loss".into(), 1.5), ("lr".into(), 0.1)]).unwrap();
        events.image(step, "sample", &Image::new(2, 2, vec![9; 12]).unwrap()).unwrap();
    }
    fs::read(path).unwrap()
}

/// Damaged events, and those behind them, are cut off: what is left is the beginning of what was there, and grows.
pub fn read_events(folder: &Path, bytes: &[u8]) -> Result<(), String> {
    let path = folder.join("events");
    fs::write(&path, bytes).unwrap();
    drop(EventFile::open(&path, Until::AllOf(3)).unwrap());
    let kept = fs::read(&path).unwrap();
    if kept == bytes {
        return Ok(());
    }
    drop(EventFile::open(&path, Until::AllOf(3)).unwrap());
    assert_eq!(fs::read(&path).unwrap(), kept, "what was kept is whole");
    Err(path.display().to_string())
}

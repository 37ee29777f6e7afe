//! The shipped files of training in stages, rehearsed: the paper's three on drawn scenes on disk, CamVid's on two-coloured pictures.

use std::path::Path;

use datasets::{Annotation, Cityscapes, Dataset, Split, Synthetic, SyntheticOptions};
use serde_json::Value;

use crate::program::{camvid, fails, succeeds};

const CONFIGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs");

fn lines(run: &Path) -> Vec<Value> {
    let log = std::fs::read_to_string(run.join("log.jsonl")).unwrap();
    log.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn each_stage_begins_where_the_one_before_ended() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let drawn = ["draw", "--out=drawn", "--train-images=12", "--val-images=2", "--scene-size=64x128"];
    let said = succeeds(at, &drawn);
    assert!(said.contains("gtCoarse train_extra: 12 images"), "{said}");
    assert!(fails(at, 2, &drawn).contains("already"));
    // Pre-training sees no scene that anything else is tried on.
    let coarse = Cityscapes::open(at.join("drawn"), Split::TrainExtra, Annotation::Coarse).unwrap();
    let first = |split| {
        let options = SyntheticOptions { len: 1, width: 128, height: 64, ..SyntheticOptions::new(split) };
        Synthetic::new(options).unwrap().image(0).unwrap()
    };
    let seen = coarse.image(0).unwrap();
    assert_eq!(seen, first(Split::TrainExtra));
    assert!([Split::Train, Split::Val, Split::Test].iter().all(|&split| first(split) != seen));

    // Frames of a sixteenth of the real ones; everything else but the net's size and the epochs is as shipped.
    let stage = |name: &str, more: &[&str]| {
        let config = format!("--config={CONFIGS}/cityscapes-{name}.toml");
        let all = [
            &[
                "train",
                &config,
                "--root=drawn",
                "--shrink=16",
                "--model=dsnet-tiny",
                "--samples=0",
                "--threads=2",
            ],
            more,
        ];
        all.concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |args: Vec<String>| succeeds(at, &args.iter().map(String::as_str).collect::<Vec<_>>());
    // The second stage says what is missing before the first was run.
    let early = stage("2-train", &["--epochs=1"]);
    let error = fails(at, 1, &early.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(
        error.contains("cityscapes-1-pretrain/best.safetensors") && error.contains("still to come"),
        "{error}"
    );
    assert!(!at.join("runs").exists(), "nothing is left that would be in the way later");

    // Coarse: 12 whole frames at half size are one batch; the rate halves after ten epochs.
    run(stage("1-pretrain", &["--epochs=12", "--eval-every=6"]));
    let first = at.join("runs/cityscapes-1-pretrain");
    let steps = |lines: &[Value]| lines.iter().filter(|l| l["kind"] == "step").cloned().collect::<Vec<_>>();
    let coarse = steps(&lines(&first));
    assert_eq!(coarse.len(), 12);
    assert_eq!([&coarse[9], &coarse[10]].map(|s| s["lr"].as_f64().unwrap()), [5e-4, 2.5e-4]);

    // Fine: eight parts of each of 12 frames, in batches of 16.
    run(stage("2-train", &["--epochs=2", "--cache=kept"]));
    let second = at.join("runs/cityscapes-2-train");
    let told = lines(&second);
    let fine = steps(&told);
    assert_eq!(fine.len(), 2 * 12 * 8 / 16);
    assert!(told[0]["data"].as_str().unwrap().ends_with("in patches 55x55:2x4"), "{}", told[0]);
    let rate = |step: usize| 1e-4 * (1.0 - step as f64 / 12.0).powf(0.9);
    assert!(fine.iter().enumerate().all(|(i, s)| (s["lr"].as_f64().unwrap() - rate(i)).abs() < 1e-12));
    assert!(walk(&at.join("kept")) == 12 + 2, "decoded once: train and val");

    // It began from the weights that the first stage kept: at next to no rate they stay.
    run(stage("2-train", &["--epochs=1", "--lr=1e-30", "--out=still"]));
    let weights = |run: &str| {
        let checkpoint = nn::Checkpoint::load(at.join(run).join("best.safetensors")).unwrap();
        let state = checkpoint.model_state();
        ["init.conv.0.weight", "full.weight", "enc.fc.weight"].map(|name| state[name].to_f64_vec().unwrap())
    };
    assert_eq!(weights("still"), weights("runs/cityscapes-1-pretrain"));
    assert_ne!(weights("runs/cityscapes-2-train"), weights("runs/cityscapes-1-pretrain"));

    run(stage("3-finetune", &["--epochs=1", "--ema=0.99"]));
    let third = at.join("runs/cityscapes-3-finetune");
    assert_eq!(steps(&lines(&third)).len(), 6);
    // A report names no folders of the user.
    let report = std::fs::read_to_string(third.join("report.html")).unwrap();
    assert!(report.contains("best.safetensors") && !report.contains("runs/cityscapes-2-train/best"));
}

#[test]
fn camvid_grows_from_stage_to_stage() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    camvid(&at.join("CamVid"), 8);
    let stage = |name: &str, run: &dyn Fn(&[&str]) -> String| {
        let config = format!("--config={CONFIGS}/camvid-{name}.toml");
        run(&[
            "train",
            &config,
            "--root=CamVid",
            "--model=dsnet-tiny",
            "--epochs=1",
            "--samples=0",
            "--threads=2",
        ])
    };
    let error = stage("3-full", &|args| fails(at, 1, args));
    assert!(error.contains("camvid-2-half/last.safetensors") && error.contains("still to come"), "{error}");

    for (name, sel) in [("1-quarter", false), ("2-half", false), ("3-full", true)] {
        stage(name, &|args| succeeds(at, args));
        let told = lines(&at.join("runs").join(format!("camvid-{name}")));
        let steps: Vec<_> = told.iter().filter(|l| l["kind"] == "step").collect();
        assert_eq!(steps.len(), 2, "{name}");
        assert!(steps.iter().all(|s| s["sel"].is_number() == sel), "{name}: {told:?}");
    }
}

/// Files below a folder.
fn walk(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
}

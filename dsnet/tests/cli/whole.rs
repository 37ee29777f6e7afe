//! Training, evaluation and prediction, one after the other.

use datasets::Image;
use serde_json::Value;

use crate::program::{TINY, camvid, fails, succeeds};

#[test]
fn train_then_eval_then_predict() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let out = succeeds(at, &TINY);
    for part in ["mIoU", "road", "pixel accuracy", "run/best.safetensors", "run/samples"] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    for file in ["config.toml", "log.jsonl", "best.safetensors", "last.safetensors", "samples/01.png"] {
        assert!(at.join("run").join(file).is_file(), "{file}");
    }
    let log = std::fs::read_to_string(at.join("run/log.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let steps = lines.iter().filter(|l| l["kind"] == "step").count();
    let epochs: Vec<&Value> = lines.iter().filter(|l| l["kind"] == "epoch").collect();
    assert_eq!((steps, epochs.len()), (9, 3));
    let best = epochs.iter().map(|e| e["val"]["miou"].as_f64().unwrap()).fold(0.0, f64::max);

    // The same scores again, from the file.
    let spec = ["--val-images=2", "--scene-size=32x64"];
    let weights = "--weights=run/best.safetensors";
    let text = succeeds(at, &[&["eval", weights, "--json=scores.json"][..], &spec].concat());
    assert!(text.contains("categories"), "{text}");
    let scores: Value = serde_json::from_slice(&std::fs::read(at.join("scores.json")).unwrap()).unwrap();
    assert_eq!(scores["miou"].as_f64(), Some(best));
    assert_eq!(scores["classes"].as_array().unwrap().len(), 19);
    assert_eq!((scores["model"].as_str(), scores["images"].as_u64()), (Some("dsnet-tiny"), Some(2)));

    let text = succeeds(at, &[&["eval", weights, "--precision=bf16", "--json=-"][..], &spec].concat());
    let half: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(half["precision"].as_str(), Some("bf16"));
    assert!((half["miou"].as_f64().unwrap() - best).abs() < 0.05, "{best} {text}");

    // The weights of classes taken out of the logits: once, into a file that serves as the first one did.
    let adjust = |weights: &'static str, out: &'static str| {
        [&["adjust", weights, out, "--train-images=12"][..], &spec].concat()
    };
    let out = "--out=adjusted.safetensors";
    assert!(succeeds(at, &adjust(weights, out)).contains("to the power 0.75"));
    let error = fails(at, 1, &adjust("--weights=adjusted.safetensors", "--out=again.safetensors"));
    assert!(error.contains("adjusted.safetensors") && error.contains("0.75 already"), "{error}");
    assert!(fails(at, 2, &[&adjust(weights, out)[..], &["--strength=2"]].concat()).contains("not 2"));
    assert!(fails(at, 2, &adjust(weights, "--out=run/../run/best.safetensors")).contains("another --out"));
    let text = succeeds(at, &[&["eval", "--weights=adjusted.safetensors", "--json=-"][..], &spec].concat());
    let adjusted: Value = serde_json::from_str(&text).unwrap();
    assert_ne!(adjusted["classes"], scores["classes"]);

    // Pictures of sizes that are no multiples of 8, in folders.
    for (name, w, h) in [("in/a.png", 50, 37), ("in/sub/b.png", 9, 8)] {
        let image = Image::new(w, h, (0..w * h * 3).map(|i| i as u8).collect()).unwrap();
        image.save_png(at.join(name)).unwrap();
    }
    succeeds(at, &["predict", weights, "in", "--out=p", "--overlay", "--label-ids", "--color"]);
    succeeds(at, &["predict", weights, "in", "--out=p", "--strip", "--precision=bf16"]);
    assert_eq!(Image::read(at.join("p/a_strip.png")).unwrap().size(), (104, 37));
    for (stem, size) in [("p/a", (50, 37)), ("p/sub/b", (9, 8))] {
        for kind in ["overlay", "labelIds", "color"] {
            let image = Image::read(at.join(format!("{stem}_{kind}.png"))).unwrap();
            assert_eq!(image.size(), size);
        }
    }
    // Fine-tuning from these weights; a finished run is not written over.
    succeeds(at, &[&TINY[..], &["--out=again", "--init=run/best.safetensors", "--epochs=1"]].concat());
    let error = fails(at, 2, &TINY);
    assert!(error.contains("--resume"), "{error}");
}

#[test]
fn camvid_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    camvid(&at.join("data"), 4);
    let file = "data = \"camvid\"\nroot = \"data\"\nmodel = \"dsnet-tiny\"\nepochs = 30\nbatch = 2\n\
                crop = \"none\"\nscales = \"1\"\nlr = 1e-2\nloss = \"wce\"\neval-every = 12\nsamples = 0\nwarmup = 0\n";
    std::fs::write(at.join("run.toml"), file).unwrap();
    // A flag overrides the file.
    let out = succeeds(at, &["train", "--config=run.toml", "--out=run", "--epochs=20"]);
    assert!(out.contains("absent") && out.contains("Road"), "{out}");
    let log = std::fs::read_to_string(at.join("run/log.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.iter().filter(|l| l["kind"] == "epoch").count(), 20);
    // Every twelfth epoch and the last one.
    assert_eq!(lines.iter().filter(|l| l["val"].is_object()).count(), 2);

    let weights = "--weights=run/best.safetensors";
    let text = succeeds(at, &["eval", weights, "--root=data", "--split=test", "--json=-"]);
    let scores: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(scores["classes"][1]["pixels"].as_u64(), Some(0), "no building anywhere: {text}");
    assert!(scores["pixel_accuracy"].as_f64().unwrap() > 0.6, "two flat colours are learnt: {text}");
    // The last row of each picture is void.
    assert_eq!(scores["pixels"].as_u64(), Some(4 * 48 * 39));

    let error = fails(at, 1, &["eval", weights, "--data=synthetic", "--val-images=1", "--scene-size=32x64"]);
    assert!(error.contains("11 classes of camvid") && error.contains("19 classes"), "{error}");
}

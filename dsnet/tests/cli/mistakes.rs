//! What a user gets wrong is said clearly, without a trace of the program's inside.

use std::fs;

use crate::program::{TINY, camvid, command, dsnet, fails, succeeds};

#[test]
fn wrong_options() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::write(at.join("bad.toml"), "epoch = 3\n").unwrap();
    let error = fails(at, 2, &["train", "--config=bad.toml"]);
    assert!(error.contains("bad.toml") && error.contains("did you mean \"epochs\"?"), "{error}");
    fs::write(at.join("bad.toml"), "epochs = \"three\"\n").unwrap();
    assert!(fails(at, 2, &["train", "--config=bad.toml"]).contains("epochs"));
    assert!(fails(at, 2, &["train", "--model=dsnet-9"]).contains("dsnet-0.5"));
    assert!(fails(at, 2, &["train", "--data=camvid"]).contains("--root"));
    assert!(fails(at, 2, &["train", "--crop=100x100"]).contains("104x104"));
    assert!(fails(at, 2, &["train", "--loss=owfl+cel"]).contains("owfl+sel"));
    assert!(fails(at, 1, &["train", "--config=nothing.toml"]).contains("nothing.toml"));
    assert!(!at.join("runs").exists(), "a refused run leaves no folder");
    let said = dsnet(at, &["train", "--epocs=3"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("--epochs"), "{}", said.err);
}

/// What would be ignored is refused.
#[test]
fn options_without_effect() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    camvid(&at.join("data"), 4);
    let foreign = ["--data=camvid", "--root=data", "--val-images=3"];
    for command in [&["stats"][..], &["plot", "fig2"], &["train"]] {
        assert!(fails(at, 2, &[command, &foreign].concat()).contains("options of the synthetic data"));
    }
    let labels = fails(at, 2, &["stats", "--labels=coarse"]);
    assert!(labels.contains("option of the cityscapes data"), "{labels}");
    assert!(fails(at, 2, &["train", "--shrink=0"]).contains("shrink must be at least 1"));
    assert!(fails(at, 2, &["summary", "--bf16"]).contains("--plan|--dot"));
    assert!(fails(at, 2, &["scaling", "--efficiency=0.5"]).contains("--flops"));
    assert!(fails(at, 2, &["plot", "fig2", "--stats=s.json", "--split=val"]).contains("cannot be used with"));
    succeeds(at, &[&TINY[..], &["--epochs=1", "--cache=none"]].concat());
    assert!(!at.join("none").exists(), "no folder of that name");
    let weights = "--weights=run/best.safetensors";
    let eval = fails(at, 2, &[&["eval", weights][..], &foreign].concat());
    assert!(eval.contains("options of the synthetic data"), "{eval}");
    assert!(fails(at, 2, &["plot", "fig6", weights, "--count=0"]).contains("count must be at least 1"));
}

/// Options that can not work leave nothing that would be in the way of the corrected command.
#[test]
fn a_training_that_does_not_begin_leaves_no_run() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::write(at.join("weights"), "none").unwrap();
    for (code, args, part) in [
        (1, &["--data=camvid", "--root=typo"][..], "typo"),
        (1, &["--init=weights"], "weights"),
        (2, &["--batch=13"], "too few"),
        (2, &["--patches=8x8:2x2"], "do not cover"),
        (2, &["--crop=none", "--scales=1", "--scene-size=100x100"], "multiples of 8"),
        (2, &["--scene-size=9x9"], "16 to 8192"),
        (1, &["--cache=/dev/null/x"], "/dev/null"),
    ] {
        // Without what only drawn scenes have, for the first.
        let drawn = |arg: &str| arg.contains("-images=") || arg.contains("scene-size=");
        let takes = |arg: &&str| args[0] != "--data=camvid" || !drawn(arg);
        let all: Vec<&str> = TINY.into_iter().filter(takes).chain(args.iter().copied()).collect();
        let error = fails(at, code, &all);
        assert!(error.contains(part), "{args:?}: {error}");
        assert!(!at.join("run").exists(), "{args:?}");
        let two = [&all[..], &["--ranks=2"]].concat();
        fails(at, code, &two);
        assert!(!at.join("run").exists(), "{args:?} with two ranks");
    }
    succeeds(at, &[&TINY[..], &["--epochs=1"]].concat());
    // A run that has begun stays.
    assert!(fails(at, 2, &TINY).contains("holds a run already"));
    assert!(at.join("run/last.safetensors").exists());
}

/// What is kept to save time only ends no work where it can not be kept.
#[test]
fn caches_that_can_not_be_written_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    for args in
        [&["stats", "--train-images=2", "--scene-size=32x64"][..], &[&TINY[..], &["--epochs=1"]].concat()]
    {
        let done = command(at, args).env("DSNET_CACHE", "/dev/null").output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{said}");
        assert_eq!(said.matches("the class statistics are not kept").count(), 1, "{said}");
        assert!(said.contains("/dev/null") && said.contains("DSNET_CACHE"), "{said}");
    }
}

#[test]
fn every_defect_of_the_data_is_listed_before_training() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let data = at.join("data");
    camvid(&data, 4);
    fs::remove_file(data.join("train/0.png")).unwrap();
    fs::remove_file(data.join("trainannot/1.png")).unwrap();
    let whole = fs::read(data.join("train/2.png")).unwrap();
    fs::write(data.join("train/2.png"), &whole[..whole.len() / 2]).unwrap();
    let args = ["train", "--data=camvid", "--root=data", "--model=dsnet-tiny", "--out=run"];
    let error = fails(at, 1, &args);
    for part in ["3 problems", "train/0.png", "trainannot/1.png", "train/2.png"] {
        assert!(error.contains(part), "{part} is not in\n{error}");
    }
    assert!(!at.join("run/last.safetensors").exists());
    let error = fails(at, 1, &["train", "--data=cityscapes", "--root=data", "--out=c"]);
    assert!(error.contains("leftImg8bit"), "{error}");
}

/// Going on would meet the same pictures with the same options.
#[test]
fn options_that_do_not_suit_a_later_picture() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    camvid(&at.join("data"), 4);
    let (w, h) = (56, 40);
    datasets::Image::new(w, h, vec![90; w * h * 3]).unwrap().save_png(at.join("data/train/3.png")).unwrap();
    datasets::LabelMap::new(w, h, vec![0; w * h])
        .unwrap()
        .save_png(at.join("data/trainannot/3.png"))
        .unwrap();
    let args = ["train", "--data=camvid", "--root=data", "--model=dsnet-tiny", "--out=run", "--crop=none"];
    let more = ["--scales=1", "--batch=4", "--epochs=1", "--loss=wce"];
    let error = fails(at, 2, &[&args[..], &more].concat());
    assert!(error.contains("pictures of one batch must have one size"), "{error}");
    assert!(!error.contains("--resume"), "{error}");
}

#[test]
fn a_number_that_is_none_stops_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let error = fails(at, 1, &[&TINY[..], &["--lr=1e30", "--save-every=1", "--optimizer=sgd"]].concat());
    for part in ["step ", "layer", "images: ", "last.safetensors is untouched"] {
        assert!(error.contains(part), "{part} is not in\n{error}");
    }
}

#[test]
fn weights_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    assert!(fails(at, 1, &["eval", "--weights=none.safetensors"]).contains("none.safetensors"));
    succeeds(at, &[&TINY[..], &["--epochs=1"]].concat());
    let weights = "--weights=run/best.safetensors";
    assert!(fails(at, 1, &["predict", weights, "nothing", "--out=p"]).contains("nothing"));
    fs::write(at.join("broken.png"), b"\x89PNG\r\n\x1a\nrubbish").unwrap();
    assert!(fails(at, 1, &["predict", weights, "broken.png", "--out=p"]).contains("broken.png"));
    // A picture that is none does not stop the others.
    let good = datasets::Image::new(8, 8, vec![90; 192]).unwrap();
    for name in ["in/a.png", "in/c.png"] {
        good.save_png(at.join(name)).unwrap();
    }
    fs::copy(at.join("broken.png"), at.join("in/b.png")).unwrap();
    let said = dsnet(at, &["predict", weights, "in", "--out=in/found"]);
    assert!(said.code == Some(1) && said.out.starts_with("2 pictures segmented"), "{}{}", said.out, said.err);
    assert!(
        said.err.contains("1 of 3 pictures can not be read") && said.err.contains("in/b.png"),
        "{}",
        said.err
    );
    assert!(at.join("in/found/c_overlay.png").exists());
    // What was found is not segmented in its turn, and results never lie among the pictures.
    fs::remove_file(at.join("in/b.png")).unwrap();
    assert!(succeeds(at, &["predict", weights, "in", "--out=in/found"]).starts_with("2 pictures segmented"));
    assert!(fails(at, 2, &["predict", weights, "in", "--out=in"]).contains("another --out"));
    assert!(fails(at, 1, &["eval", weights, "--data=camvid", "--root=nowhere"]).contains("nowhere"));
}

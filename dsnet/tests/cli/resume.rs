//! A run goes on as it was begun, and a damaged checkpoint is refused, left alone, and another one offered.

use std::{fs, path::Path};

use crate::program::{TINY, dsnet, fails, succeeds};

#[test]
fn damaged_checkpoints_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    succeeds(at, &TINY);
    let [last, previous] = ["last", "previous"].map(|name| at.join(format!("run/{name}.safetensors")));
    let good = fs::read(&last).unwrap();
    // Cut off at every percent of its length, a bit flipped at every percent: in the header and in every kind of tensor.
    for percent in 0..100 {
        let place = good.len() * percent / 100;
        let mut flipped = good.clone();
        flipped[place] ^= 1 << (percent % 8);
        for bad in [&good[..place], &flipped] {
            fs::write(&last, bad).unwrap();
            let error = ::dsnet::weights::load(&last).unwrap_err().to_string();
            assert!(
                error.contains("last.safetensors") && error.contains("previous.safetensors is whole"),
                "{error}"
            );
        }
    }
    let resume = ["train", "--resume", "--out=run"];
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [&good[..good.len() / 2], &flipped, b"", b"no checkpoint at all"] {
        fs::write(&last, bad).unwrap();
        let error = fails(at, 1, &resume);
        for part in ["last.safetensors", "previous.safetensors is whole (after step 8 of 9)", "--from"] {
            assert!(error.contains(part), "{part} is not in\n{error}");
        }
        assert!(fs::read(&last).unwrap() == bad, "the file was touched");
        let error = fails(at, 1, &["eval", "--weights=run/last.safetensors"]);
        assert!(error.contains("last.safetensors") && error.contains("use it instead"), "{error}");
    }
    // The one before leads to the same end, and is not given up for the damaged one.
    let before = fs::read(&previous).unwrap();
    succeeds(at, &["train", "--resume", "--out=run", "--from=run/previous.safetensors"]);
    assert!(fs::read(&last).unwrap() == good && fs::read(&previous).unwrap() == before);
    // Without the last one, the run does not begin anew.
    fs::remove_file(&last).unwrap();
    assert!(fails(at, 1, &resume).contains("--from run/previous.safetensors"));
    // Both damaged: nothing is offered.
    fs::write(&last, b"").unwrap();
    fs::write(&previous, b"").unwrap();
    let error = fails(at, 1, &resume);
    assert!(error.contains("last.safetensors") && !error.contains("--from"), "{error}");
    // Another model's, in the place of ours: it is whole, so nothing is offered either.
    fs::write(&last, &good).unwrap();
    let others = fs::read_to_string(at.join("run/config.toml")).unwrap().replace("dsnet-tiny", "dsnet-0.5");
    fs::write(at.join("run/config.toml"), others).unwrap();
    let error = fails(at, 1, &resume);
    assert!(
        error.contains("dsnet-tiny") && error.contains("dsnet-0.5") && !error.contains("--from"),
        "{error}"
    );
    assert!(fails(at, 2, &["train", "--from=run/last.safetensors"]).contains("--resume"));
}

#[test]
fn a_run_goes_on_as_it_was_begun() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    succeeds(at, &TINY);
    let error = fails(at, 2, &["train", "--resume", "--out=run", "--epochs=9"]);
    assert!(error.contains("epochs = 3, not 9") && error.contains("--init"), "{error}");
    let error = fails(at, 2, &["train", "--resume", "--out=nowhere"]);
    assert!(error.contains("nowhere"), "{error}");
    // Going on with a finished run shows its result again.
    let said = dsnet(at, &["train", "--resume", "--out=run", "--epochs=3"]);
    assert!(said.code == Some(0) && said.out.contains("mIoU"), "{}{}", said.out, said.err);
}

/// Averaged weights, momentum, patches and colours are all part of what goes on.
#[test]
fn averages_go_on_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let more = ["--ema=0.9", "--optimizer=sgd", "--jitter=0.4", "--patches=32x40:1x2", "--cache=kept"];
    let loss = ["--loss=ce+sel", "--label-smoothing=0.1"];
    let run = |args: &[&str]| succeeds(at, &[&TINY[..], &more, &loss, args].concat());
    run(&[]);
    let [last, best] =
        ["run/last.safetensors", "run/best.safetensors"].map(|path| fs::read(at.join(path)).unwrap());
    succeeds(at, &["train", "--resume", "--out=run", "--from=run/previous.safetensors"]);
    assert!(fs::read(at.join("run/last.safetensors")).unwrap() == last);
    assert!(fs::read(at.join("run/best.safetensors")).unwrap() == best);
    // What is evaluated is the average, from either file; the weights themselves are others.
    let load = |path: &str| nn::Checkpoint::load(at.join(path)).unwrap();
    let (state, average) =
        (load("run/last.safetensors").model_state(), load("run/last.safetensors").average_state());
    assert_ne!(state["full.weight"].to_f64_vec().unwrap(), average["full.weight"].to_f64_vec().unwrap());
    let net = |path: &str| nn::state_dict(&::dsnet::weights::load(&at.join(path)).unwrap().net);
    for (name, value) in net("run/last.safetensors") {
        assert_eq!(value.to_f64_vec().unwrap(), average[&name].to_f64_vec().unwrap(), "{name}");
    }
    // Without the cache, on one rank or two: the same (but for rounding among ranks).
    run(&["--out=plain", "--cache-limit=0.000001"]);
    assert!(fs::read(at.join("plain/best.safetensors")).unwrap() == best);
    succeeds(
        at,
        &[&TINY[..], &["--out=hard", "--loss=bootstrap:100:0.3", "--ranks=2", "--ema=0.5"]].concat(),
    );
}

/// In 16 bits, too, on one rank and on two; the loss scale is part of what goes on.
#[test]
fn low_precision_goes_on_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    for more in [&["--precision=bf16"][..], &["--precision=f16"], &["--precision=f16", "--ranks=2"]] {
        let tiny = TINY.iter().copied().filter(|a| !a.starts_with("--out")).chain(["--out=run"]);
        succeeds(at, &tiny.chain(more.iter().copied()).collect::<Vec<_>>());
        let read = |name: &str| fs::read(at.join("run").join(name)).unwrap();
        let (last, best) = (read("last.safetensors"), read("best.safetensors"));
        let extras = nn::Checkpoint::load(at.join("run/last.safetensors")).unwrap().meta.extras;
        match extras.get("loss_scale") {
            // All nine steps were good.
            Some(scale) => assert_eq!(scale.to_string(), "[65536.0,9.0]"),
            None => assert_eq!(more, ["--precision=bf16"]),
        }
        succeeds(at, &["train", "--resume", "--out=run", "--from=run/previous.safetensors"]);
        assert!(read("last.safetensors") == last && read("best.safetensors") == best, "{more:?}");
        if more.contains(&"--precision=f16") {
            overflows_once(&at.join("run"), &mut || succeeds(at, &["train", "--resume", "--out=run"]));
        }
        let error = fails(at, 2, &["train", "--resume", "--out=run", "--precision=f32"]);
        assert!(error.contains("precision = "), "{error}");
        fs::remove_dir_all(at.join("run")).unwrap();
    }
}

/// Gives the f16 run in `folder`, which has one step left in its last checkpoint but one, a loss scale that is too large: that
/// step is left out, the scale halves, and the training goes on to its end.
pub fn overflows_once(folder: &Path, go_on: &mut dyn FnMut() -> String) {
    let [last, previous] = ["last", "previous"].map(|name| folder.join(format!("{name}.safetensors")));
    let mut checkpoint = nn::Checkpoint::load(&previous).unwrap();
    let weights = |c: &nn::Checkpoint| -> Vec<Vec<u8>> {
        c.model_state().values().map(|t| t.to_bytes().unwrap()).collect()
    };
    let before = weights(&checkpoint);
    checkpoint.meta.extras.insert("loss_scale".into(), vec![16777216.0, 1234.0].into());
    checkpoint.save(&last).unwrap();
    go_on();
    let after = nn::Checkpoint::load(&last).unwrap();
    assert_eq!(after.meta.extras["loss_scale"].to_string(), "[8388608.0,0.0]");
    assert!(weights(&after) == before, "a step that is left out moves nothing");
    let log = fs::read_to_string(folder.join("log.jsonl")).unwrap();
    let steps: Vec<&str> = log.lines().filter(|line| line.contains(r#""kind":"step""#)).collect();
    let told: Vec<_> = steps.iter().filter(|line| line.contains(r#""overflow":16777216.0"#)).collect();
    assert!(steps.len() == 9 && told == [&steps[8]], "{log}");
}

//! Round trips, and files broken in every way.

use std::sync::LazyLock;

use proptest::prelude::*;
use tensor::DType;

use super::*;
use crate::{
    BatchNormConfig, Conv2dConfig, Initializer, Sequential,
    optim::{Adam, Gradient, Sgd},
};

fn model(seed: u64, channels: usize) -> Sequential {
    let init = Initializer::new(seed);
    Sequential::new()
        .with(Conv2dConfig::new(2, channels, 3).build(&init.scope("0")).unwrap())
        .with(BatchNormConfig::new(channels).build(&init.scope("1")).unwrap())
}

/// One step with every gradient 1.
fn step(model: &Sequential, optimizer: &mut Optimizer) {
    let one = |(name, param): (String, crate::Param)| {
        let value = Tensor::ones(param.value().dims(), DType::F32).unwrap();
        Gradient { name, param, value }
    };
    optimizer.step(&parameters(model).into_iter().map(one).collect::<Vec<_>>(), 1.0).unwrap();
}

fn values(model: &Sequential) -> Vec<Vec<f64>> {
    state_dict(model).iter().map(|(_, t)| t.to_f64_vec().unwrap()).collect()
}

fn trained() -> (Sequential, Optimizer, Meta) {
    let (model, mut optimizer) = (model(1, 3), Optimizer::new(Adam::default(), 0.1));
    step(&model, &mut optimizer);
    let mut meta = Meta::new("tiny", 19, 42);
    (meta.step, meta.epoch, meta.batch) = (1, 2, 3);
    meta.extras.insert("best".into(), serde_json::json!(0.1 + 0.2));
    (model, optimizer, meta)
}

/// The file of [`trained`].
static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (model, optimizer, meta) = trained();
    let c = Checkpoint::capture(&model, Some(&optimizer), meta);
    file::encode(&c.meta, &c.tensors).unwrap()
});

#[test]
fn a_training_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last.safetensors");
    let (first, mut optimizer, meta) = trained();
    Checkpoint::capture(&first, Some(&optimizer), meta.clone()).save(&path).unwrap();
    step(&first, &mut optimizer);

    let loaded = Checkpoint::load(&path).unwrap();
    assert_eq!(loaded.meta, Meta { optimizer: Some("adam".into()), ..meta });
    let (second, mut resumed) = (model(2, 3), Optimizer::new(Adam::default(), 0.1));
    loaded.restore(&second, &mut resumed).unwrap();
    step(&second, &mut resumed);
    assert_eq!(values(&first), values(&second));
}

#[test]
fn the_same_state_gives_the_same_file() {
    let (model, optimizer, meta) = trained();
    let c = Checkpoint::capture(&model, Some(&optimizer), meta);
    assert_eq!(file::encode(&c.meta, &c.tensors).unwrap(), *FILE);
}

fn loaded() -> Checkpoint {
    let (meta, tensors) = file::decode(&FILE).unwrap();
    Checkpoint { meta, tensors, path: "run/last.safetensors".into() }
}

#[test]
fn misfits_change_nothing() {
    let wide = model(5, 4);
    let before = values(&wide);
    let mut optimizer = Optimizer::new(Adam::default(), 0.1);
    let error = loaded().restore_model(&wide, &[]).unwrap_err().to_string();
    assert!(error.starts_with("checkpoint run/last.safetensors: "), "{error}");
    assert!(error.contains("0.weight is f32[3, 2, 3, 3] but the model wants f32[4, 2, 3, 3]"), "{error}");
    assert!(loaded().restore(&wide, &mut optimizer).is_err());
    assert!(values(&wide) == before && optimizer.state().is_empty());

    let fits = model(5, 3);
    let before = values(&fits);
    let error =
        loaded().restore(&fits, &mut Optimizer::new(Sgd::momentum(0.9), 0.1)).unwrap_err().to_string();
    assert!(error.contains("holds the state of adam, but the training uses sgd"), "{error}");
    let weights = Checkpoint::capture(&fits, None, Meta::new("tiny", 19, 0));
    let error = weights.restore(&fits, &mut optimizer).unwrap_err().to_string();
    assert!(error.contains("no optimiser state"), "{error}");
    assert_eq!(values(&fits), before);
}

#[test]
fn another_model_or_class_count() {
    loaded().expect("tiny", 19).unwrap();
    let error = loaded().expect("tiny", 11).unwrap_err().to_string();
    assert!(error.contains("holds tiny with 19 classes, but tiny with 11 classes"), "{error}");
    assert!(loaded().expect("other", 19).is_err());
}

#[test]
fn files_that_are_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let load = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Checkpoint::load(&path).unwrap_err().to_string()
    };
    assert!(load(b"").contains("truncated"));
    assert!(load(b"\x89PNG\r\n\x1a\n and so on").contains("no safetensors file"));
    let none = safetensors::serialize::<&str, safetensors::tensor::TensorView<'_>, _>([], None).unwrap();
    assert!(load(&none).contains("is no checkpoint"));
    assert!(Checkpoint::load(folder.path().join("absent")).unwrap_err().to_string().contains("absent"));
}

#[test]
fn a_newer_format_is_refused() {
    let (meta, tensors) = file::decode(&FILE).unwrap();
    let newer = file::encode_as(2, &meta, &tensors).unwrap();
    assert!(file::decode(&newer).unwrap_err().contains("is of format 2; this program reads up to 1"));
}

#[test]
fn every_truncation_is_an_error() {
    for keep in 0..FILE.len() {
        assert!(file::decode(&FILE[..keep]).is_err(), "{keep} of {} bytes", FILE.len());
    }
}

#[test]
fn every_changed_byte_is_an_error() {
    for at in 0..FILE.len() {
        for flip in [1 << (at % 8), 0x20, 0xff] {
            let mut bytes = FILE.clone();
            bytes[at] ^= flip;
            assert!(file::decode(&bytes).is_err(), "byte {at} changed by {flip:#x}");
        }
    }
}

#[test]
fn what_can_be_no_checkpoint_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let error = Checkpoint::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is no file"), "{error}");
    // A header longer than the file, in a file far larger than memory.
    let path = folder.path().join("large.safetensors");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    std::io::Write::write_all(&mut &file, &(1_u64 << 41).to_le_bytes()).unwrap();
    let error = Checkpoint::load(&path).unwrap_err().to_string();
    assert!(error.contains("does not begin with a header"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(file::decode(&bytes).is_err());
    }

    #[test]
    fn a_damaged_header_is_an_error_or_harmless(cuts in proptest::collection::vec((8..1200_usize, any::<u8>()), 1..8)) {
        let mut bytes = FILE.clone();
        for (at, value) in cuts {
            bytes[at] = value;
        }
        if let Ok((meta, tensors)) = file::decode(&bytes) {
            prop_assert!(file::encode(&meta, &tensors).unwrap() == *FILE);
        }
    }
}

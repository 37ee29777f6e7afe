//! The kinds of files that the program reads, good ones of each, and the loaders that they go through.

use std::{fs, path::Path, sync::LazyLock};

use datasets::{CamVid, Dataset, Depth, Image, LabelMap, Split, Synthetic, SyntheticOptions};
use dsnet::{
    data::Source,
    model,
    train::{Learner, OptimizerKind, TrainOptions},
    weights::{self, ModelInfo, Saved},
};
use nn::Checkpoint;

use crate::{
    cached,
    change::{Random, binary, json, png_sums, text},
    runs,
};

/// A kind of file.
pub struct Kind {
    pub name: &'static str,
    pub originals: Vec<Vec<u8>>,
    pub change: fn(&mut Random, &[u8]) -> Vec<u8>,
    /// Makes checksums right again after a change.
    pub repair: fn(&mut [u8]),
    /// Whether every change must be noticed.
    pub sealed: bool,
    /// Loads these bytes as a file in a folder; the message of the error.
    pub load: fn(&Path, &[u8]) -> Result<(), String>,
}

/// A folder for files that live for a moment: in memory where there is such a place, for checkpoints are synced to disk.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// All of them; `folder` is for making the originals.
pub fn kinds(folder: &Path) -> Vec<Kind> {
    let nothing: fn(&mut [u8]) = |_| {};
    let kind = |name, originals, change, load| Kind {
        name,
        originals,
        change,
        repair: nothing,
        sealed: false,
        load,
    };
    vec![
        Kind { repair: png_sums, ..kind("PNG images", png_images(), binary, image) },
        kind("JPEG images", jpeg_images(), binary, image),
        Kind { repair: png_sums, ..kind("label maps", label_maps(), binary, labels) },
        kind("split lists", split_lists(), text, split_list),
        Kind { sealed: true, ..kind("checkpoints", checkpoints(folder), binary, checkpoint) },
        kind("checkpoints that say something else", checkpoints(folder), resaved, checkpoint),
        Kind { sealed: true, ..kind("decoded samples", cached::originals(folder), binary, cached::load) },
        kind("options", options(), text, toml),
        kind("logs", vec![runs::log(folder)], text, runs::read_log),
        kind("TensorBoard events", vec![runs::events(folder)], binary, runs::read_events),
    ]
}

const SIZE: (u32, u32) = (23, 17);

fn encoded(picture: image::DynamicImage, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(vec![]);
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn rgb() -> image::DynamicImage {
    image::RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| image::Rgb([x, y, x * y].map(|v| (v * 11) as u8))).into()
}

fn png_images() -> Vec<Vec<u8>> {
    let palette = include_bytes!("pictures/palette.png").to_vec();
    let pictures = [rgb(), rgb().to_luma_alpha8().into(), rgb().to_rgba16().into()];
    pictures.map(|p| encoded(p, image::ImageFormat::Png)).into_iter().chain([palette]).collect()
}

fn jpeg_images() -> Vec<Vec<u8>> {
    let others = [&include_bytes!("pictures/progressive.jpg")[..], include_bytes!("pictures/cmyk.jpg")];
    let baseline = [rgb(), rgb().to_luma8().into()].map(|p| encoded(p, image::ImageFormat::Jpeg));
    baseline.into_iter().chain(others.map(<[u8]>::to_vec)).collect()
}

/// A good image and a good label map of one size.
static PAIR: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| [png_images().remove(0), label_maps().remove(0)]);

fn label_maps() -> Vec<Vec<u8>> {
    let labels = image::GrayImage::from_fn(SIZE.0, SIZE.1, |x, y| image::Luma([((x + y) % 12) as u8]));
    vec![encoded(labels.into(), image::ImageFormat::Png)]
}

/// Loads the first sample of a CamVid folder with this image and label map, in every way.
fn sample(folder: &Path, image: &[u8], label: &[u8]) -> Result<(), String> {
    for (name, bytes) in [("train.txt", &b"i l\n"[..]), ("i", image), ("l", label)] {
        fs::write(folder.join(name), bytes).unwrap();
    }
    let data = CamVid::open(folder, Split::Train).map_err(|e| e.to_string())?;
    for depth in [Depth::Headers, Depth::Labels, Depth::Full] {
        if let Err(problems) = data.inspect(0, depth) {
            assert!(
                problems.iter().all(|e| e.to_string().contains(&*folder.to_string_lossy())),
                "{problems:?}"
            );
        }
    }
    let (image, labels) = (data.image(0), data.labels(0));
    if let Ok(image) = &image {
        assert_eq!(image.data().len(), image.width() * image.height() * 3);
    }
    if let Ok(labels) = &labels {
        assert!(labels.data().iter().all(|&v| v < 11 || v == 255));
    }
    let alike = image.as_ref().ok().map(Image::size) == labels.as_ref().ok().map(LabelMap::size);
    image.map_err(|e| e.to_string())?;
    labels.map_err(|e| e.to_string())?;
    assert_eq!(data.load(0).is_ok(), alike);
    Ok(())
}

fn image(folder: &Path, bytes: &[u8]) -> Result<(), String> {
    sample(folder, bytes, &PAIR[1])?;
    Image::read(folder.join("i")).map(drop).map_err(|e| e.to_string())
}

fn labels(folder: &Path, bytes: &[u8]) -> Result<(), String> {
    sample(folder, &PAIR[0], bytes)
}

fn split_lists() -> Vec<Vec<u8>> {
    ["/SegNet/CamVid/i /SegNet/CamVid/l\ni l\r\n", "\u{feff}i l\n\n  ./i\tx/l  \n"]
        .map(|text| text.as_bytes().to_vec())
        .into()
}

fn split_list(folder: &Path, bytes: &[u8]) -> Result<(), String> {
    for (name, bytes) in [("val.txt", bytes), ("i", &PAIR[0]), ("l", &PAIR[1])] {
        fs::write(folder.join(name), bytes).unwrap();
    }
    let data = CamVid::open(folder, Split::Val).map_err(|e| e.to_string())?;
    let mut result = Ok(());
    for index in 0..data.len() {
        assert!(!data.name(index).is_empty());
        result = result.and(data.load(index).map(drop).map_err(|e| e.to_string()));
    }
    result
}

fn learner() -> Learner {
    let shape = model::config("dsnet-tiny", 19).unwrap();
    Learner::with(&shape, "owfl+sel".parse().unwrap(), &[1.0 / 19.0; 19], OptimizerKind::Adam, 1e-3, 1)
        .unwrap()
}

fn info() -> ModelInfo {
    let scenes = Synthetic::new(SyntheticOptions { len: 1, ..SyntheticOptions::new(Split::Val) }).unwrap();
    ModelInfo::new("dsnet-tiny", Source::Synthetic, &scenes, &[1.0 / 19.0; 19]).unwrap()
}

fn run() -> Saved {
    Saved {
        at: datasets::Position { epoch: 1, batch: 2 },
        step: 5,
        total_steps: 9,
        seed: 3,
        best: Some(0.25),
    }
}

fn checkpoints(folder: &Path) -> Vec<Vec<u8>> {
    let path = folder.join("good.safetensors");
    weights::save(&path, None, &learner(), &info(), &run()).unwrap();
    vec![fs::read(path).unwrap()]
}

/// The same tensors under another description, with the right checksum.
fn resaved(random: &mut Random, original: &[u8]) -> Vec<u8> {
    let folder = scratch();
    let path = folder.path().join("a.safetensors");
    fs::write(&path, original).unwrap();
    let mut checkpoint = Checkpoint::load(&path).unwrap();
    let tree = serde_json::to_value(&checkpoint.meta).unwrap();
    // A description that is none can not be saved.
    let other = || serde_json::from_value(json(random, &tree)).ok().filter(|meta| *meta != checkpoint.meta);
    checkpoint.meta = std::iter::repeat_with(other).flatten().next().unwrap();
    checkpoint.save(&path).unwrap();
    fs::read(path).unwrap()
}

fn checkpoint(folder: &Path, bytes: &[u8]) -> Result<(), String> {
    let path = folder.join("weights.safetensors");
    fs::write(&path, bytes).unwrap();
    let loaded = weights::load(&path).map_err(|e| e.chain());
    if let Ok(trained) = &loaded {
        assert!(trained.info.classes.len() < 256);
        let _ = trained.info.classes();
    }
    let restored = weights::restore(&path, &mut learner(), &info(), &run()).map_err(|e| e.chain());
    if let Ok(saved) = &restored {
        assert!(saved.step <= saved.total_steps);
    }
    loaded.map(drop).and(restored.map(drop))
}

fn options() -> Vec<Vec<u8>> {
    let full = TrainOptions::default().with_defaults().unwrap().to_toml().unwrap();
    let camvid = "# CamVid\ndata = \"camvid\"\nroot = 'data'\ncrop = \"64x96\"\nscales = \"0.5,1.0\"\nlr = 1e-3\n\
                  schedule = \"step:10:0.5\"\nloss = \"owfl+0.5*sel\"\nflip = false\nclip = 5.0\n";
    vec![full.into_bytes(), camvid.into()]
}

fn toml(folder: &Path, bytes: &[u8]) -> Result<(), String> {
    let path = folder.join("run.toml");
    fs::write(&path, bytes).unwrap();
    let options = TrainOptions::read(&path).map_err(|e| e.chain())?;
    // What is read well may still be impossible; that message is about the option.
    if let Ok(config) = options.resolve() {
        assert!(config.batch > 0 && config.workers <= 1 << 10);
    }
    Ok(())
}

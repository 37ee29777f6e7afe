//! The real datasets, in folders named by variables.

use std::path::PathBuf;

use datasets::{Annotation, CamVid, Cityscapes, Dataset, Depth, Split, check, class_stats};

fn folder(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        println!("skipped: set {variable} to the dataset's folder to run this test");
    }
    path
}

#[test]
fn camvid() {
    let Some(root) = folder("DSNET_CAMVID") else { return };
    for (split, len) in [(Split::Train, 367), (Split::Val, 101), (Split::Test, 233)] {
        let data = CamVid::open(&root, split).unwrap();
        assert_eq!(data.len(), len);
        check(&data, Depth::Labels, &|_| {}).unwrap();
        assert_eq!(data.load(len - 1).unwrap().image.size(), (480, 360));
    }
    // Pixel counts of the training annotations, as counted independently.
    let (stats, _) = class_stats(&CamVid::open(&root, Split::Train).unwrap(), None, &|_| {}).unwrap();
    let expected =
        [10682767, 14750079, 623349, 20076880, 2845085, 6166762, 743859, 714595, 3719877, 405385, 184967];
    assert_eq!(stats.pixels, expected);
    assert_eq!(stats.ignored, 2503995);
    assert_eq!(stats.images_with, [366, 365, 366, 367, 349, 319, 351, 173, 360, 317, 201]);
}

#[test]
fn cityscapes() {
    let Some(root) = folder("DSNET_CITYSCAPES") else { return };
    for split in [Split::Train, Split::Val] {
        let data = Cityscapes::open(&root, split, Annotation::Fine).unwrap();
        check(&data, Depth::Full, &|_| {}).unwrap();
        let sample = data.load(0).unwrap();
        assert_eq!(sample.image.size(), (2048, 1024));
        let histogram = sample.labels.histogram();
        assert!(histogram[..19].iter().filter(|&&n| n > 0).count() >= 8 && histogram[255] > 0);
    }
}

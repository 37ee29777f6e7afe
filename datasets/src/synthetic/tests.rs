//! What the generator promises: same key same bytes, all classes, a long tail, any size.

use super::*;
use crate::stats::class_stats;
use crate::weights::class_weights;

fn small(split: Split, len: usize) -> Synthetic {
    Synthetic::new(SyntheticOptions { len, ..SyntheticOptions::new(split) }).unwrap()
}

#[test]
fn the_default_training_set_has_all_classes_and_all_gamma_groups() {
    let train = Synthetic::new(SyntheticOptions::new(Split::Train)).unwrap();
    let (stats, _) = class_stats(&train, None, &|_| {}).unwrap();
    let w = class_weights(&stats.frequencies()).unwrap();
    for (i, name) in stats.classes.iter().enumerate() {
        println!(
            "{name:14} {:7.3} %  in {:3} images  alpha {:.3}  gamma {}",
            100.0 * w.frequency[i],
            stats.images_with[i],
            w.alpha[i],
            w.gamma[i]
        );
    }
    assert!(stats.pixels.iter().all(|&p| p > 0), "every class occurs");
    assert!(stats.images_with.iter().all(|&n| n >= 40), "and in enough images to be learned");
    for group in 0..=2 {
        assert!(w.gamma.contains(&group), "no class has gamma {group}: {:?}", w.gamma);
    }
    assert!(w.gamma.iter().all(|&g| g <= 2));
    assert!(stats.ignored > 0, "some pixels belong to no class");
}

#[test]
fn a_scene_is_a_function_of_its_key() {
    let (a, b) = (small(Split::Train, 4), small(Split::Train, 9));
    assert_eq!(a.load(3).unwrap(), b.load(3).unwrap(), "the number of samples does not matter");
    let other_seed = Synthetic::new(SyntheticOptions { seed: 1, ..a.options.clone() }).unwrap();
    let others = [b.load(4).unwrap(), small(Split::Val, 4).load(3).unwrap(), other_seed.load(3).unwrap()];
    assert!(others.iter().all(|s| *s != a.load(3).unwrap()));
    let threads: Vec<_> =
        (0..4).map(|_| std::thread::spawn(|| small(Split::Train, 4).load(3).unwrap())).collect();
    for t in threads {
        assert_eq!(t.join().unwrap(), a.load(3).unwrap());
    }
}

#[test]
fn any_size_can_be_drawn() {
    for (width, height) in [(16, 16), (640, 360), (101, 333), (400, 16), (1024, 64)] {
        let options = SyntheticOptions { seed: 3, split: Split::Test, len: 3, width, height };
        let scenes = Synthetic::new(options).unwrap();
        for i in 0..3 {
            let s = scenes.load(i).unwrap();
            assert_eq!((s.image.size(), s.labels.size()), ((width, height), (width, height)));
            assert!(s.labels.data().iter().all(|&v| v < 19 || v == 255));
        }
    }
    for (width, height, len) in [(15, 64, 1), (64, 9000, 1), (64, 64, 0)] {
        let options = SyntheticOptions { seed: 0, split: Split::Val, len, width, height };
        assert!(Synthetic::new(options).is_err());
    }
    assert!(small(Split::Val, 2).load(2).is_err());
}

#[test]
fn content_keys_tell_options_apart() {
    let key = |o: SyntheticOptions| Synthetic::new(o).unwrap().content_key().unwrap();
    let base = SyntheticOptions::new(Split::Train);
    assert_eq!(key(base.clone()), key(base.clone()));
    for other in [
        SyntheticOptions { seed: 1, ..base.clone() },
        SyntheticOptions { len: 10, ..base.clone() },
        SyntheticOptions { width: 128, ..base.clone() },
        SyntheticOptions::new(Split::Val),
    ] {
        assert_ne!(key(other), key(base.clone()));
    }
}

#[test]
fn normalised_pictures_are_centred() {
    let (scenes, norm) = (small(Split::Train, 120), Normalization::SYNTHETIC);
    let (mut sum, mut squares, mut n) = ([0.0f64; 3], [0.0f64; 3], 0.0);
    for i in 0..scenes.len() {
        for p in scenes.image(i).unwrap().data().chunks_exact(3) {
            for c in 0..3 {
                let v = f64::from(p[c]) / 255.0;
                sum[c] += v;
                squares[c] += v * v;
            }
            n += 1.0;
        }
    }
    for c in 0..3 {
        let mean = sum[c] / n;
        let std = (squares[c] / n - mean * mean).sqrt();
        assert!((mean - f64::from(norm.mean[c])).abs() < 0.02, "mean of channel {c} is {mean}");
        assert!((std - f64::from(norm.std[c])).abs() < 0.02, "standard deviation of channel {c} is {std}");
    }
}

/// The generator uses only operations that IEEE 754 rounds exactly, so these bytes hold on every machine.
/// After a deliberate change of the pictures: raise `VERSION` and put the new fingerprint here.
#[test]
fn pictures_are_the_same_bytes_everywhere() {
    let scenes = small(Split::Train, 8);
    let mut key = Fingerprint::new();
    for i in 0..8 {
        let s = scenes.load(i).unwrap();
        key.add(s.image.data());
        key.add(s.labels.data());
    }
    assert_eq!(key.finish(), "a965432d4186a2e1", "with VERSION {VERSION}");
}

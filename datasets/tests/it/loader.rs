//! Order, determinism, errors and shutdown of the loader.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use datasets::{Augment, Batch, Dataset, Loader, LoaderOptions, Pixels, Position, Scale, Shard, Split};
use tensor::DType;

use crate::support::{Numbered, scenes};

fn loader(dataset: impl Dataset + 'static, options: LoaderOptions) -> Loader {
    Loader::new(Arc::new(dataset), options).unwrap()
}

fn train(workers: usize) -> LoaderOptions {
    let augment = Augment { scale: Scale::Uniform(0.7, 1.6), crop: Some((24, 40)), flip: true, jitter: 0.3 };
    LoaderOptions {
        batch: 3,
        shuffle: true,
        drop_last: true,
        seed: 5,
        workers,
        prefetch: 2,
        augment,
        ..Default::default()
    }
}

fn content(batch: &Batch) -> (Position, Vec<usize>, Vec<u32>, Vec<u8>) {
    let images = batch.images.to_vec::<f32>().unwrap().iter().map(|v| v.to_bits()).collect();
    (batch.position, batch.indices.clone(), images, batch.labels.to_vec::<u8>().unwrap())
}

#[test]
fn decoded_batches_hold_the_bytes_that_others_normalise() {
    let batch = |pixels| {
        let options = LoaderOptions { batch: 2, pixels, ..Default::default() };
        loader(scenes(Split::Val, 3), options).epoch(0).unwrap().next().unwrap().unwrap()
    };
    let (numbers, bytes) = (batch(Pixels::Normalized), batch(Pixels::Decoded));
    assert_eq!((bytes.images.dtype(), bytes.images.dims()), (DType::U8, numbers.images.dims()));
    let norm = scenes(Split::Val, 3).normalization();
    let plane: usize = numbers.images.dims()[2..].iter().product();
    let (numbers, bytes) = (numbers.images.to_vec::<f32>().unwrap(), bytes.images.to_vec::<u8>().unwrap());
    for (i, (number, byte)) in numbers.into_iter().zip(bytes).enumerate() {
        let c = i / plane % 3;
        assert_eq!(number, (f32::from(byte) / 255.0 - norm.mean[c]) / norm.std[c]);
    }
}

#[test]
fn batches_do_not_depend_on_the_number_of_workers() {
    let all = |workers| -> Vec<_> {
        let loader = loader(scenes(Split::Train, 11), train(workers));
        let (from, to) = (Position::default(), Position { epoch: 3, batch: 0 });
        loader.range(from, to).unwrap().map(|b| content(&b.unwrap())).collect()
    };
    let one = all(1);
    assert_eq!(one.len(), 9);
    for workers in [2, 3, 5, 16] {
        assert!(all(workers) == one, "{workers} workers give other batches");
    }
}

#[test]
fn a_run_can_go_on_from_any_position() {
    let loader = loader(scenes(Split::Train, 10), train(2));
    let end = Position { epoch: 2, batch: 0 };
    let whole: Vec<_> =
        loader.range(Position::default(), end).unwrap().map(|b| content(&b.unwrap())).collect();
    for (skip, position) in
        [(2, Position { epoch: 0, batch: 2 }), (4, Position { epoch: 1, batch: 1 }), (6, end)]
    {
        let rest: Vec<_> = loader.range(position, end).unwrap().map(|b| content(&b.unwrap())).collect();
        assert!(rest == whole[skip..], "from {position:?}");
    }
    // The end of an epoch is the start of the next one.
    let next = loader.range(Position { epoch: 0, batch: 3 }, end).unwrap().next().unwrap().unwrap();
    assert_eq!(next.position, Position { epoch: 1, batch: 0 });
    assert!(loader.range(Position { epoch: 0, batch: 4 }, end).is_err());
}

/// Images and labels of several batches, one after the other.
fn joined(parts: &[Batch]) -> (Vec<usize>, Vec<u32>, Vec<u8>) {
    let mut all = (vec![], vec![], vec![]);
    for (_, indices, images, labels) in parts.iter().map(content) {
        all.0.extend(indices);
        all.1.extend(images);
        all.2.extend(labels);
    }
    all
}

#[test]
fn ranks_together_load_what_one_rank_loads() {
    // 11 samples in batches of 4: the last one has 3, fewer than 4 ranks.
    let options = |shard| LoaderOptions { batch: 4, drop_last: false, shard, ..train(2) };
    let part = |rank, world| loader(scenes(Split::Train, 11), options(Shard { rank, world }));
    let whole: Vec<Batch> = part(0, 1).epoch(1).unwrap().map(Result::unwrap).collect();
    for world in [2, 3, 4] {
        let mut all: Vec<_> = (0..world).map(|rank| part(rank, world).epoch(1).unwrap()).collect();
        for batch in &whole {
            let parts: Vec<Batch> = all.iter_mut().map(|b| b.next().unwrap().unwrap()).collect();
            assert!(parts.iter().all(|p| p.position == batch.position));
            assert!(joined(&parts) == joined(std::slice::from_ref(batch)), "{world} ranks");
            // Also a rank without samples has images of the same size.
            assert!(parts.iter().all(|p| p.images.dims()[1..] == batch.images.dims()[1..]));
            assert!(parts.iter().all(|p| p.labels.dims() == [p.len(), 24, 40]));
        }
        assert!(all.iter_mut().all(|b| b.next().is_none()));
    }
    let wrong = Loader::new(Arc::new(scenes(Split::Train, 4)), options(Shard { rank: 2, world: 2 }));
    assert!(wrong.err().unwrap().to_string().contains("no rank 2 among 2"));
}

#[test]
fn every_sample_comes_once_an_epoch_and_in_a_new_order() {
    let options = LoaderOptions { batch: 4, shuffle: true, workers: 3, ..Default::default() };
    let loader = loader(Numbered::new(13), options);
    assert_eq!(loader.batches_per_epoch(), 4);
    let mut orders = Vec::new();
    for epoch in 0..3 {
        let batches: Vec<Batch> = loader.epoch(epoch).unwrap().map(Result::unwrap).collect();
        let sizes: Vec<usize> = batches.iter().map(Batch::len).collect();
        assert_eq!(sizes, [4, 4, 4, 1]);
        let order: Vec<usize> = batches.iter().flat_map(|b| b.indices.clone()).collect();
        assert_eq!(order, loader.order(epoch));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..13).collect::<Vec<_>>());
        orders.push(order);
    }
    assert!(orders[0] != orders[1] && orders[1] != orders[2]);
}

#[test]
fn a_batch_is_what_it_says() {
    let options = LoaderOptions { batch: 2, ..Default::default() };
    let batch = loader(Numbered::new(4), options).epoch(0).unwrap().nth(1).unwrap().unwrap();
    assert_eq!(batch.names, ["number 2", "number 3"]);
    assert_eq!(batch.images.dims(), [2, 3, 2, 4]);
    assert_eq!(batch.images.layout().strides(), [24, 1, 12, 3], "channels last");
    assert_eq!(batch.labels.dims(), [2, 2, 4]);
    let images = batch.images.to_vec::<f32>().unwrap();
    assert!(images[..24].iter().all(|v| (v - 2.0).abs() < 1e-4), "{images:?}");
    assert!(images[24..].iter().all(|v| (v - 3.0).abs() < 1e-4), "{images:?}");
    assert_eq!(batch.labels.to_vec::<u8>().unwrap(), [[2u8; 8], [3; 8]].concat());
}

#[test]
fn an_error_comes_in_its_place_and_the_rest_follows() {
    for workers in [1, 3] {
        let data = Numbered { fail_at: Some(4), ..Numbered::new(10) };
        let options = LoaderOptions { batch: 2, workers, ..Default::default() };
        let results: Vec<_> = loader(data, options).epoch(0).unwrap().collect();
        assert_eq!(results.len(), 5);
        for (i, result) in results.iter().enumerate() {
            match result {
                Ok(batch) => assert_eq!(batch.position.batch, i),
                Err(e) => assert!(i == 2 && e.to_string().contains("number 4 is broken"), "{i}: {e}"),
            }
        }
        assert!(results[2].is_err());
    }
}

#[test]
fn a_panicking_worker_is_an_error_and_nothing_hangs() {
    let data = Numbered { panic_at: Some(1), ..Numbered::new(6) };
    let options = LoaderOptions { workers: 2, ..Default::default() };
    let results: Vec<_> = loader(data, options).epoch(0).unwrap().collect();
    let message = results[1].as_ref().unwrap_err().to_string();
    assert!(
        message.contains("panicked at epoch 0, batch 1") && message.contains("told to panic"),
        "{message}"
    );
    assert!(results.iter().enumerate().all(|(i, r)| r.is_ok() == (i != 1)));
}

#[test]
fn leaving_early_stops_the_threads() {
    let start = Instant::now();
    let data = Arc::new(Numbered::new(100_000));
    let options = LoaderOptions { workers: 4, prefetch: 3, ..Default::default() };
    let loader = Loader::new(data.clone(), options).unwrap();
    let mut batches = loader.epoch(0).unwrap();
    assert_eq!(batches.len(), 100_000);
    assert!(batches.next().unwrap().is_ok());
    drop(batches);
    let loads = data.loads.load(Ordering::Relaxed);
    // What was handed over, what waits in the channels, and what each worker had in hand.
    assert!(loads <= 1 + 4 * (3 + 2), "{loads} samples were loaded");
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(data.loads.load(Ordering::Relaxed), loads, "a thread went on");
    assert!(start.elapsed() < Duration::from_secs(20));
    drop(loader.epoch(0).unwrap());
}

#[test]
fn mixed_sizes_and_bad_options_are_explained() {
    let data = Numbered { odd_size_at: Some(1), ..Numbered::new(4) };
    let options = LoaderOptions { batch: 2, ..Default::default() };
    let message = loader(data, options).epoch(0).unwrap().next().unwrap().unwrap_err().to_string();
    assert!(message.contains("number 1") && message.contains("5x2") && message.contains("crop"), "{message}");
    let refuse = |options| Loader::new(Arc::new(Numbered::new(3)), options).err().unwrap().to_string();
    assert!(refuse(LoaderOptions { batch: 0, ..Default::default() }).contains("batch size"));
    assert!(refuse(LoaderOptions { workers: 0, ..Default::default() }).contains("workers"));
    assert!(refuse(LoaderOptions { batch: 4, drop_last: true, ..Default::default() }).contains("too few"));
}

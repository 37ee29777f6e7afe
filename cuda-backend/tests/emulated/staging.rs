//! Batches on their way to the device.

use cuda_backend::CudaBackend;
use tensor::{DType, Format, Ops, Tensor};

use crate::support::{environment, integers, normal};

fn batch(n: u64) -> [Tensor; 2] {
    let images = normal(&[2, 3, 5, 7], DType::F32, n).to_format(Format::ChannelsLast).unwrap();
    [images, integers(&[2, 5, 7], DType::U8, 19, n)]
}

#[test]
fn every_batch_arrives_whole_however_late_it_is_used() {
    let gpu = CudaBackend::open(&environment(), 0).unwrap();
    let mut staging = gpu.staging().unwrap();
    let (mut ahead, mut sums) = (None, Vec::new());
    for n in 0..8 {
        let [images, labels] = batch(n);
        let next = staging.stage(&[&images, &labels]).unwrap();
        if let Some(now) = ahead.replace(next) {
            let arrived = now.arrive().unwrap();
            // Nobody waits for this before all batches have gone through the same memory.
            sums.push((arrived[0].mul_scalar(2.0).unwrap(), arrived[1].cast(DType::I64).unwrap()));
        }
    }
    for (n, (images, labels)) in sums.iter().enumerate() {
        let [want_images, want_labels] = batch(n as u64);
        let want = want_images.mul_scalar(2.0).unwrap();
        assert_eq!(images.to_vec::<f32>().unwrap(), want.to_vec::<f32>().unwrap(), "batch {n}");
        assert_eq!(labels.to_f64_vec().unwrap(), want_labels.to_f64_vec().unwrap(), "batch {n}");
    }
}

#[test]
fn batches_of_other_sizes_and_parts_without_samples_go_too() {
    let gpu = CudaBackend::open(&environment(), 0).unwrap();
    let mut staging = gpu.staging().unwrap();
    for dims in [[3, 4], [0, 4], [5, 40], [1, 1]] {
        let value = normal(&dims, DType::F32, 3);
        let arrived = staging.stage(&[&value]).and_then(|staged| staged.arrive()).unwrap();
        assert_eq!(arrived[0].to_vec::<f32>().unwrap(), value.to_vec::<f32>().unwrap());
    }
}

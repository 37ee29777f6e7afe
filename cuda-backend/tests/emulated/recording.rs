//! Recorded steps: what they compute, what they leave alone, and what they refuse.

use cuda_backend::{CudaBackend, Recorded};
use tensor::ops::{Conv2d, Distribution, Gather};
use tensor::rng::Key;
use tensor::{DType, Device, Op, Ops, Tensor};

use crate::support::{environment, gpu, integers, normal};

fn values(t: &Tensor) -> Vec<f64> {
    t.to_f64_vec().unwrap()
}

#[test]
fn a_replay_computes_from_places_and_accept_moves_the_state() {
    let gpu = gpu();
    let (state, input) = (normal(&[3, 5, 2, 2], DType::F32, 1), normal(&[3, 5, 2, 2], DType::F32, 2));
    let places = [gpu.place(&state).unwrap(), gpu.place(&input).unwrap()];
    let mut recording = gpu
        .record(|| {
            // Memory that was given back is used again by what is recorded, but not for constants.
            drop(places[0].square()?.sum_all()?);
            let constant = Tensor::from_slice(&[3.0_f32], &[1])?.to_device(&Tensor::device(&places[0]))?;
            drop(places[0].exp()?.sum_all()?);
            let new = places[0].mul(&constant)?.add(&places[1])?;
            Ok(Recorded { outputs: vec![new.sum_all()?, new.clone()], state: vec![(places[0].clone(), new)] })
        })
        .unwrap();
    assert_eq!(values(&places[0]), values(&state), "nothing is done while it is recorded");
    let step = |state: &Tensor, input: &Tensor| state.mul_scalar(3.0).unwrap().add(input).unwrap();
    let first = step(&state, &input);
    for _ in 0..2 {
        let outputs = recording.replay(0).unwrap();
        assert_eq!(values(&outputs[1]), values(&first), "the state did not move");
        assert_eq!(outputs[0].dims(), [0; 0]);
    }
    assert_eq!(values(&places[0]), values(&state));
    recording.accept().unwrap();
    assert_eq!(values(&places[0]), values(&first));
    let other = normal(&[3, 5, 2, 2], DType::F32, 3);
    gpu.overwrite(&places[1], &other).unwrap();
    // Work of others in between does not reach the recording's memory.
    let between = Tensor::full_on(&Tensor::device(&places[0]), 7.0, &[500], DType::F32).unwrap();
    assert_eq!(values(&recording.replay(0).unwrap()[1]), values(&step(&first, &other)));
    assert_eq!(values(&between), [7.0; 500]);
    let error = gpu.overwrite(&places[1], &between).unwrap_err().to_string();
    assert!(error.contains("a place of f32[3, 5, 2, 2] takes no f32[500]"), "{error}");
}

#[test]
fn kernels_and_memory_that_only_a_recording_uses_are_had_while_it_is_made() {
    // A device of its own, of which nothing is loaded and nothing taken.
    let gpu = CudaBackend::open(&environment(), 0).unwrap();
    let (x, table) = (normal(&[3, 4], DType::F32, 1), normal(&[1 << 20], DType::F32, 2));
    let place = gpu.place(&x).unwrap();
    let work = |x: &Tensor, table: &Tensor| {
        let wide = x.cast(DType::F64)?.sum_all()?.reshape(&[1])?;
        let both = Tensor::cat(&[&wide, &table.cast(DType::F64)?.sum_all()?.reshape(&[1])?], 0)?;
        both.exp()?.tanh()
    };
    let mut recording = gpu
        .record(|| {
            // A constant takes the device's own memory, more than it has at hand.
            let table = table.to_device(&Tensor::device(&place))?;
            Ok(Recorded { outputs: vec![work(&place, &table)?], state: vec![] })
        })
        .unwrap();
    let (got, want) = (recording.replay(0).unwrap().remove(0), work(&x, &table).unwrap());
    assert!(values(&got).iter().zip(values(&want)).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?} {want:?}");
}

#[test]
fn a_convolution_is_measured_before_it_is_recorded_or_not_at_all() {
    let cache = tempfile::tempdir().unwrap();
    let env = environment().with("DSNET_CACHE", cache.path().as_os_str());
    let gpu = CudaBackend::open(&env, 0).unwrap();
    let [x, w] = [&[1, 3, 5, 6], &[4, 3, 3, 3]].map(|dims| gpu.place(&normal(dims, DType::F32, 1)).unwrap());
    let conv = || x.conv2d(&w, None, &Conv2d::default());
    let error =
        gpu.record(|| Ok(Recorded { outputs: vec![conv()?], state: vec![] })).unwrap_err().to_string();
    assert!(error.contains("can not be measured while work is recorded: do it once before"), "{error}");
    let want = values(&conv().unwrap());
    let mut recording = gpu.record(|| Ok(Recorded { outputs: vec![conv()?], state: vec![] })).unwrap();
    assert_eq!(values(&recording.replay(0).unwrap()[0]), want);
}

#[test]
fn random_values_follow_the_shift() {
    let gpu = gpu();
    let device: Device = gpu.clone();
    let draw = |stream| {
        let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
        Tensor::random_on(&device, normal, &[9], DType::F32, Key::new(3, stream))
    };
    let mut recording = gpu.record(|| Ok(Recorded { outputs: vec![draw(10)?], state: vec![] })).unwrap();
    for shift in [0, 1, u64::MAX] {
        let want = values(&draw(10_u64.wrapping_add(shift)).unwrap());
        assert_eq!(values(&recording.replay(shift).unwrap()[0]), want, "shifted by {shift}");
    }
}

#[test]
fn what_can_not_be_recorded_is_said_and_nothing_stays() {
    let gpu = CudaBackend::open(&environment(), 0).unwrap();
    let x = gpu.place(&normal(&[4], DType::F32, 1)).unwrap();
    // Kernels are loaded before.
    let sum = values(&x.sum_all().unwrap());
    let before = gpu.memory();
    let read = || Ok(Recorded { outputs: vec![Tensor::scalar(x.sum_all()?.item()?)], state: vec![] });
    let error = gpu.record(read).unwrap_err().to_string();
    assert!(error.contains("a value is read while a step is recorded"), "{error}");
    let wrong = || Ok(Recorded { outputs: vec![], state: vec![(x.clone(), x.sum_all()?)] });
    let error = gpu.record(wrong).unwrap_err().to_string();
    assert!(error.contains("a place of f32[4] takes no f32[]"), "{error}");
    let error = gpu.record(|| Err(tensor::Error::value("step", "stops"))).unwrap_err().to_string();
    assert_eq!(error, "step: stops");
    assert_eq!(gpu.memory().held, before.held, "all of it is given back");
    let again = || Ok(Recorded { outputs: vec![x.sum_all()?], state: vec![] });
    let mut recording = gpu.record(again).unwrap();
    assert_eq!(values(&recording.replay(0).unwrap()[0]), sum);
    assert!(recording.bytes() > 0);
    drop(recording);
    assert_eq!(gpu.memory().held, before.held);
}

#[test]
fn a_value_out_of_range_names_the_recorded_operation() {
    let gpu = CudaBackend::open(&environment(), 0).unwrap();
    let device: Device = gpu.clone();
    let x = normal(&[4, 2], DType::F32, 1).to_device(&device).unwrap();
    let index = gpu.place(&integers(&[2, 2], DType::I64, 4, 1)).unwrap();
    let gather = |axis: usize, index: &Tensor| Tensor::apply1(Op::from(Gather { axis }), &[&x, index]);
    values(&gather(0, &index).unwrap());
    let work = || Ok(Recorded { outputs: vec![gather(0, &index)?], state: vec![] });
    let mut recording = gpu.record(work).unwrap();
    // So many checks of others that the numbers of launches come round.
    let other = integers(&[4, 2], DType::I64, 2, 2).to_device(&device).unwrap();
    (0..5000).for_each(|_| drop(gather(1, &other).unwrap()));
    values(&x);
    gpu.overwrite(&index, &Tensor::from_vec(vec![0_i64, 1, 2, 9], &[2, 2]).unwrap()).unwrap();
    let error = recording.replay(0).unwrap_err().to_string();
    assert_eq!(error, "gather: the index at [1, 1] is outside axis 0 of size 4");
    gpu.overwrite(&index, &integers(&[2, 2], DType::I64, 4, 1)).unwrap();
    recording.replay(0).unwrap();
}

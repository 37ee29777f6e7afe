//! Values that kernels can not take: found while they run, told by the next call that waits.

use cuda_backend::CudaBackend;
use tensor::ops::{Bincount, FocalLoss, Gather, MaxUnpool2d, ScatterAdd, Window};
use tensor::{Backend, DType, Device, Op, Ops, Tensor, execute_on};

use crate::support::{environment, integers, normal};

/// Runs `op` on an emulated GPU of its own, and returns what the call says that waits for it.
fn fault(op: impl Into<Op>, ins: &[&Tensor]) -> String {
    let gpu = CudaBackend::open(&environment(), 0).unwrap();
    let device: Device = gpu.clone();
    let ins: Vec<Tensor> = ins.iter().map(|t| t.to_device(&device).unwrap()).collect();
    let outs = execute_on(&device, &op.into(), &ins.iter().collect::<Vec<_>>()).unwrap();
    let error = gpu.synchronize().unwrap_err().to_string();
    // Told once: the device works on.
    gpu.synchronize().unwrap();
    drop(outs);
    error
}

fn vector(values: &[i64], dims: &[usize], dtype: DType) -> Tensor {
    Tensor::from_slice(values, dims).unwrap().cast(dtype).unwrap()
}

#[test]
fn indices() {
    let (x, index) = (normal(&[2, 3], DType::F32, 1), vector(&[0, 1, 2, 1, 3, 0], &[2, 3], DType::I64));
    let error = fault(Gather { axis: 1 }, &[&x, &index]);
    assert!(
        error.contains("gather") && error.contains("the index at [1, 1] is outside axis 1 of size 3"),
        "{error}"
    );
    let error = fault(ScatterAdd { axis: 1, len: 2 }, &[&x, &index]);
    assert!(error.contains("the index at [0, 2] is outside axis 1 of size 2"), "{error}");
    let error = fault(Bincount { bins: 2 }, &[&index]);
    assert!(error.contains("the value at [0, 2] has no bin among 0..2"), "{error}");
    let mut places = vec![0; 2 * 3 * 2 * 2];
    places[17] = 4; // [1, 1, 0, 1] of [2, 3, 2, 2]
    let (y, places) = (normal(&[2, 3, 2, 2], DType::F32, 2), vector(&places, &[2, 3, 2, 2], DType::U8));
    let error = fault(MaxUnpool2d { window: Window::square(2), size: [4, 4] }, &[&y, &places]);
    assert!(error.contains("the index at [1, 1, 0, 1] lies in the padding or outside"), "{error}");
}

#[test]
fn labels_and_exponents() {
    let x = normal(&[2, 3, 4, 5], DType::F32, 3);
    let mut labels = integers(&[2, 4, 5], DType::I64, 3, 4).to_vec::<i64>().unwrap();
    labels[33] = 7;
    let ones = Tensor::from_slice(&[1_f32; 3], &[3]).unwrap();
    let error =
        fault(FocalLoss { ignore: 255 }, &[&x, &vector(&labels, &[2, 4, 5], DType::U8), &ones, &ones]);
    let want = "the label at [1, 2, 3] is neither one of the 3 classes nor 255, which is ignored";
    assert!(error.contains(want), "{error}");
    labels[33] = 255;
    let gamma = Tensor::from_slice(&[0.0, 1.0, 0.5_f32], &[3]).unwrap();
    let error =
        fault(FocalLoss { ignore: 255 }, &[&x, &vector(&labels, &[2, 4, 5], DType::U8), &ones, &gamma]);
    assert!(error.contains("γ of class 2 must be 0 or at least 1"), "{error}");
}

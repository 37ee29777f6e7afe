//! Two GPUs, each driven by a thread, that sum and tell each other.

use cuda_backend::CudaBackend;
use cuda_backend::nccl::{Communicator, Id};
use tensor::{DType, Device, Ops, Tensor};

use crate::support::{environment, integers, normal};

/// Runs `f` as both ranks of a group, each on a GPU of its own.
fn ranks<T: Send>(f: impl Fn(&Communicator, &Device) -> T + Sync) -> Vec<T> {
    let id = Id::new(&CudaBackend::open(&environment(), 0).unwrap()).unwrap();
    let id = Id::from_bytes(&id.to_bytes()).unwrap();
    std::thread::scope(|scope| {
        let each: Vec<_> = (0..2)
            .map(|rank| {
                let f = &f;
                scope.spawn(move || {
                    let gpu = CudaBackend::open(&environment(), rank).unwrap();
                    let comm = Communicator::new(&gpu, id, rank, 2).unwrap();
                    assert_eq!((comm.rank(), comm.world()), (rank, 2));
                    f(&comm, &(gpu as Device))
                })
            })
            .collect();
        each.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

#[test]
fn sums_are_the_same_on_every_rank() {
    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
        let value = |rank: usize| normal(&[3, 5], dtype, rank as u64);
        let want = value(0).add(&value(1)).unwrap().to_f64_vec().unwrap();
        let sums = ranks(|comm, device| {
            let mine = value(comm.rank()).to_device(device).unwrap();
            // Two sums under way at once, and one that nobody waits for.
            let (first, second) = (comm.all_reduce(&mine).unwrap(), comm.all_reduce(&mine).unwrap());
            drop(comm.all_reduce(&mine).unwrap());
            let other = mine.exp().unwrap();
            let (first, second) = (first.wait().unwrap(), second.wait().unwrap());
            assert_eq!(first.to_f64_vec().unwrap(), second.to_f64_vec().unwrap());
            assert!(other.to_f64_vec().unwrap()[0] > 0.0);
            first.to_f64_vec().unwrap()
        });
        assert_eq!(sums[0], sums[1]);
        for (s, w) in sums[0].iter().zip(&want) {
            assert!((s - w).abs() < 1e-2, "{dtype}: {s} {w}");
        }
    }
}

#[test]
fn what_one_rank_tells_the_others_hear() {
    let heard = ranks(|comm, device| {
        let mine = Tensor::from_vec(vec![comm.rank() as i64, 7], &[2]).unwrap().to_device(device).unwrap();
        comm.broadcast(&mine, 1).unwrap().to_vec::<i64>().unwrap()
    });
    assert_eq!(heard, [[1, 7], [1, 7]]);
}

#[test]
fn a_rank_that_ends_the_group_is_noticed() {
    let said = std::sync::Mutex::new(Vec::new());
    let id = Id::new(&CudaBackend::open(&environment(), 0).unwrap()).unwrap();
    std::thread::scope(|scope| {
        for rank in 0..2 {
            let said = &said;
            scope.spawn(move || {
                // Devices that no other test uses: an error of a device stays with it.
                let gpu = CudaBackend::open(&environment(), 2 + rank).unwrap();
                let comm = Communicator::new(&gpu, id, rank, 2).unwrap();
                if rank == 1 {
                    assert!(comm.give_up());
                    return;
                }
                // Waits for the other, who never comes.
                let value = normal(&[4], DType::F32, 1).to_device(&(gpu.clone() as Device)).unwrap();
                let failed = comm.all_reduce(&value).and_then(|sum| Ok(sum.wait()?.to_vec::<f32>()?));
                said.lock().unwrap().push(failed.unwrap_err().to_string());
            });
        }
    });
    assert_eq!(said.into_inner().unwrap().len(), 1);
}

/// NCCL connects ranks when they first sum something, on the host: who waits there is in a call that does not come back.
#[test]
fn a_rank_that_is_blocked_in_a_call_is_let_go() {
    let id = Id::new(&CudaBackend::open(&environment(), 0).unwrap()).unwrap();
    let (joined, ended) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let gpu = CudaBackend::open(&environment(), 1).unwrap();
            let comm = Communicator::new(&gpu, id, 1, 2).unwrap();
            joined.wait();
            // Hangs somewhere else.
            ended.wait();
            assert!(comm.give_up());
        });
        let gpu = CudaBackend::open(&environment(), 0).unwrap();
        let comm = Communicator::new(&gpu, id, 0, 2).unwrap();
        joined.wait();
        let value = normal(&[4], DType::F32, 1).to_device(&(gpu.clone() as Device)).unwrap();
        let (begin, said) = (std::time::Instant::now(), std::sync::Mutex::new(String::new()));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let error = comm.all_reduce(&value).unwrap_err().to_string();
                *said.lock().unwrap() = error;
            });
            // As the watch of a training does; a call that was only just made is left alone.
            std::thread::sleep(std::time::Duration::from_millis(200));
            assert!(!comm.give_up(), "the call may still come back");
            let patience = std::time::Duration::from_secs(20);
            while !comm.give_up() && begin.elapsed() < patience {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            // Lets the call come back in any case.
            ended.wait();
            assert!(begin.elapsed() < patience, "a blocked call can not be ended");
        });
        assert!(said.lock().unwrap().contains("was given up"), "{said:?}");
        let error = comm.all_reduce(&value).unwrap_err().to_string();
        assert!(error.contains("was given up") && comm.give_up(), "{error}");
    });
}

/// What a machine with one GPU can show: the library is found, a group made, and its calls run.
#[test]
fn a_group_of_one() {
    let gpu = CudaBackend::open(&environment(), 0).unwrap();
    let comm = Communicator::new(&gpu, Id::new(&gpu).unwrap(), 0, 1).unwrap();
    let device: Device = gpu;
    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I64] {
        let mine = integers(&[1000, 7], dtype, 100, 3).to_device(&device).unwrap();
        let want = mine.to_f64_vec().unwrap();
        assert_eq!(comm.all_reduce(&mine).unwrap().wait().unwrap().to_f64_vec().unwrap(), want, "{dtype}");
        assert_eq!(comm.broadcast(&mine, 0).unwrap().to_f64_vec().unwrap(), want, "{dtype}");
    }
}

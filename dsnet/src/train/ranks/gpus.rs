//! Ranks that have a GPU each: tensors on the GPUs are summed by NCCL, everything else by the ranks' threads on the host.
//!
//! Before each sum of NCCL the threads meet: a rank that is lost or hangs is named by them, and nobody waits for it on a GPU.
//! One that is lost after that leaves the others' GPUs waiting: a watch ends their group as soon as the hosts know.

use std::{
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use cuda_backend::nccl::{Communicator, Id, Pending as Sum};
use nn::{
    Collective,
    collective::{Failure, Pending, Solo},
};
use tensor::{DType, Device, Tensor};

use crate::{Error, Result, device, train::TrainConfig};

/// How often the watch looks.
const LOOK: Duration = Duration::from_millis(100);

/// One rank with its GPU.
#[derive(Debug)]
struct Gpus {
    hosts: Arc<dyn Collective>,
    comm: Arc<Communicator>,
    device: Device,
}

/// The device of the rank that `hosts` is, and the ranks as it should see them: itself where they share the CPU.
///
/// # Errors
/// A GPU or NCCL that can not be used; a rank that is lost meanwhile.
pub(in crate::train) fn join(
    config: &TrainConfig,
    hosts: Arc<dyn Collective>,
) -> Result<(Device, Arc<dyn Collective>)> {
    let device = device::of_rank(config.place.gpu(hosts.rank()), config.precision)?;
    let Some(gpu) = device::gpu(&device)?.filter(|_| hosts.world() > 1) else { return Ok((device, hosts)) };
    let say = |e: cuda_backend::Error| Error::message(format!("{}: {e}", device.name()));
    // Rank 0 makes the group's name; where it can not, it ends, and the others learn that.
    let id = if hosts.rank() == 0 { Id::new(&gpu).map_err(say)?.to_bytes() } else { [0; Id::LEN] };
    let id = hosts.broadcast(&Tensor::from_slice(&id, &[Id::LEN])?, 0)?.to_vec::<u8>()?;
    let id = Id::from_bytes(&id).ok_or_else(|| Error::message("the id of the group of GPUs is too short"))?;
    let comm = Arc::new(Communicator::new(&gpu, id, hosts.rank(), hosts.world()).map_err(say)?);
    let (watched, seen) = (Arc::downgrade(&comm), Arc::downgrade(&hosts));
    let watch = thread::Builder::new().name(format!("rank-{}-watch", hosts.rank()));
    let started = watch.spawn(move || keep_watch(&watched, &seen));
    started.map_err(|e| Error::message(format!("the threads can not be started: {e}")))?;
    Ok((device.clone(), Arc::new(Gpus { hosts, comm, device })))
}

/// Ends the group of GPUs where the hosts' group has ended, so that nobody waits on a GPU for who will not come.
fn keep_watch(comm: &Weak<Communicator>, hosts: &Weak<dyn Collective>) {
    while let (Some(comm), Some(hosts)) = (comm.upgrade(), hosts.upgrade()) {
        if hosts.failure().is_some() && comm.give_up() {
            return;
        }
        drop((comm, hosts));
        thread::sleep(LOOK);
    }
}

impl Gpus {
    /// Whether NCCL takes a value.
    fn takes(&self, value: &Tensor) -> bool {
        value.device().name() == self.device.name() && value.dtype() != DType::U8 && !value.is_empty()
    }

    /// What a failed call means for the group: the others should not wait for this rank on their GPUs.
    fn noted<T>(&self, result: nn::Result<T>) -> nn::Result<T> {
        result.inspect_err(|_| {
            self.comm.give_up();
        })
    }

    fn own<T>(&self, result: Result<T, cuda_backend::Error>) -> nn::Result<T> {
        self.noted(result.map_err(|e| e.on(self.device.name()).into()))
    }
}

/// A sum on the GPUs.
struct OnGpus {
    sum: Sum,
    device: Device,
}

impl Pending for OnGpus {
    fn wait(self: Box<Self>) -> nn::Result<Tensor> {
        Ok(self.sum.wait().map_err(|e| e.on(self.device.name()))?)
    }
}

impl Collective for Gpus {
    fn rank(&self) -> usize {
        self.hosts.rank()
    }

    fn world(&self) -> usize {
        self.hosts.world()
    }

    fn start_all_reduce(&self, value: &Tensor) -> nn::Result<Box<dyn Pending>> {
        if !self.takes(value) {
            let host = value.to_device(&tensor::cpu::device())?;
            let sum = self.noted(self.hosts.all_reduce(&host))?.to_device(&value.device())?;
            return Solo.start_all_reduce(&sum);
        }
        self.noted(self.hosts.barrier())?;
        let sum = self.own(self.comm.all_reduce(value))?;
        Ok(Box::new(OnGpus { sum, device: self.device.clone() }))
    }

    fn broadcast(&self, value: &Tensor, root: usize) -> nn::Result<Tensor> {
        if !self.takes(value) {
            let host = value.to_device(&tensor::cpu::device())?;
            return Ok(self.noted(self.hosts.broadcast(&host, root))?.to_device(&value.device())?);
        }
        self.noted(self.hosts.barrier())?;
        self.own(self.comm.broadcast(value, root))
    }

    fn barrier(&self) -> nn::Result<()> {
        self.noted(self.hosts.barrier())
    }

    fn alive(&self) {
        self.hosts.alive();
    }

    fn failure(&self) -> Option<Failure> {
        self.hosts.failure()
    }
}

//! Batches as steps want them: on a GPU the next one travels to the device while this one is computed.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use cuda_backend::{Staged, Staging};
use datasets::{Batch, Batches, Position};
use tensor::Device;

use crate::{Error, Result, device};

/// Batches in their order.
pub(super) enum Feed {
    /// As the loader hands them out.
    Host(Batches),
    /// By way of a thread that sends them ahead.
    Ahead(Ahead),
}

pub(super) struct Ahead {
    /// Gone first, so that the thread ends.
    batches: Option<Receiver<Result<OnTheWay>>>,
    thread: Option<JoinHandle<()>>,
}

struct OnTheWay {
    names: Vec<String>,
    indices: Vec<usize>,
    position: Position,
    /// Images and labels.
    staged: Staged,
}

impl Feed {
    /// `batches`, for steps on `device`.
    ///
    /// # Errors
    /// Where the device or the system has no room for one more stream or thread.
    pub fn new(batches: Batches, device: &Device) -> Result<Self> {
        let Some(gpu) = device::gpu(device)? else { return Ok(Self::Host(batches)) };
        let staging = gpu.staging()?;
        // Handed over from hand to hand: with the batch that is computed, two are on the device.
        let (sender, receiver) = sync_channel(0);
        let thread = thread::Builder::new()
            .name("batches".into())
            .spawn(move || send(batches, staging, &sender))
            .map_err(|e| Error::message(format!("the thread for batches can not be started: {e}")))?;
        Ok(Self::Ahead(Ahead { batches: Some(receiver), thread: Some(thread) }))
    }
}

fn send(batches: Batches, mut staging: Staging, to: &SyncSender<Result<OnTheWay>>) {
    for batch in batches {
        let sent = batch.map_err(Error::from).and_then(|batch| {
            let staged = staging.stage(&[&batch.images, &batch.labels])?;
            let Batch { names, indices, position, .. } = batch;
            Ok(OnTheWay { names, indices, position, staged })
        });
        if to.send(sent).is_err() {
            return;
        }
    }
}

impl Iterator for Feed {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        match self {
            Self::Host(batches) => Some(batches.next()?.map_err(Error::from)),
            Self::Ahead(ahead) => {
                let sent = ahead.batches.as_ref()?.recv().ok()?;
                Some(sent.and_then(OnTheWay::arrive))
            }
        }
    }
}

impl OnTheWay {
    fn arrive(self) -> Result<Batch> {
        let Self { names, indices, position, staged } = self;
        match <[_; 2]>::try_from(staged.arrive()?) {
            Ok([images, labels]) => Ok(Batch { images, labels, names, indices, position }),
            Err(_) => Err(Error::message("a batch lost its labels on the way to the device")),
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it was told by the panic itself.
            let _ = thread.join();
        }
    }
}

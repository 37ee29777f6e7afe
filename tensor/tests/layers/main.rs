//! The kernels of normalisation, pooling, softmax, losses and resizing against plain references in f64: odd
//! shapes, all layouts, adjoint identities, and the same bits for every number of threads.

mod batch_norm;
mod focal_loss;
mod halves;
mod pool;
mod resize;
mod softmax;
mod support;

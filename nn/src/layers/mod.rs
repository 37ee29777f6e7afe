//! Layers. Names of parameters and buffers follow PyTorch (`weight`, `bias`, `running_mean`, …), so that
//! weights map one to one. Cloning a layer shares its parameters.

mod activation;
mod batch_norm;
mod conv;
mod conv_transpose;
mod dropout;
mod encoding;
mod linear;
mod pool;
mod prelu;
mod sequential;
mod shuffle;
mod sync_batch_norm;
mod upsample;

pub use activation::{LeakyRelu, Relu, Relu6, Sigmoid};
pub use batch_norm::{BatchNorm1d, BatchNorm2d, BatchNormConfig};
pub use conv::{Conv2d, Conv2dConfig};
pub use conv_transpose::{ConvTranspose2d, ConvTranspose2dConfig};
pub use dropout::Dropout2d;
pub use encoding::{Encoding, EncodingConfig};
pub use linear::Linear;
pub use pool::{AvgPool2d, GlobalAvgPool, MaxPool2d, MaxUnpool2d};
pub use prelu::PRelu;
pub use sequential::Sequential;
pub use shuffle::ChannelShuffle;
pub use upsample::Upsample;

#[cfg(test)]
pub(crate) mod testing;

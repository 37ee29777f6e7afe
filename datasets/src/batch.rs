//! A batch: several samples of one size as two tensors.

use tensor::{DType, Ops, Tensor};

use crate::dataset::{Normalization, Sample};
use crate::error::{Error, Result};
use crate::loader::Position;

/// What the images of a batch are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pixels {
    /// Normalised numbers, f32: what training takes.
    #[default]
    Normalized,
    /// Bytes as decoded, u8: what compiled models take.
    Decoded,
}

/// What a training or evaluation step consumes.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Images `[N, 3, H, W]` with channels-last strides: normalised, f32, or as decoded, u8 ([`Pixels`]).
    pub images: Tensor,
    /// Train ids, u8, dims `[N, H, W]`; 255 is ignored.
    pub labels: Tensor,
    /// Where each sample comes from, for messages.
    pub names: Vec<String>,
    /// The samples' numbers in the dataset.
    pub indices: Vec<usize>,
    /// Which batch of which epoch this is.
    pub position: Position,
}

impl Batch {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no sample: the part of a rank in a batch of fewer samples than ranks.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// A batch without samples, for images of this width and height.
    pub(crate) fn empty(
        (width, height): (usize, usize),
        pixels: Pixels,
        position: Position,
    ) -> Result<Batch> {
        let failed = |e: tensor::Error| Error::Tensor(e.to_string());
        let dtype = match pixels {
            Pixels::Normalized => DType::F32,
            Pixels::Decoded => DType::U8,
        };
        let images = Tensor::zeros(&[0, 3, height, width], dtype).map_err(failed)?;
        let labels = Tensor::zeros(&[0, height, width], DType::U8).map_err(failed)?;
        Ok(Batch { images, labels, names: vec![], indices: vec![], position })
    }

    /// Puts samples of one size together, normalised where that is said how, else as decoded. Errors when they differ in size, naming two that do, or when there
    /// are none.
    pub fn collate(
        samples: &[Sample],
        names: Vec<String>,
        indices: Vec<usize>,
        normalization: Option<&Normalization>,
        position: Position,
    ) -> Result<Batch> {
        let Some(first) = samples.first() else {
            return Err(Error::Options("a batch needs at least one sample".into()));
        };
        let size = first.image.size();
        for (sample, name) in samples.iter().zip(&names) {
            for found in [sample.image.size(), sample.labels.size()] {
                if found != size {
                    return Err(Error::BatchSizes {
                        first: names[0].clone(),
                        first_size: size,
                        other: name.clone(),
                        other_size: found,
                    });
                }
            }
        }
        let (n, (w, h)) = (samples.len(), size);
        let bytes = || samples.iter().map(|sample| sample.image.data());
        let dims = [n, h, w, 3];
        let images = match normalization {
            None => Tensor::from_vec(bytes().collect::<Vec<_>>().concat(), &dims),
            Some(normalization) => {
                let table = normalizer(normalization);
                let mut images = Vec::with_capacity(n * h * w * 3);
                for &[r, g, b] in bytes().flat_map(|bytes| bytes.as_chunks::<3>().0) {
                    images.extend([table[0][r as usize], table[1][g as usize], table[2][b as usize]]);
                }
                Tensor::from_vec(images, &dims)
            }
        };
        let images = images.and_then(|t| t.permute(&[0, 3, 1, 2]));
        let failed = |e: tensor::Error| Error::Tensor(e.to_string());
        let labels: Vec<&[u8]> = samples.iter().map(|sample| sample.labels.data()).collect();
        let labels = Tensor::from_vec(labels.concat(), &[n, h, w]).map_err(failed)?;
        Ok(Batch { images: images.map_err(failed)?, labels, names, indices, position })
    }
}

/// One image as decoded as a tensor, u8 `[1, 3, H, W]` with channels-last strides.
pub fn image_tensor(image: &crate::Image) -> Result<Tensor> {
    Tensor::from_slice(image.data(), &[1, image.height(), image.width(), 3])
        .and_then(|t| t.permute(&[0, 3, 1, 2]))
        .map_err(|e| Error::Tensor(e.to_string()))
}

/// Normalised value of every channel and byte.
fn normalizer(normalization: &Normalization) -> [[f32; 256]; 3] {
    std::array::from_fn(|c| {
        std::array::from_fn(|v| (v as f32 / 255.0 - normalization.mean[c]) / normalization.std[c])
    })
}

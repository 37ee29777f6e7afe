//! A batch: several samples of one size as two tensors.

use tensor::{DType, Ops, Tensor};

use crate::dataset::{Normalization, Sample};
use crate::error::{Error, Result};
use crate::loader::Position;

/// What a training or evaluation step consumes.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Normalised images, f32, dims `[N, 3, H, W]` with channels-last strides.
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
    pub(crate) fn empty((width, height): (usize, usize), position: Position) -> Result<Batch> {
        let failed = |e: tensor::Error| Error::Tensor(e.to_string());
        let images = Tensor::zeros(&[0, 3, height, width], DType::F32).map_err(failed)?;
        let labels = Tensor::zeros(&[0, height, width], DType::U8).map_err(failed)?;
        Ok(Batch { images, labels, names: vec![], indices: vec![], position })
    }

    /// Puts samples of one size together. Errors when they differ in size, naming two that do, or when there
    /// are none.
    pub fn collate(
        samples: &[Sample],
        names: Vec<String>,
        indices: Vec<usize>,
        normalization: &Normalization,
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
        let table = normalizer(normalization);
        let (n, (w, h)) = (samples.len(), size);
        let mut images = Vec::with_capacity(n * h * w * 3);
        let mut labels = Vec::with_capacity(n * h * w);
        for sample in samples {
            for p in sample.image.data().chunks_exact(3) {
                images.extend([table[0][p[0] as usize], table[1][p[1] as usize], table[2][p[2] as usize]]);
            }
            labels.extend_from_slice(sample.labels.data());
        }
        let failed = |e: tensor::Error| Error::Tensor(e.to_string());
        let images = Tensor::from_vec(images, &[n, h, w, 3]).and_then(|t| t.permute(&[0, 3, 1, 2]));
        let labels = Tensor::from_vec(labels, &[n, h, w]).map_err(failed)?;
        Ok(Batch { images: images.map_err(failed)?, labels, names, indices, position })
    }
}

/// One normalised image as a tensor, f32 `[1, 3, H, W]` with channels-last strides.
pub fn image_tensor(image: &crate::Image, normalization: &Normalization) -> Result<Tensor> {
    let table = normalizer(normalization);
    let values: Vec<f32> = image.data().iter().enumerate().map(|(i, &v)| table[i % 3][v as usize]).collect();
    Tensor::from_vec(values, &[1, image.height(), image.width(), 3])
        .and_then(|t| t.permute(&[0, 3, 1, 2]))
        .map_err(|e| Error::Tensor(e.to_string()))
}

/// Normalised value of every channel and byte.
fn normalizer(normalization: &Normalization) -> [[f32; 256]; 3] {
    std::array::from_fn(|c| {
        std::array::from_fn(|v| (v as f32 / 255.0 - normalization.mean[c]) / normalization.std[c])
    })
}

//! From a picture to a label map: pad, run, take the best class, crop back.

use datasets::{Image, LabelMap, Normalization};
use nn::{Ctx, Module};
use tensor::{DType, Ops, Tensor};

use crate::{Result, model::DsNet};

/// DSNet halves its input three times: sides must be multiples of this.
pub const STRIDE: usize = 8;

/// Train ids of the best class at each pixel of normalised images `[N, 3, H, W]` of any size, as u8 `[N, H, W]`.
/// Sides that are no multiple of 8 are padded with zeros (the mean colour) at the right and bottom.
///
/// # Errors
/// Where the images do not fit the model.
pub fn labels(model: &DsNet, images: &Tensor) -> Result<Tensor> {
    let (height, width) = (images.dim(2)?, images.dim(3)?);
    let padded = pad(images)?;
    let ctx = Ctx::eval();
    let logits = model.forward(&ctx.input(padded), &ctx)?.into_tensor();
    let best = logits.argmax(1)?.cast(DType::U8)?;
    Ok(best.narrow(1, 0, height)?.narrow(2, 0, width)?)
}

/// Zeros at the right and bottom up to multiples of [`STRIDE`].
fn pad(images: &Tensor) -> Result<Tensor> {
    let mut out = images.clone();
    for axis in [2, 3] {
        let have = out.dim(axis)?;
        let more = have.next_multiple_of(STRIDE) - have;
        if more > 0 {
            let mut dims = out.dims().to_vec();
            dims[axis] = more;
            let zeros = out.full_like(0.0, &dims)?;
            out = Tensor::cat(&[&out, &zeros], axis)?;
        }
    }
    Ok(out)
}

/// The train id of each pixel of `image`.
///
/// # Errors
/// Where the model fails.
pub fn segment(model: &DsNet, image: &Image, normalization: &Normalization) -> Result<LabelMap> {
    let found = labels(model, &datasets::image_tensor(image, normalization)?)?;
    Ok(LabelMap::new(image.width(), image.height(), found.to_vec()?)?)
}

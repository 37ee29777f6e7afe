//! From a picture to a label map: pad, run, take the best class, crop back.

use std::{cell::RefCell, rc::Rc};

use datasets::{Image, LabelMap, Normalization};
use tensor::{Dims, Ops, Plan, Tensor};

use crate::{
    Result,
    compile::{Wanted, compile},
    device::Precision,
    model::DsNet,
};

/// DSNet halves its input three times: sides must be multiples of this.
pub const STRIDE: usize = 8;

/// Plans kept for sizes that may come again.
const KEPT: usize = 4;

/// A model that segments images of any size, compiled for each size when it first comes.
pub struct Predictor<'a> {
    model: &'a DsNet,
    precision: Precision,
    /// The plan of each size, the latest last.
    plans: RefCell<Vec<(Dims, Rc<dyn Plan>)>>,
}

impl<'a> Predictor<'a> {
    /// Segments by the weights that `model` has when a size first comes.
    pub fn new(model: &'a DsNet) -> Self {
        Self::with_precision(model, Precision::F32)
    }

    /// The same in this precision.
    pub fn with_precision(model: &'a DsNet, precision: Precision) -> Self {
        Self { model, precision, plans: RefCell::default() }
    }

    /// Train ids of the best class at each pixel of normalised images `[N, 3, H, W]` of any size, as u8 `[N, H, W]`.
    /// Sides that are no multiple of 8 are padded with zeros (the mean colour) at the right and bottom.
    ///
    /// # Errors
    /// Where the images do not fit the model.
    pub fn labels(&self, images: &Tensor) -> Result<Tensor> {
        let (height, width) = (images.dim(2)?, images.dim(3)?);
        let padded = pad(images)?;
        let best = self.plan(padded.dims())?.run(&[&padded])?.swap_remove(0);
        Ok(best.narrow(1, 0, height)?.narrow(2, 0, width)?)
    }

    /// The train id of each pixel of `image`.
    ///
    /// # Errors
    /// Where the model fails.
    pub fn segment(&self, image: &Image, normalization: &Normalization) -> Result<LabelMap> {
        let found = self.labels(&datasets::image_tensor(image, normalization)?)?;
        Ok(LabelMap::new(image.width(), image.height(), found.to_vec()?)?)
    }

    fn plan(&self, dims: &[usize]) -> Result<Rc<dyn Plan>> {
        let mut plans = self.plans.borrow_mut();
        let known = plans.iter().position(|(of, _)| of[..] == *dims);
        let entry = match known {
            Some(at) => plans.remove(at),
            None => (dims.into(), compile(self.model, dims, Wanted::Labels, self.precision)?.into()),
        };
        let plan = entry.1.clone();
        plans.push(entry);
        if plans.len() > KEPT {
            plans.remove(0);
        }
        Ok(plan)
    }
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

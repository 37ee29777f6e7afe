//! From a picture to a label map.

use std::{cell::RefCell, rc::Rc};

use datasets::{Image, LabelMap, Normalization};
use tensor::{Dims, Plan, Tensor};

use crate::{
    Result,
    compile::{Given, Wanted, compile},
    device::Precision,
    model::DsNet,
};

/// Plans kept for sizes that may come again.
const KEPT: usize = 4;

/// A model that segments images of any size, compiled for each size when it first comes.
pub struct Predictor<'a> {
    model: &'a DsNet,
    precision: Precision,
    /// The plan of each size, the latest last.
    plans: RefCell<Vec<Known>>,
}

/// A plan and what it is for.
struct Known {
    dims: Dims,
    normalization: Normalization,
    plan: Rc<dyn Plan>,
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

    /// Train ids of the best class at each pixel of pictures as decoded, u8 `[N, 3, H, W]` of any size, as u8 `[N, H, W]`. What
    /// lies beside the picture where sides are no multiples of 8 has the mean colour.
    ///
    /// # Errors
    /// Where the images do not fit the model.
    pub fn labels(&self, pictures: &Tensor, normalization: &Normalization) -> Result<Tensor> {
        Ok(self.plan(pictures.dims(), normalization)?.run(&[pictures])?.swap_remove(0))
    }

    /// The train id of each pixel of `image`.
    ///
    /// # Errors
    /// Where the model fails.
    pub fn segment(&self, image: &Image, normalization: &Normalization) -> Result<LabelMap> {
        let found = self.labels(&datasets::image_tensor(image)?, normalization)?;
        Ok(LabelMap::new(image.width(), image.height(), found.to_vec()?)?)
    }

    fn plan(&self, dims: &[usize], normalization: &Normalization) -> Result<Rc<dyn Plan>> {
        let mut plans = self.plans.borrow_mut();
        let known =
            plans.iter().position(|known| known.dims[..] == *dims && known.normalization == *normalization);
        let entry = match known {
            Some(at) => plans.remove(at),
            None => {
                let given = Given::Pictures(*normalization);
                let plan = compile(self.model, dims, given, Wanted::Labels, self.precision)?.into();
                Known { dims: dims.into(), normalization: *normalization, plan }
            }
        };
        let plan = entry.plan.clone();
        plans.push(entry);
        if plans.len() > KEPT {
            plans.remove(0);
        }
        Ok(plan)
    }
}

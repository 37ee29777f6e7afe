//! What a run learns from: opened and looked over once, whatever the number of ranks.

use std::sync::Arc;

use datasets::{Dataset, Depth};

use super::TrainConfig;
use crate::{
    Result,
    data::{class_stats, look_over},
};

/// The two splits of a run.
#[derive(Clone)]
pub struct TrainData {
    /// To learn from.
    pub train: Arc<dyn Dataset>,
    /// To choose the best weights by.
    pub val: Arc<dyn Dataset>,
    /// Share of each class in the labelled pixels of the training split.
    pub frequencies: Vec<f64>,
}

impl TrainData {
    /// The data that `config` names.
    ///
    /// # Errors
    /// Where a folder does not look as it should; every defect of the data, all listed.
    pub fn open(config: &TrainConfig) -> Result<Self> {
        let (train, val) = (config.data.open_train()?, config.data.open_val()?);
        look_over(&*train, Depth::Labels)?;
        look_over(&*val, Depth::Labels)?;
        let frequencies = class_stats(&*train)?.frequencies();
        Ok(Self { train, val, frequencies })
    }
}

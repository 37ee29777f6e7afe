//! What a run learns from: opened and looked over once, whatever the number of ranks.

use std::sync::Arc;

use datasets::{CacheFolder, Cached, Dataset, Depth, Patches};

use super::TrainConfig;
use crate::{
    Result,
    data::{class_stats_while, look_over_while},
    ui::note,
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
    /// Where a folder does not look as it should; options that do not suit the data; every defect of the data, all listed.
    pub fn open(config: &TrainConfig) -> Result<Self> {
        Self::open_while(config, &|| ())
    }

    /// The same; `alive` is called now and then, for those who wait.
    pub(super) fn open_while(config: &TrainConfig, alive: &(dyn Fn() + Sync)) -> Result<Self> {
        let (train, val) = (config.data.open_train()?, config.data.open_val()?);
        config.check_suits(&*train)?;
        let cache = config.open_cache()?;
        look_over_while(&*train, Depth::Labels, alive)?;
        look_over_while(&*val, Depth::Labels, alive)?;
        // Of whole pictures: parts overlap, and count the middle more than once.
        let frequencies = class_stats_while(&*train, alive)?.frequencies();
        let kept = |data| kept(data, cache.as_ref());
        Ok(Self { train: config.parts(kept(train)?)?, val: kept(val)?, frequencies })
    }
}

impl TrainConfig {
    /// The split to learn from, as the loader gets it: decoded samples kept, pictures cut into parts.
    ///
    /// # Errors
    /// As [`TrainData::open`], but for defects of samples, which are not looked for.
    pub fn open_train(&self) -> Result<Arc<dyn Dataset>> {
        self.parts(kept(self.data.open_train()?, self.open_cache()?.as_ref())?)
    }

    /// The folder for decoded samples, where there is to be one.
    ///
    /// # Errors
    /// Where it can not be made. (A disk that is full later on is told of, and no error.)
    pub(crate) fn open_cache(&self) -> Result<Option<Arc<CacheFolder>>> {
        let Some((path, limit)) = &self.cache else { return Ok(None) };
        let tell = |e: &datasets::Error| {
            note(&format!("no more decoded samples are kept: {e}; the others are decoded each time"));
        };
        Ok(Some(Arc::new(CacheFolder::open(path, *limit, tell)?)))
    }

    /// `data` with its pictures cut into parts, where that is asked for.
    pub(crate) fn parts(&self, data: Arc<dyn Dataset>) -> Result<Arc<dyn Dataset>> {
        Ok(match self.patches.0 {
            Some(grid) => Arc::new(Patches::new(data, grid)?),
            None => data,
        })
    }
}

/// `data` with its decoded samples kept, where there is a folder for them.
fn kept(data: Arc<dyn Dataset>, cache: Option<&Arc<CacheFolder>>) -> Result<Arc<dyn Dataset>> {
    Ok(match cache {
        Some(folder) => Arc::new(Cached::new(data, folder.clone())?),
        None => data,
    })
}

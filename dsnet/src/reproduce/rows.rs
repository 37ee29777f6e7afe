//! What the rows of each table train and measure, and what the paper prints in them.

use super::{PaperTable, Request};
use crate::{
    Error, Result,
    data::Source,
    model::{self, Published, Variant},
    models::TABLE_2,
    train::{Size, TrainOptions},
};

/// The recipe of stages 1, 2 and 3.
const STAGES: [(&str, &str); 3] = [
    ("1-pretrain", include_str!("../../../configs/cityscapes-1-pretrain.toml")),
    ("2-train", include_str!("../../../configs/cityscapes-2-train.toml")),
    ("3-finetune", include_str!("../../../configs/cityscapes-3-finetune.toml")),
];

/// The sizes at which the paper measures (Section IV-F), and the one of Tables 2 and 5.
const SIZES: [Size; 3] =
    [Size { height: 360, width: 640 }, Size { height: 720, width: 1280 }, Size { height: 1080, width: 1920 }];

/// DSNet 1.0 in Table 5.
const DSNET: Published = Published { miou: 62.8, fps: 100.5, parameters: "0.91" };

/// Milliseconds that Table 8 prints for the three sizes.
const LATENCIES: [(&str, [f64; 3]); 3] =
    [("dsnet-1.0", [9.9, 49.8, 102.0]), ("ENet", [11.1, 57.8, 126.6]), ("ERFNet", [12.5, 74.3, 165.2])];

/// mIoU of the groups γ = 0, 1, 2 in Table 6.
const LOSSES: [(&str, [f64; 3]); 4] = [
    ("wce", [58.5, 72.5, 91.3]),
    ("wce+sel", [60.0, 74.1, 91.8]),
    ("fl+sel", [59.2, 73.3, 91.2]),
    ("owfl+sel", [61.4, 74.1, 92.0]),
];

/// What the paper prints in a row; what it does not, or is not known here, is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Paper {
    /// mIoU in percent.
    pub miou: Option<f64>,
    /// mIoU of the groups of classes with γ = 0, 1, 2, in percent.
    pub groups: [Option<f64>; 3],
    /// Images of 640×360 per second.
    pub fps: Option<f64>,
    /// Milliseconds at the three sizes.
    pub ms: [Option<f64>; 3],
    /// Millions of parameters, as printed.
    pub parameters: Option<String>,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name, that of its folder.
    pub name: String,
    /// The model; none for networks that are not built here, of which the paper's figures are shown alone.
    pub model: Option<String>,
    /// How it is trained; none where it is only measured.
    pub training: Option<TrainOptions>,
    /// Sizes at which its latency is measured.
    pub sizes: Vec<Size>,
    /// What the paper prints.
    pub paper: Paper,
}

/// The options of one stage, on Cityscapes those of the paper, elsewhere the defaults of the data; without the places that
/// the shipped file names.
fn stage(number: usize, source: Source) -> Result<TrainOptions> {
    if source != Source::Cityscapes {
        return Ok(TrainOptions::default());
    }
    let shipped = TrainOptions::parse(STAGES[number].1).map_err(Error::message)?;
    Ok(TrainOptions { init: None, out: None, labels: None, ..shipped })
}

/// The rows of a table.
///
/// # Errors
/// Where the table can not be made from this data.
pub fn rows(request: &Request) -> Result<Vec<Row>> {
    let given = &request.options;
    let source = given.data.unwrap_or(Source::Synthetic);
    // Ablations: 120 epochs on fine labels, no pre-training, batch 8.
    let ablation = || -> Result<TrainOptions> {
        let batch = (source == Source::Cityscapes).then_some(8);
        let protocol = TrainOptions { batch, ..TrainOptions::default() }.or(stage(1, source)?);
        Ok(given.clone().or(protocol))
    };
    let trained = |name: &str, model: &str, loss: Option<&str>, paper: Paper| -> Result<Row> {
        let mut training = ablation()?;
        training.model = Some(model.into());
        if let Some(loss) = loss {
            training.loss = Some(loss.parse().map_err(Error::usage)?);
        }
        let name = name.to_owned();
        Ok(Row { name, model: Some(model.into()), training: Some(training), sizes: vec![SIZES[0]], paper })
    };
    let chosen = || given.model.clone().unwrap_or_else(|| "dsnet-1.0".into());
    Ok(match request.table {
        PaperTable::Table2 => {
            let row = |(name, tenths): (&str, &str)| {
                let parameters = tenths.parse::<f64>().map(|t| format!("{:.2}", t / 10.0)).ok();
                let known = Some(DSNET).filter(|_| name == "dsnet-1.0");
                let (miou, fps) = (known.map(|p| p.miou), known.map(|p| p.fps));
                trained(name, name, None, Paper { miou, fps, parameters, ..Paper::default() })
            };
            model::sizes().into_iter().zip(TABLE_2).map(row).collect::<Result<_>>()?
        }
        PaperTable::Table5 => {
            let variants = Variant::ALL.iter().map(|v| (v.model(), v.published()));
            let row = |(name, published): (&str, Published)| {
                let Published { miou, fps, parameters } = published;
                let (miou, fps, parameters) = (Some(miou), Some(fps), Some(parameters.to_owned()));
                trained(name, name, None, Paper { miou, fps, parameters, ..Paper::default() })
            };
            variants.chain([("dsnet-1.0", DSNET)]).map(row).collect::<Result<_>>()?
        }
        PaperTable::Table6 => {
            let row = |(loss, groups): (&str, [f64; 3])| {
                let paper = Paper { groups: groups.map(Some), ..Paper::default() };
                let row = trained(&loss.replace('+', "-"), &chosen(), Some(loss), paper)?;
                Ok(Row { sizes: vec![], ..row })
            };
            LOSSES.into_iter().map(row).collect::<Result<_>>()?
        }
        PaperTable::Table7 => {
            if source != Source::Cityscapes {
                return Err(Error::usage(
                    "table7 is made by the three stages, whose first one wants coarse labels: --data cityscapes \
                     (dsnet draw writes a folder to rehearse on)",
                ));
            }
            let mut all: Vec<Row> = Vec::new();
            for (number, (name, _)) in STAGES.iter().enumerate() {
                let labels =
                    if number == 0 { crate::data::Labels::Coarse } else { crate::data::Labels::Fine };
                let init = all.last().map(|before| request.out.join(&before.name).join("best.safetensors"));
                let own = TrainOptions { labels: Some(labels), init, ..TrainOptions::default() };
                let mut training = own.or(given.clone()).or(stage(number, source)?);
                training.model = Some(chosen());
                let last = number + 1 == STAGES.len();
                let miou = last.then_some(71.8);
                let groups = [last.then_some(64.1), None, None];
                let paper = Paper { miou, groups, ..Paper::default() };
                let training = Some(training);
                let name = (*name).to_owned();
                all.push(Row { name, model: Some(chosen()), training, sizes: vec![], paper });
            }
            all
        }
        PaperTable::Table8 => {
            let row = |(name, ms): (&str, [f64; 3])| {
                let built = model::config(name, 19).is_ok();
                let paper = Paper { ms: ms.map(Some), ..Paper::default() };
                let model = built.then(|| name.to_owned());
                let sizes = if built { SIZES.to_vec() } else { vec![] };
                Row { name: name.to_owned(), model, training: None, sizes, paper }
            };
            LATENCIES.into_iter().map(row).collect()
        }
    })
}

//! A table as text: ours beside the paper's.

use super::{Measured, PaperTable, Row};
use crate::ui::{Align, Table, counted, percent, thousands};

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |v| format!("{v:.1}"))
}

/// The table, under it what has to be known to read it.
pub fn printed(table: PaperTable, rows: &[(Row, Option<Measured>)], data: &str) -> (Table, String) {
    let right = |name: &'static str| (name, Align::Right);
    let mut columns = vec![(if table == PaperTable::Table6 { "loss" } else { "model" }, Align::Left)];
    columns.extend(
        match table {
            PaperTable::Table2 | PaperTable::Table5 => {
                vec!["mIoU %", "paper", "FPS", "paper", "parameters", "paper, millions"]
            }
            PaperTable::Table6 | PaperTable::Table7 => {
                vec!["mIoU %", "paper", "γ = 0", "paper", "γ = 1", "paper", "γ = 2", "paper"]
            }
            PaperTable::Table8 => {
                vec!["640×360 ms", "paper", "1280×720 ms", "paper", "1920×1080 ms", "paper"]
            }
        }
        .into_iter()
        .map(right),
    );
    let mut out = Table::new(&columns);
    for (row, found) in rows {
        let found = found.as_ref();
        let ms = |i: usize| found.and_then(|f| Some(f.latencies.get(i)?.mean_ms));
        let mut cells = vec![row.name.clone()];
        match table {
            PaperTable::Table2 | PaperTable::Table5 => cells.extend([
                percent(found.and_then(|f| f.miou)),
                number(row.paper.miou),
                number(ms(0).map(|ms| 1e3 / ms)),
                number(row.paper.fps),
                found.map_or_else(|| "–".into(), |f| thousands(f.parameters as u64)),
                row.paper.parameters.clone().unwrap_or_else(|| "–".into()),
            ]),
            PaperTable::Table6 | PaperTable::Table7 => {
                cells.extend([percent(found.and_then(|f| f.miou)), number(row.paper.miou)]);
                for (i, paper) in row.paper.groups.into_iter().enumerate() {
                    cells.extend([percent(found.and_then(|f| *f.groups.get(i)?)), number(paper)]);
                }
            }
            PaperTable::Table8 => {
                for (i, paper) in row.paper.ms.into_iter().enumerate() {
                    cells.extend([number(ms(i)), number(paper)]);
                }
            }
        }
        out.row(cells);
    }
    (out, note(table, rows, data))
}

fn note(table: PaperTable, rows: &[(Row, Option<Measured>)], data: &str) -> String {
    let done: Vec<&Measured> = rows.iter().filter_map(|(_, found)| found.as_ref()).collect();
    let measured = done.iter().find(|f| !f.device.is_empty());
    let (threads, device) = measured.map_or((0, ""), |f| (f.threads, &f.device));
    let mut epochs: Vec<usize> = done.iter().map(|f| f.epochs).collect();
    epochs.dedup();
    let epochs: Vec<String> = epochs.iter().map(usize::to_string).collect();
    let trained = format!("Ours: {data}, epochs {}, best weights by val mIoU.", epochs.join(" / "));
    let speed = match measured {
        Some(_) => format!("Speed: {device}, {}, compiled; paper: GTX 1080Ti.", counted(threads, "thread")),
        None => "Speed in the paper: GTX 1080Ti.".into(),
    };
    // Networks that are not built here are never made.
    let more = rows.iter().filter(|(row, found)| row.model.is_some() && found.is_none()).count();
    let rest =
        if more > 0 { format!(" Rows not made yet with these settings: {more}.") } else { String::new() };
    match table {
        PaperTable::Table2 => format!(
            "{trained} Paper: Cityscapes val, 120 epochs; accuracy and speed of the other sizes are not known here. {speed}{rest}"
        ),
        PaperTable::Table5 => format!(
            "{trained} Paper: Cityscapes val, 120 epochs, no pre-training. {speed} Why parameters differ: dsnet summary \
             --all.{rest}"
        ),
        PaperTable::Table6 => {
            format!(
                "{trained} Paper: Cityscapes val. Groups of classes by γ of the training set (Eq. 3).{rest}"
            )
        }
        PaperTable::Table7 => format!(
            "{trained} Paper: Cityscapes val after pre-training on coarse labels, training and fine-tuning (its test mIoU is \
             69.3, γ = 0: 58.8).{rest}"
        ),
        PaperTable::Table8 => format!("{speed} ENet and ERFNet: the paper's figures alone.{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        reproduce::{Latency, Request, rows},
        train::TrainOptions,
    };

    fn request(table: PaperTable) -> Request {
        let options = TrainOptions::parse("data = \"cityscapes\"\nroot = \"r\"").unwrap();
        Request { table, options, out: "o".into(), only: vec![], iters: 1 }
    }

    #[test]
    fn rows_stand_beside_the_paper() {
        let all = rows(&request(PaperTable::Table5)).unwrap();
        assert_eq!(all.len(), 10);
        let latencies = vec![Latency { width: 640, height: 360, mean_ms: 40.0 }];
        let found = Measured {
            settings: String::new(),
            measuring: String::new(),
            parameters: 910_460,
            miou: Some(0.5),
            groups: vec![],
            epochs: 3,
            latencies,
            threads: 2,
            device: "CPU".into(),
        };
        let all: Vec<_> = all.into_iter().map(|row| (row, None)).collect();
        let (table, note) = printed(PaperTable::Table5, &all, "x");
        assert!(table.to_string().contains("dsnet-nosf       –   50.1    –  110.3           –"), "{table}");
        assert!(note.contains("Rows not made yet with these settings: 10"));
        let all: Vec<_> = all.into_iter().map(|(row, _)| (row, Some(found.clone()))).collect();
        let (table, note) = printed(PaperTable::Table5, &all, "x");
        assert!(table.markdown().contains("| dsnet-dw | 50.0 | 58.0 | 25.0 | 59.2 | 910,460 | 0.89 |"));
        assert!(note.starts_with("Ours: x, epochs 3"), "{note}");
    }

    #[test]
    fn what_is_never_made_is_not_missing() {
        let measured = Request { options: TrainOptions::default(), ..request(PaperTable::Table8) };
        let all: Vec<_> = rows(&measured).unwrap().into_iter().map(|row| (row, None)).collect();
        let (_, note) = printed(PaperTable::Table8, &all, "x");
        assert!(note.contains("Rows not made yet with these settings: 1."), "{note}");
    }

    #[test]
    fn the_protocol_of_the_tables() {
        let config = |table, at: usize| {
            rows(&request(table)).unwrap()[at].training.clone().unwrap().resolve().unwrap()
        };
        let ablation = config(PaperTable::Table5, 0);
        assert_eq!((ablation.model.as_str(), ablation.batch, ablation.epochs), ("dsnet-nosf", 8, 120));
        assert_eq!((ablation.lr, ablation.init.clone()), (1e-4, None));
        assert_eq!(ablation.patches.to_string(), "880x880:2x4");
        let losses: Vec<_> = (0..4).map(|i| config(PaperTable::Table6, i).loss.to_string()).collect();
        assert_eq!(losses, ["wce", "wce+sel", "fl+sel", "owfl+sel"]);
        let stages = [0, 1, 2].map(|i| config(PaperTable::Table7, i));
        assert_eq!(stages.clone().map(|c| c.batch), [12, 16, 16]);
        assert_eq!(stages.clone().map(|c| c.epochs), [80, 120, 40]);
        assert_eq!(stages[2].init.as_deref(), Some(std::path::Path::new("o/2-train/best.safetensors")));
        let drawn = Request { options: TrainOptions::default(), ..request(PaperTable::Table7) };
        assert!(rows(&drawn).unwrap_err().to_string().contains("coarse"));
    }
}

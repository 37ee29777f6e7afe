//! What a run tells: to people as it begins and ends, to its log and to its report.

use std::time::Instant;

use nn::parameter_count;

use super::{
    EpochLine, Line, Samples, StartLine,
    run::{Evaluation, Run},
};
use crate::{
    Result, bench,
    infer::Predictor,
    pictures::{Prediction, spread},
    report::{self, Record},
    tensorboard,
    ui::{counted, duration, errln, print_if_read, score_table, thousands},
    weights,
};

/// Columns of each picture in TensorBoard's events.
const EVENT_WIDTH: usize = 320;

impl Run<'_> {
    /// Says on standard error what begins.
    pub(super) fn announce(&self) {
        let (config, data) = (self.config, self.loader.dataset());
        errln!(
            "{} ({} parameters) on {}: {}, {} classes, loss {}",
            config.model,
            thousands(parameter_count(&self.learner.model.net) as u64),
            data.describe(),
            counted(data.len(), "image"),
            data.classes().len(),
            config.loss
        );
        let workers = match (self.lead.world(), rayon::current_num_threads()) {
            (1, threads) => counted(threads, "thread"),
            (ranks, 1) => format!("{ranks} ranks with a thread each"),
            (ranks, threads) => format!("{ranks} ranks with {threads} threads each"),
        };
        let processes = config.place.world / config.place.count;
        let workers = if processes > 1 { format!("{workers}, in {processes} processes") } else { workers };
        errln!(
            "{} of {}, batch {}, {workers}; run folder {}",
            counted(config.epochs, "epoch"),
            counted(self.per_epoch(), "step"),
            config.batch,
            self.folder.path().display()
        );
        if tensor::cpu::device().name() != nn::device(&self.learner.model).name() {
            let how = match (config.capture, self.learner.hindrance()) {
                (true, None) => "recorded as a graph and replayed".to_owned(),
                (true, Some(why)) => format!("done one operation at a time, not recorded: {why}"),
                (false, _) => "done one operation at a time, not recorded (capture = false)".to_owned(),
            };
            errln!("steps are {how}");
        }
        errln!("it can be stopped at any moment; to go on: {}", self.folder.resume_command(None));
        if self.saved.step > 0 {
            errln!("going on after step {} of {}", self.saved.step, self.saved.total_steps);
        }
    }

    /// The circumstances, for the log.
    pub(super) fn start_line(&self) -> Line {
        let data = self.loader.dataset();
        Line::Start(Box::new(StartLine {
            step: self.saved.step,
            time: tensorboard::now(),
            version: env!("CARGO_PKG_VERSION").into(),
            threads: rayon::current_num_threads(),
            ranks: self.lead.world(),
            parameters: parameter_count(&self.learner.model.net),
            data: data.describe(),
            images: data.len(),
            val_data: self.val.describe(),
            val_images: self.val.len(),
            total_steps: self.saved.total_steps,
        }))
    }

    /// Log line and, where the epoch was evaluated, the first sample as a picture.
    pub(super) fn log_epoch(
        &mut self,
        epoch: usize,
        step: usize,
        loss: f64,
        found: Option<Evaluation>,
        best: bool,
    ) -> Result<()> {
        if found.is_some() && self.config.samples > 0 {
            let net = &self.learner.scored().net;
            let prediction = self.prediction(&Predictor::with_precision(net, self.config.precision), 0)?;
            let panel = prediction.shrunk(EVENT_WIDTH)?.panel(self.val.classes())?;
            self.log.image(step, "val/sample", &panel)?;
        }
        let memory = Some(bench::memory(&nn::device(&self.learner.model))?);
        tensor::cpu::reset_peak_memory();
        let val_seconds = found.as_ref().map(|found| found.seconds);
        let (val, confusion) = found.map(|found| (found.scores, found.confusion)).unzip();
        let time = Some(tensorboard::now());
        let line = EpochLine { step, epoch, loss, val, confusion, val_seconds, best, memory, time };
        self.log.write(&Line::Epoch(Box::new(line)))
    }

    fn prediction(&self, model: &Predictor<'_>, index: usize) -> Result<Prediction> {
        Prediction::new(model, &*self.val, &self.info.normalization(), index)
    }

    /// The best weights' scores and pictures.
    pub(super) fn conclude(&self, start: Instant) -> Result<()> {
        let best = self.folder.best();
        let net = weights::load(&best)?.net;
        nn::to_device(&net, &nn::device(&self.learner.model))?;
        let Evaluation { scores, .. } = self.score(&net)?;
        self.lead.end()?;
        let predictor = Predictor::with_precision(&net, self.config.precision);
        let samples = spread(self.val.len(), self.config.samples).map(|i| self.prediction(&predictor, i));
        let record = Record::read(self.folder)?;
        let step = record.best().map_or(self.saved.step, |best| best.step);
        let pictures = Samples::write(self.folder, step, self.val.classes(), samples)?;
        report::write(&record).map_err(|e| e.during("writing the report of the finished run"))?;
        let (val, best, last) = (self.val.describe(), best.display(), self.folder.last());
        let mut text = format!(
            "\nbest weights on {val} ({})\n\n{}",
            counted(self.val.len(), "image"),
            score_table(&scores)
        );
        text += &format!("\ndone in {}\n", duration(start.elapsed().as_secs_f64()));
        text += &format!("best weights   {best}\nlast state     {}\n", last.display());
        text += &format!("log            {}\n", self.folder.log().display());
        text += &format!("report         {}\n", self.folder.report().display());
        if pictures > 0 {
            text += &format!("{:<14} {}\n", counted(pictures, "picture"), self.folder.samples().display());
        }
        print_if_read(&text)
    }
}

//! `dsnet predict`.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use clap::Args;
use datasets::{Image, MAX_BYTES};

use super::ThreadArgs;
use crate::{
    Error, Result,
    device::DeviceArgs,
    predict::{Form, Segmenter, jobs},
    ui::{Progress, counted, outln, print_bytes},
    weights::{self, Trained},
};

/// Options of `dsnet predict`.
#[derive(Debug, Args)]
#[command(after_help = "\
Of a folder all PNG and JPEG files are taken, also in folders below, each real folder once; --out may lie inside of it, and is \
left out then, but must not be the folder itself. A picture that can not be read does not stop the others: what was left out \
is listed at the end, and the exit code is 1.

One picture and one form may go to standard output: --out -, which is the default where the picture comes from standard input.

  dsnet predict --weights best.safetensors photo.jpg frames/ --out out --strip
  dsnet predict --weights best.safetensors - < photo.jpg > overlay.png")]
pub struct PredictArgs {
    /// Checkpoint of a trained model
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Pictures (PNG or JPEG, any size), or folders of them; - for one picture from standard input
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Folder for the results; - for standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write class colours over the picture (the default)
    #[arg(long)]
    overlay: bool,
    /// Write ids as in the dataset's label files, 8-bit grey
    #[arg(long)]
    label_ids: bool,
    /// Write class colours alone
    #[arg(long)]
    color: bool,
    /// Write the picture with the overlay at its right, as frames of a video
    #[arg(long)]
    strip: bool,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    pub(super) threads: ThreadArgs,
}

/// What stands for standard input and output.
fn is_dash(path: &Path) -> bool {
    path == Path::new("-")
}

fn standard_input() -> Result<Image> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|e| Error::io("read", "standard input", e))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::message(format!(
            "standard input has more than the {MAX_BYTES} bytes of a picture file"
        )));
    }
    if bytes.is_empty() {
        return Err(Error::message("standard input is empty: it should hold a PNG or JPEG picture"));
    }
    Ok(Image::decode("standard input", &bytes)?)
}

impl PredictArgs {
    fn forms(&self) -> Vec<Form> {
        let wanted = [
            (self.overlay, Form::Overlay),
            (self.label_ids, Form::LabelIds),
            (self.color, Form::Color),
            (self.strip, Form::Strip),
        ];
        let forms: Vec<Form> = wanted.into_iter().filter(|(on, _)| *on).map(|(_, form)| form).collect();
        if forms.is_empty() { vec![Form::Overlay] } else { forms }
    }

    pub(super) fn run(self) -> Result<()> {
        let forms = self.forms();
        let from_input = self.inputs.iter().any(|path| is_dash(path));
        if from_input && self.inputs.len() > 1 {
            return Err(Error::usage(
                "- is one picture from standard input; it can not be mixed with others",
            ));
        }
        match self.out.as_deref() {
            Some(out) if is_dash(out) => self.to_output(&forms),
            None if from_input => self.to_output(&forms),
            None => Err(Error::usage("name a folder for the results by --out, or - for standard output")),
            Some(_) if from_input => {
                Err(Error::usage("a picture from standard input goes to standard output: leave --out away"))
            }
            Some(out) => self.to_folder(out, &forms),
        }
    }

    /// The model on the device asked for.
    fn trained(&self) -> Result<Trained> {
        let device = self.device.open()?;
        let trained = weights::load(&self.weights)?;
        nn::to_device(&trained.net, &device)?;
        Ok(trained)
    }

    /// One picture, one form, to standard output.
    fn to_output(&self, forms: &[Form]) -> Result<()> {
        let [input] = &self.inputs[..] else {
            return Err(Error::usage("only one picture can go to standard output"));
        };
        if forms.len() > 1 {
            return Err(Error::usage("only one form can go to standard output"));
        }
        let image = if is_dash(input) { standard_input()? } else { Image::read(input)? };
        let trained = self.trained()?;
        let png = Segmenter::new(&trained, self.device.precision())?.results(&image, forms)?.concat();
        print_bytes(&png)
    }

    fn to_folder(&self, out: &Path, forms: &[Form]) -> Result<()> {
        // Before the model is read: what can not work is said at once.
        let jobs = jobs(&self.inputs, out)?;
        let trained = self.trained()?;
        let segmenter = Segmenter::new(&trained, self.device.precision())?;
        let progress = Progress::new("predicting", "images", jobs.len() as u64);
        let mut unreadable = Vec::new();
        for (done, job) in jobs.iter().enumerate() {
            match Image::read(&job.input) {
                Ok(image) => {
                    let written = segmenter.write(&image, job, out, forms);
                    let place = || {
                        format!("segmenting {}, after {done} of {} pictures", job.input.display(), jobs.len())
                    };
                    written.map_err(|e| e.during(place()))?;
                }
                Err(e) => unreadable.push(e.to_string()),
            }
            progress.add(1);
        }
        progress.finish();
        let segmented = counted(jobs.len() - unreadable.len(), "picture");
        outln!("{segmented} segmented, results in {}", out.display())?;
        match unreadable.len() {
            0 => Ok(()),
            n => Err(Error::message(format!(
                "{n} of {} pictures can not be read:\n  - {}",
                jobs.len(),
                unreadable.join("\n  - ")
            ))),
        }
    }
}

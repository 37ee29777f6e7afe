//! Running the program.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use datasets::{Image, LabelMap};

/// What a finished program said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// The program with arguments, run in the folder `at`; its caches stay there too.
pub fn command(at: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsnet"));
    command.args(args).current_dir(at).env("DSNET_CACHE", at.join("cache")).stdin(Stdio::null());
    // Those who test may sit in an allocation of Slurm themselves.
    ["RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_PROCID"].into_iter().for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// Runs the program to its end.
pub fn dsnet(at: &Path, args: &[&str]) -> Said {
    let Output { status, stdout, stderr } = command(at, args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// Runs the program, which must succeed; its standard output.
pub fn succeeds(at: &Path, args: &[&str]) -> String {
    let said = dsnet(at, args);
    assert_eq!(said.code, Some(0), "{args:?}\n{}{}", said.out, said.err);
    said.out
}

/// Runs the program, which must fail with this exit code; what it said about it.
pub fn fails(at: &Path, code: i32, args: &[&str]) -> String {
    let said = dsnet(at, args);
    assert_eq!(said.code, Some(code), "{args:?}\n{}{}", said.out, said.err);
    assert!(!said.err.contains("panicked"), "{}", said.err);
    let start = said.err.find("error: ").unwrap_or_else(|| panic!("no error is told: {}", said.err));
    said.err[start..].to_owned()
}

/// Options of a training that takes a moment: a net of a few thousand weights, 3 steps in each of 3 epochs.
pub const TINY: [&str; 16] = [
    "train",
    "--model=dsnet-tiny",
    "--train-images=12",
    "--val-images=2",
    "--scene-size=32x64",
    "--epochs=3",
    "--batch=4",
    "--samples=1",
    "--threads=2",
    "--save-every=2",
    "--seed=5",
    "--loss=owfl+sel",
    "--lr=0.003",
    "--scales=0.5,1",
    "--crop=32x32",
    "--out=run",
];

/// Writes a CamVid folder with `n` pictures in each split: sky above road, and a strip of void.
pub fn camvid(root: &Path, n: usize) {
    for split in ["train", "val", "test"] {
        let mut list = String::new();
        for i in 0..n {
            let (w, h) = (48, 40);
            let above = |y: usize| y < 20 + i % 3;
            let image = (0..h * w).flat_map(|p| if above(p / w) { [90, 120, 200] } else { [80, 80, 80] });
            let labels = (0..h * w).map(|p| {
                if p / w == h - 1 {
                    11
                } else if above(p / w) {
                    0
                } else {
                    3
                }
            });
            let image = Image::new(w, h, image.collect()).unwrap();
            image.save_png(root.join(format!("{split}/{i}.png"))).unwrap();
            let labels = LabelMap::new(w, h, labels.collect()).unwrap();
            labels.save_png(root.join(format!("{split}annot/{i}.png"))).unwrap();
            list += &format!("/SegNet/CamVid/{split}/{i}.png /SegNet/CamVid/{split}annot/{i}.png\n");
        }
        std::fs::write(root.join(format!("{split}.txt")), list).unwrap();
    }
}

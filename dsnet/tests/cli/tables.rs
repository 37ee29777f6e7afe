//! Tables of the paper, made in the small.

use crate::program::{command, fails, succeeds};

/// Options under which a row takes a moment.
const QUICK: [&str; 9] = [
    "--train-images=4",
    "--val-images=1",
    "--scene-size=32x64",
    "--epochs=2",
    "--batch=4",
    "--samples=0",
    "--threads=2",
    "--iters=1",
    "--warmup=0",
];

#[test]
fn rows_are_made_once_and_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let losses = |more: &[&'static str]| {
        [&["reproduce", "table6", "--model=dsnet-tiny", "--out=t"][..], &QUICK, more].concat()
    };
    // One row, then all: the first is not made again.
    let out = succeeds(at, &losses(&["--only=wce"]));
    assert!(out.contains("Rows not made yet with these settings: 3"), "{out}");
    let row = |name: &str| at.join("t").join(name).join("row.json");
    let made = |name: &str| std::fs::metadata(row(name)).unwrap().modified().unwrap();
    let first = made("wce");
    // A row that was stopped in the middle: its checkpoint is there, its result is not.
    succeeds(at, &losses(&["--only=fl-sel"]));
    std::fs::remove_file(row("fl-sel")).unwrap();
    let out = succeeds(at, &losses(&[]));
    assert_eq!(made("wce"), first);
    for part in ["owfl-sel", "58.5", "92.0", "epochs 2"] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    let markdown = std::fs::read_to_string(at.join("t/table6.md")).unwrap();
    assert!(markdown.contains("| wce-sel |") && markdown.contains("| 74.1 |"), "{markdown}");
    // The row that went on was trained once.
    let log = std::fs::read_to_string(at.join("t/fl-sel/log.jsonl")).unwrap();
    assert_eq!(log.lines().filter(|l| l.contains("\"kind\":\"step\"")).count(), 2);

    // A row of other settings is not made over, nor shown beside those that are made.
    assert!(fails(at, 2, &losses(&["--lr=0.5"])).contains("other settings"));
    std::fs::remove_dir_all(at.join("t/wce")).unwrap();
    let out = succeeds(at, &losses(&["--lr=0.5", "--only=wce"]));
    assert!(out.contains("Rows not made yet with these settings: 3"), "{out}");
    assert!(fails(at, 2, &losses(&["--loss=ce"])).contains("--loss can not be given"));
    assert!(
        fails(at, 2, &losses(&["--only=wce,dice"])).contains("no row \"dice\"; its rows are wce, wce-sel")
    );
}

#[test]
fn a_stopped_row_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let args = [
        &["reproduce", "table6", "--model=dsnet-tiny", "--out=t", "--only=wce", "--save-every=1"][..],
        &QUICK,
    ]
    .concat();
    let long = [&args[..], &["--epochs=150", "--eval-every=50"]].concat();
    let mut child = command(at, &long)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let last = at.join("t/wce/last.safetensors");
    while !last.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its first checkpoint");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = nn::Checkpoint::load(&last).unwrap().meta.step;
    assert!(before >= 1 && !at.join("t/wce/row.json").exists());
    let out = succeeds(at, &long);
    assert!(out.contains("epochs 150"), "{out}");
    let log = std::fs::read_to_string(at.join("t/wce/log.jsonl")).unwrap();
    let starts = log.lines().filter(|l| l.contains("\"kind\":\"start\"")).count();
    assert_eq!(starts, 2, "it went on, and did not begin anew");
}

#[test]
fn sizes_variants_and_speed() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let out = succeeds(at, &[&["reproduce", "table5", "--only=dsnet-init,dsnet-psp"][..], &QUICK].concat());
    assert!(out.contains("910,547") && out.contains("1,222,268") && out.contains("63.2"), "{out}");
    assert!(at.join("runs/table5-synthetic/dsnet-psp/report.html").exists());
    // Speed is measured as asked for, and not again where it was.
    let row = at.join("runs/table8/dsnet-1.0/row.json");
    let measured = |args: &[&'static str]| -> (String, std::time::SystemTime) {
        let out = succeeds(at, &[&["reproduce", "table8"], args].concat());
        (out, std::fs::metadata(&row).unwrap().modified().unwrap())
    };
    let (out, first) = measured(&["--iters=1", "--threads=1"]);
    assert!(out.contains("ERFNet") && out.contains("165.2") && out.contains(", 1 thread, compiled"), "{out}");
    assert!(!out.contains("not made yet"), "{out}");
    assert_eq!(measured(&["--iters=1", "--threads=1"]).1, first);
    let (out, second) = measured(&["--iters=1", "--threads=2"]);
    assert!(second != first && out.contains(", 2 threads, compiled"), "{out}");
    assert_ne!(measured(&["--iters=2", "--threads=2"]).1, second);
    let error = fails(at, 2, &["reproduce", "table8", "--epochs=3"]);
    assert!(error.contains("--epochs can not be given for table8") && error.contains("--threads"), "{error}");
    let out = succeeds(at, &[&["reproduce", "table2", "--only=dsnet-0.5"][..], &QUICK].concat());
    assert!(out.contains("456,060") && out.contains("1.81"), "{out}");
    assert!(fails(at, 2, &["reproduce", "table7"]).contains("dsnet draw"));
    // All three stages, one after the other, on drawn scenes on disk.
    succeeds(at, &["draw", "--out=drawn", "--train-images=12", "--val-images=1", "--scene-size=64x128"]);
    let stages = [
        "reproduce",
        "table7",
        "--data=cityscapes",
        "--root=drawn",
        "--shrink=16",
        "--epochs=1",
        "--model=dsnet-tiny",
    ];
    let out = succeeds(at, &[&stages[..], &["--samples=0", "--threads=2"]].concat());
    assert!(out.contains("3-finetune") && out.contains("71.8"), "{out}");
}

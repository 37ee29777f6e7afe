//! Reports, figures, pages of samples, pictures through pipes.

use std::{fs, io::Write, path::Path, process::Stdio};

use datasets::Image;

use crate::program::{TINY, camvid, command, dsnet, fails, succeeds};

/// A page that needs nothing but itself and whose tags that matter are closed.
fn page(path: &Path) -> String {
    let html = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for outside in ["http://", "https://", "<link", "@import", "url(", "NaN"] {
        assert!(!html.contains(outside), "{} holds {outside}", path.display());
    }
    for tag in ["svg", "figure", "section", "div", "table", "script", "style", "title"] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag} in {}", path.display());
    }
    html
}

#[test]
fn runs_are_reported_compared_and_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let out = succeeds(at, &TINY);
    assert!(out.contains("run/report.html"), "{out}");
    let report = page(&at.join("run/report.html"));
    for part in
        ["<h1>run</h1>", "mIoU of each γ group", "Confusion matrix", "errors", "forward", "process, peak"]
    {
        assert!(report.contains(part), "{part}");
    }
    // Input, truth, prediction, errors.
    assert_eq!(report.matches("<img").count(), 4);

    // A run that is not finished: without its samples and half of its log.
    let log = fs::read_to_string(at.join("run/log.jsonl")).unwrap();
    let half: Vec<&str> = log.lines().take(6).collect();
    fs::write(at.join("run/log.jsonl"), half.join("\n")).unwrap();
    fs::remove_dir_all(at.join("run/report")).unwrap();
    fs::remove_file(at.join("run/report.html")).unwrap();
    assert_eq!(succeeds(at, &["report", "run"]), "run/report.html\n");
    let report = page(&at.join("run/report.html"));
    assert!(report.contains("of 9") && report.matches("<img").count() == 4, "samples are taken anew");
    // Without weights there are no samples, but still a report.
    fs::remove_dir_all(at.join("run/report")).unwrap();
    let best = fs::read(at.join("run/best.safetensors")).unwrap();
    fs::remove_file(at.join("run/best.safetensors")).unwrap();
    let said = dsnet(at, &["report", "run"]);
    assert!(said.code == Some(0) && said.err.contains("best.safetensors"), "{}", said.err);
    fs::write(at.join("run/best.safetensors"), best).unwrap();
    succeeds(at, &["report", "run"]);
    assert!(fails(at, 2, &["report", "nowhere"]).contains("nowhere"));

    succeeds(at, &[&TINY[..], &["--out=other", "--loss=wce", "--epochs=2"]].concat());
    assert_eq!(succeeds(at, &["compare", "run", "other", "--out=c.html"]), "c.html\n");
    let compared = page(&at.join("c.html"));
    assert!(
        compared.contains("<td>loss</td><td>owfl+sel</td><td>wce</td>"),
        "settings that differ are listed"
    );
    // Input, truth, two predictions.
    assert_eq!(compared.matches("<img").count(), 4);

    let fig5 = succeeds(at, &["plot", "fig5", "other", "--out=-"]);
    assert!(fig5.starts_with("<svg xmlns") && fig5.contains("γ = 1") && !fig5.contains("var("), "{fig5}");
    succeeds(at, &["plot", "fig4"]);
    assert!(fs::read_to_string(at.join("fig4.svg")).unwrap().contains("dOWFL/dp"));
    let data = ["--val-images=2", "--scene-size=32x64"];
    let weights = ["plot", "fig6", "--weights", "run/best.safetensors", "other/best.safetensors"];
    succeeds(at, &[&weights[..], &["--names", "ours", "theirs", "--samples", "1"], &data].concat());
    let fig6 = fs::read_to_string(at.join("fig6.svg")).unwrap();
    assert!(fig6.matches("<image ").count() == 4 && fig6.contains(">theirs</text>"));
    let error = fails(at, 2, &[&weights[..], &["--samples", "2"], &data].concat());
    assert!(error.contains("no sample 2"), "{error}");
}

#[test]
fn class_frequencies_are_drawn_from_data_or_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let data = ["--train-images=6", "--scene-size=32x64"];
    succeeds(at, &[&["plot", "fig2", "--out=a.svg"][..], &data].concat());
    let stats = succeeds(at, &[&["stats", "--json"][..], &data].concat());
    fs::write(at.join("stats.json"), stats).unwrap();
    succeeds(at, &["plot", "fig2", "--stats=stats.json", "--out=b.svg"]);
    let read = |name: &str| fs::read_to_string(at.join(name)).unwrap();
    assert!(read("a.svg") == read("b.svg") && read("a.svg").contains("share of labelled pixels (%)"));
    fs::write(at.join("stats.json"), "{}").unwrap();
    assert!(fails(at, 1, &["plot", "fig2", "--stats=stats.json"]).contains("stats.json"));
}

#[test]
fn training_samples_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    camvid(&at.join("data"), 4);
    let args =
        ["browse", "--data=camvid", "--root=data", "--crop=32x40", "--scales=1.5", "--seed=3", "--count=9"];
    assert_eq!(succeeds(at, &args), "browse.html\n");
    let html = page(&at.join("browse.html"));
    // Image, labels and both, of all four samples.
    assert_eq!(html.matches("<img").count(), 12);
    for part in
        ["camvid train", "Bicyclist none here", "scaled to 72×60 (×1.50), 40×32 cut out at", "% not labelled"]
    {
        assert!(html.contains(part), "{part}");
    }
    succeeds(at, &[&args[..], &["--epoch=2", "--page=second.html"]].concat());
    assert!(page(&at.join("second.html")) != html, "each epoch augments anew");
    assert!(fails(at, 2, &["browse", "--epoch=0"]).contains("at least 1"));
}

#[test]
fn pictures_go_through_pipes_and_become_strips() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    succeeds(at, &[&TINY[..], &["--epochs=1"]].concat());
    let weights = "--weights=run/best.safetensors";
    let picture = Image::new(30, 20, (0..1800).map(|i| i as u8).collect()).unwrap();
    picture.save_png(at.join("in/a.png")).unwrap();
    succeeds(at, &["predict", weights, "in", "--out=out", "--overlay", "--strip"]);
    let overlay = fs::read(at.join("out/a_overlay.png")).unwrap();
    assert_eq!(Image::read(at.join("out/a_strip.png")).unwrap().size(), (30 + 4 + 30, 20));

    let pipe = |args: &[&str], input: &[u8]| {
        let mut command = command(at, args);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that refuses does not read.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    };
    let file = fs::read(at.join("in/a.png")).unwrap();
    let said = pipe(&["predict", weights, "-"], &file);
    assert!(said.status.success() && said.stdout == overlay, "{}", String::from_utf8_lossy(&said.stderr));
    let color = pipe(&["predict", weights, "in/a.png", "--out=-", "--color"], b"");
    assert_eq!(Image::decode("color", &color.stdout).unwrap().size(), (30, 20));
    let said = pipe(&["predict", weights, "-"], b"no picture");
    assert!(said.stdout.is_empty() && said.status.code() == Some(1));
    assert!(String::from_utf8_lossy(&said.stderr).contains("standard input"));
    assert!(fails(at, 1, &["predict", weights, "-"]).contains("empty"));
    for (args, part) in [
        (&["in/a.png"][..], "--out"),
        (&["-", "in/a.png"], "standard input"),
        (&["-", "--color", "--overlay"], "one form"),
        (&["-", "--out=p"], "standard output"),
    ] {
        let error = fails(at, 2, &[&["predict", weights], args].concat());
        assert!(error.contains(part), "{args:?}: {error}");
    }
}

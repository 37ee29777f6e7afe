//! The commands that only tell something.

use serde_json::Value;

use crate::program::{dsnet, fails, succeeds};

fn json(args: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let text = succeeds(dir.path(), args);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}\n{text}"))
}

#[test]
fn help_and_version() {
    let dir = tempfile::tempdir().unwrap();
    for command in [
        "train", "eval", "predict", "report", "compare", "plot", "browse", "bench", "summary", "stats",
        "doctor",
    ] {
        let help = succeeds(dir.path(), &[command, "--help"]);
        assert!(help.contains("Usage: dsnet") && help.contains("--"), "{help}");
    }
    assert!(succeeds(dir.path(), &["--version"]).starts_with("dsnet "));
    let said = dsnet(dir.path(), &[]);
    assert!(said.code == Some(2) && said.err.contains("train"), "{}", said.err);
}

#[test]
fn bench_measures() {
    let all = json(&["bench", "--model", "dsnet-tiny", "--size", "64x32", "70x30", "--iters=3", "--json"]);
    for (run, (w, h)) in all.as_array().unwrap().iter().zip([(64, 32), (70, 30)]) {
        let time = |key: &str| run[key].as_f64().unwrap();
        assert!(
            0.0 < time("min_ms")
                && time("min_ms") <= time("median_ms")
                && time("median_ms") <= time("p99_ms")
        );
        assert_eq!((run["width"].as_u64(), run["height"].as_u64()), (Some(w), Some(h)));
        assert!(time("fps") > 0.0 && time("macs") > 0.0);
    }
    let steps =
        json(&["bench", "--train", "--model", "dsnet-tiny", "--size", "64x32", "--iters=2", "--json"]);
    assert!(
        steps[0]["median_ms"].as_f64().unwrap() > 0.0 && steps[0]["peak_tensor_bytes"].as_u64().unwrap() > 0
    );
    let dir = tempfile::tempdir().unwrap();
    let table = succeeds(dir.path(), &["bench", "--model=dsnet-tiny", "--size=64x32", "--iters=2"]);
    assert!(table.contains("FPS") && table.contains("64x32"), "{table}");
    fails(dir.path(), 2, &["bench", "--iters=0"]);
}

#[test]
fn bench_shows_the_steps_of_a_plan() {
    let all = json(&["bench", "--layers", "--model", "dsnet-tiny", "--size", "70x30", "--iters=2", "--json"]);
    let layers = all[0]["layers"].as_array().unwrap();
    assert!(layers.iter().any(|l| l["step"].as_str().unwrap().starts_with("conv2d 3x3")));
    for layer in layers {
        let positive = |key: &str| layer[key].as_f64().unwrap() > 0.0;
        assert!(positive("ms") && positive("bytes") && positive("floor_ms"), "{layer}");
    }
    assert!(all[0]["planned_bytes"].as_u64() < all[0]["naive_bytes"].as_u64());
    let dir = tempfile::tempdir().unwrap();
    let table = succeeds(
        dir.path(),
        &["bench", "--layers", "--labels", "--model=dsnet-tiny", "--size=64x32", "--iters=1"],
    );
    assert!(table.contains("argmax") && table.contains("GFLOP/s"), "{table}");
    succeeds(dir.path(), &["bench", "--eager", "--model=dsnet-tiny", "--size=64x32", "--iters=1"]);
    fails(dir.path(), 2, &["bench", "--eager", "--labels"]);
    let half = json(&[
        "bench",
        "--layers",
        "--precision=bf16",
        "--model=dsnet-tiny",
        "--size=64x32",
        "--iters=1",
        "--json",
    ]);
    let bytes = |of: &Value| of[0]["naive_bytes"].as_u64().unwrap();
    let whole = json(&["bench", "--layers", "--model=dsnet-tiny", "--size=64x32", "--iters=1", "--json"]);
    assert!(bytes(&half) < bytes(&whole), "{half} {whole}");
    fails(dir.path(), 2, &["bench", "--train", "--precision=tf32"]);
    for way in ["--train", "--eager"] {
        let low =
            ["bench", way, "--model=dsnet-tiny", "--size=64x32", "--iters=1", "--precision=bf16", "--json"];
        assert_eq!(json(&low)[0]["precision"].as_str(), Some("bf16"), "{way}");
    }
}

#[test]
fn summary_shows_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let text = succeeds(dir.path(), &["summary", "--plan", "--size=64x64"]);
    let (before, after) = text.split_once("optimised:").unwrap();
    assert!(before.contains("interleave(") && before.contains("batch_norm_apply_relu("), "{before}");
    assert!(!after.contains("interleave") && after.contains("add unpooled("), "{after}");
    let dot = succeeds(dir.path(), &["summary", "--dot", "--size=64x64"]);
    assert!(dot.starts_with("digraph {") && dot.trim_end().ends_with('}') && dot.contains(" -> "), "{dot}");
}

#[test]
fn summary_counts() {
    let summary = json(&["summary", "--size=64x64", "--json"]);
    assert_eq!(summary["parameters"].as_u64(), Some(910_460));
    let layers = summary["layers"].as_array().unwrap();
    let sum = |key: &str| layers.iter().map(|l| l[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("parameters"), sum("macs")), (910_460, summary["macs"].as_u64().unwrap()));
    let dir = tempfile::tempdir().unwrap();
    let table = succeeds(dir.path(), &["summary"]);
    assert!(table.contains("stage3.15.right.1") && table.contains("4.2706 GMAC"), "{table}");
}

#[test]
fn stats_tell_alpha_and_gamma() {
    let stats = json(&["stats", "--train-images=20", "--scene-size=64x128", "--json"]);
    let classes = stats["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 19);
    let shares: f64 = classes.iter().map(|c| c["frequency"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9);
    assert!(classes.iter().all(|c| (0.0..=1.0).contains(&c["alpha"].as_f64().unwrap())));
}

#[test]
fn doctor_looks_around() {
    let found = json(&["doctor", "--json"]);
    assert!(found["threads"].as_u64().unwrap() > 0 && found["cuda_ready"].is_boolean());
    let dir = tempfile::tempdir().unwrap();
    let text = succeeds(dir.path(), &["doctor"]);
    assert!(text.contains("processor") && text.contains("memory"), "{text}");
}

//! What loading and more ranks cost: the commands say something true about their own parts; times are not judged.

use serde_json::Value;

use crate::program::{fails, succeeds};

#[test]
fn loading_is_taken_apart() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    succeeds(at, &["draw", "--out=drawn", "--train-images=3", "--val-images=1", "--scene-size=64x128"]);
    let args = [
        "bench-data",
        "--data=cityscapes",
        "--root=drawn",
        "--patches=55x55:2x4",
        "--crop=48x48",
        "--jitter=0.3",
    ];
    let count = ["--count=20", "--batch=4", "--loaders=1,2"];
    let json = |more: &[&'static str]| -> Value {
        serde_json::from_str(&succeeds(at, &[&args[..], &count, more].concat())).unwrap()
    };
    let found = json(&["--json"]);
    let names = |stages: &Value| -> Vec<String> {
        stages.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&found["stages"]), ["read", "decode", "augment", "collate"]);
    assert!(found["stages"].as_array().unwrap().iter().all(|s| s["ms"].as_f64().unwrap() > 0.0), "{found}");
    assert_eq!(
        found["size"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect::<Vec<_>>(),
        [48, 48]
    );
    assert_eq!(found["batch_bytes"].as_u64(), Some(48 * 48 * 13));
    assert!(found["file_bytes"].as_u64().unwrap() > 1000 && found["cached"].is_null());
    assert_eq!(found["delivery"].as_array().unwrap().len(), 2);

    let found = json(&["--json", "--cache=kept"]);
    assert_eq!(names(&found["cached"]), ["from the cache", "augment", "collate"]);
    // Three frames, each decoded once: header, and rows with a checksum.
    assert_eq!(found["cache"][0].as_u64(), Some(3 * (24 + 64 * (4 * 128 + 8))));
    let text = succeeds(at, &[&args[..], &count, &["--cache=kept", "--need=80"]].concat());
    for part in
        ["the bottleneck is", "for 80 samples/s, --workers", "2 loading threads deliver", "samples/s a core"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let drawn =
        succeeds(at, &["bench-data", "--count=2", "--train-images=4", "--scene-size=32x64", "--loaders=1"]);
    assert!(drawn.contains("draw ") && !drawn.contains("decode"), "{drawn}");
    assert!(fails(at, 2, &["bench-data", "--count=0"]).contains("above 0"));
}

#[test]
fn more_ranks_are_simulated() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let given = ["scaling", "--sample-ms=10", "--bandwidth=10", "--latency=20", "--ranks=1,4,64"];
    let json = |more: &[&'static str]| -> Value {
        serde_json::from_str(&succeeds(at, &[&given[..], &["--json"], more].concat())).unwrap()
    };
    let found = json(&[]);
    let part = |found: &Value, i: usize, name: &str| found["steps"][i][name].as_f64().unwrap();
    assert_eq!((part(&found, 0, "messages"), part(&found, 0, "data")), (0.0, 0.0));
    assert!((part(&found, 0, "compute") - 0.041).abs() < 1e-9, "four samples and the update: {found}");
    assert!(part(&found, 2, "messages") > part(&found, 1, "messages") && part(&found, 1, "messages") > 0.0);
    // Loading that makes 8 samples/s for a rank takes half a second for four.
    let slow = json(&["--loader=1", "--cores=8"]);
    let parts = ["compute", "messages", "gradients", "data"];
    for i in 0..3 {
        assert!((parts.iter().map(|p| part(&slow, i, p)).sum::<f64>() - 0.5).abs() < 1e-9, "{slow}");
    }
    let text = succeeds(at, &given);
    assert!(text.contains("bound by") && text.contains("10.0 ms each (given)"), "{text}");
    let estimated =
        ["scaling", "--flops=30", "--memory-bandwidth=1.5", "--size=64x96", "--bandwidth=10", "--latency=20"];
    assert!(succeeds(at, &[&estimated[..], &["--markdown"]].concat()).contains("| 64 |"));
    let measured = ["scaling", "--model=dsnet-tiny", "--size=32x32", "--batch=1", "--ranks=2", "--threads=1"];
    assert!(succeeds(at, &measured).contains("measured here"));
    assert!(fails(at, 2, &["scaling", "--bandwidth=0"]).contains("bandwidth"));
}

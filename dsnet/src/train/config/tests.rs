//! Defaults, and options that can not work.

use super::*;

#[test]
fn nothing_given_is_a_complete_run() {
    let all = TrainOptions::default().with_defaults().unwrap();
    let c = all.resolve().unwrap();
    assert_eq!((c.data.source, c.model.as_str(), c.batch), (Source::Synthetic, "dsnet-1.0", 4));
    // What a run folder stores gives the same settings again.
    let stored = TrainOptions::parse(&all.to_toml().unwrap()).unwrap();
    assert_eq!(stored.resolve().unwrap(), c);
}

#[test]
fn a_rehearsal_divides_sizes_alone() {
    let text = "patches = \"880x880:2x4\"\ncrop = \"800x800\"\nscales = \"0.5,1\"\n";
    let whole = TrainOptions::parse(text).unwrap().resolve().unwrap();
    let small = TrainOptions::parse(&format!("{text}shrink = 8")).unwrap().resolve().unwrap();
    assert_eq!(small.patches.to_string(), "110x110:2x4");
    assert_eq!(small.crop.to_string(), "96x96");
    assert_eq!(TrainConfig { patches: whole.patches, crop: whole.crop, ..small }, whole);
}

#[test]
fn impossible_options_are_refused() {
    for (text, part) in [
        ("batch = 0", "batch must be at least 1"),
        ("workers = 100000000", "workers can be 1024 at most"),
        ("lr = -1.0", "lr can not be -1"),
        ("ranks = 0", "ranks must be at least 1"),
        ("ranks = 5", "a batch of 4 can not be shared by 5 ranks"),
        ("rank-timeout = 0.0", "rank-timeout can not be 0"),
        ("crop = \"100x64\"", "as 104x64"),
        ("crop = \"64x64\"\nshrink = 9", "nothing is left of 64"),
        ("shrink = 0", "shrink must be at least 1"),
        ("jitter = 1.5", "jitter can be 1 at most"),
        ("ema = 1.0", "ema can be 0.999999 at most"),
        ("label-smoothing = -0.1", "label-smoothing can not be -0.1"),
        ("cache-limit = 0.0", "cache-limit can not be 0"),
        ("model = \"dsnet-3\"", "dsnet-2.0"),
        ("data = \"camvid\"", "--root"),
        ("labels = \"coarse\"", "cityscapes"),
        ("data = \"camvid\"\nroot = \"x\"\ntrain-images = 3", "synthetic"),
    ] {
        let error = TrainOptions::parse(text).unwrap().resolve().unwrap_err();
        assert!(error.to_string().contains(part), "{text}: {error}");
        assert_eq!(error.exit_code(), 2);
    }
}

//! Draws a sheet of synthetic scenes with their labels: `cargo run -p datasets --example gallery -- OUT.png`
//! (then optionally: columns, rows, width, height, first index, seed). Also prints how fast they are drawn.

use datasets::{Dataset, Error, Image, Result, Split, Synthetic, SyntheticOptions, render};

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let out = words.next().ok_or_else(|| Error::Options("which file shall I write?".into()))?;
    let mut number = |otherwise: usize| words.next().and_then(|w| w.parse().ok()).unwrap_or(otherwise);
    let (columns, rows, width, height, first, seed) =
        (number(3), number(4), number(256), number(128), number(0), number(0));
    let len = first + columns * rows;
    let options = SyntheticOptions { seed: seed as u64, len, width, height, split: Split::Train };
    let scenes = Synthetic::new(options)?;
    let start = std::time::Instant::now();
    let samples = (first..len).map(|i| scenes.load(i)).collect::<Result<Vec<_>>>()?;
    let per_second = samples.len() as f64 / start.elapsed().as_secs_f64();
    println!("{per_second:.0} scenes of {width}x{height} per second and core");
    let mut bands = Vec::new();
    for row in samples.chunks(columns) {
        let mut pictures = Vec::new();
        for sample in row {
            let labels = render::colorize(&sample.labels, scenes.classes());
            pictures.push(stack(&[&sample.image, &labels])?);
        }
        bands.push(render::side_by_side(&pictures.iter().collect::<Vec<_>>(), 4)?);
    }
    stack(&bands.iter().collect::<Vec<_>>())?.save_png(&out)
}

fn stack(pictures: &[&Image]) -> Result<Image> {
    let height = pictures.iter().map(|p| p.height()).sum();
    let data = pictures.iter().flat_map(|p| p.data()).copied().collect();
    Image::new(pictures[0].width(), height, data)
}

//! Predictions of several models beside input and truth, as one drawing (the paper's Fig. 6).

use datasets::{Classes, render};

use super::{
    chart::{Anchor, Svg, text_width},
    encode::base64,
};
use crate::{Error, Result, pictures::Prediction};

/// Columns of each picture.
const WIDTH: usize = 320;

const GAP: f64 = 6.0;

/// Rows of `input | truth | prediction | prediction …` with the palette below. Each row holds the predictions of all models,
/// in the order of `names`, for one sample.
///
/// # Errors
/// Where there is no sample, or a picture can not be made.
pub fn contrast(rows: &[Vec<Prediction>], names: &[String], classes: &Classes) -> Result<Svg> {
    let mut heights = Vec::new();
    for row in rows {
        let first = row.first().ok_or_else(|| Error::message("there is no prediction to show"))?;
        let (w, h) = first.image.size();
        heights.push(WIDTH as f64 * h as f64 / w as f64);
    }
    let titles: Vec<&str> = ["input", "truth"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let step = WIDTH as f64 + GAP;
    let width = step * titles.len() as f64 - GAP;
    let legend_rows = legend(&mut Svg::new(0.0, 0.0, ""), classes, width, 0.0);
    let pictures: f64 = heights.iter().map(|h| h + GAP).sum();
    let mut svg =
        Svg::new(width, 20.0 + pictures + 8.0 + legend_rows, format!("Samples: {}", titles.join(", ")));
    for (i, title) in titles.iter().enumerate() {
        svg.text("head", Anchor::Start, (step * i as f64, 14.0), title);
    }
    let mut y = 20.0;
    for (row, &height) in rows.iter().zip(&heights) {
        let size = (WIDTH as f64, height);
        // Twice the pixels of the drawing: sharp when it is enlarged.
        let row: Vec<Prediction> = row.iter().map(|p| p.shrunk(2 * WIDTH)).collect::<Result<_>>()?;
        let photo = row[0].image.to_jpeg(90)?;
        svg.picture("image/jpeg", &base64(&photo), (0.0, y), size);
        let maps = std::iter::once(&row[0].truth).chain(row.iter().map(|p| &p.found));
        for (i, map) in maps.enumerate() {
            let png = render::colorize(map, classes).to_png()?;
            svg.picture("image/png", &base64(&png), (step * (i + 1) as f64, y), size);
        }
        y += height + GAP;
    }
    legend(&mut svg, classes, width, y + 8.0);
    Ok(svg)
}

/// The palette from `y` on; returns its height.
fn legend(svg: &mut Svg, classes: &Classes, width: f64, y: f64) -> f64 {
    let (mut x, mut down) = (0.0, 0.0);
    for class in classes.iter() {
        let wide = 34.0 + text_width(class.name);
        if x > 0.0 && x + wide > width {
            (x, down) = (0.0, down + 20.0);
        }
        svg.swatch(class.color, (x, y + down), (12.0, 12.0));
        svg.text("", Anchor::Start, (x + 18.0, y + down + 10.0), class.name);
        x += wide;
    }
    down + 20.0
}

#[cfg(test)]
mod tests {
    use datasets::{Image, LabelMap};

    use super::*;

    #[test]
    fn one_picture_for_each_column_of_each_row() {
        let prediction = Prediction {
            name: "a".into(),
            image: Image::new(4, 2, vec![7; 24]).unwrap(),
            truth: LabelMap::new(4, 2, vec![0; 8]).unwrap(),
            found: LabelMap::new(4, 2, vec![1; 8]).unwrap(),
        };
        let rows = vec![vec![prediction.clone(), prediction.clone()], vec![prediction.clone(), prediction]];
        let names = ["A".to_owned(), "B".to_owned()];
        let text = contrast(&rows, &names, &Classes::camvid()).unwrap().file();
        assert_eq!(text.matches("<image ").count(), 8);
        assert!(text.contains(">truth</text>") && text.contains(">Bicyclist</text>"), "{text}");
        assert!(contrast(&[vec![]], &[], &Classes::camvid()).is_err());
    }
}

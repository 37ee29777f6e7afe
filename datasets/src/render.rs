//! Label maps as pictures for people, and as label files of the dataset's own format.

use crate::classes::{Classes, IGNORE};
use crate::error::{Error, Result};
use crate::picture::{Image, LabelMap};

/// Paints every pixel in its class's palette colour.
pub fn colorize(labels: &LabelMap, classes: &Classes) -> Image {
    let palette: Vec<[u8; 3]> = (0..=255).map(|id| classes.color(id)).collect();
    let data = labels.data().iter().flat_map(|&id| palette[id as usize]).collect();
    Image::from_parts(labels.width(), labels.height(), data)
}

/// Blends the palette colours over an image: 0 shows the image alone, 1 the colours alone. Ignored pixels
/// stay as they are in the image. Errors when the sizes differ or `opacity` is not in 0..=1.
pub fn overlay(image: &Image, labels: &LabelMap, classes: &Classes, opacity: f32) -> Result<Image> {
    if image.size() != labels.size() {
        let ((w, h), (lw, lh)) = (image.size(), labels.size());
        return Err(Error::Options(format!("cannot lay a {lw}x{lh} label map over a {w}x{h} image")));
    }
    if !(0.0..=1.0).contains(&opacity) {
        return Err(Error::Options(format!("an overlay's opacity must be between 0 and 1, not {opacity}")));
    }
    let mut data = image.data().to_vec();
    for (pixel, &id) in data.chunks_exact_mut(3).zip(labels.data()) {
        if id == IGNORE {
            continue;
        }
        for (value, color) in pixel.iter_mut().zip(classes.color(id)) {
            *value = (f32::from(*value) * (1.0 - opacity) + f32::from(color) * opacity).round() as u8;
        }
    }
    Ok(Image::from_parts(image.width(), image.height(), data))
}

/// Replaces train ids by the values of the dataset's own label files (Cityscapes label ids, CamVid numbers).
/// Errors on a train id that is neither a class nor 255.
pub fn label_ids(labels: &LabelMap, classes: &Classes) -> Result<LabelMap> {
    if let Some(at) = labels.data().iter().position(|&id| id != IGNORE && id as usize >= classes.len()) {
        let (x, y, id) = (at % labels.width(), at / labels.width(), labels.data()[at]);
        return Err(Error::Options(format!(
            "pixel (x={x}, y={y}) has train id {id}, but {} has {} classes",
            classes.scheme(),
            classes.len()
        )));
    }
    let data = labels.data().iter().map(|&id| classes.label_id(id)).collect();
    Ok(LabelMap::from_parts(labels.width(), labels.height(), data))
}

/// Pictures of one height side by side, with a white gap of `gap` pixels between them (the paper's Fig. 6:
/// input, truth, prediction, prediction). Errors when there are none or the heights differ.
pub fn side_by_side(pictures: &[&Image], gap: usize) -> Result<Image> {
    let Some(height) = pictures.first().map(|p| p.height()) else {
        return Err(Error::Options("no pictures to put side by side".into()));
    };
    if let Some(other) = pictures.iter().find(|p| p.height() != height) {
        return Err(Error::Options(format!(
            "pictures {height} and {} pixels high cannot stand side by side",
            other.height()
        )));
    }
    let width = pictures.iter().map(|p| p.width()).sum::<usize>() + gap * (pictures.len() - 1);
    let mut data = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for (i, picture) in pictures.iter().enumerate() {
            if i > 0 {
                data.resize(data.len() + gap * 3, 255);
            }
            let stride = picture.width() * 3;
            data.extend_from_slice(&picture.data()[y * stride..][..stride]);
        }
    }
    Ok(Image::from_parts(width, height, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_blends() {
        let c = Classes::cityscapes();
        let labels = LabelMap::new(3, 1, vec![0, 13, 255]).unwrap();
        assert_eq!(colorize(&labels, &c).data(), [128, 64, 128, 0, 0, 142, 0, 0, 0]);
        let image = Image::new(3, 1, vec![100; 9]).unwrap();
        let half = overlay(&image, &labels, &c, 0.5).unwrap();
        assert_eq!(half.data(), [114, 82, 114, 50, 50, 121, 100, 100, 100]);
        assert_eq!(overlay(&image, &labels, &c, 0.0).unwrap(), image);
        assert!(overlay(&image, &labels, &c, f32::NAN).is_err());
        let other = Image::new(1, 1, vec![0; 3]).unwrap();
        assert!(overlay(&other, &labels, &c, 0.5).is_err());
    }

    #[test]
    fn label_ids_are_the_datasets_own() {
        let labels = LabelMap::new(3, 1, vec![0, 10, 255]).unwrap();
        assert_eq!(label_ids(&labels, &Classes::cityscapes()).unwrap().data(), [7, 23, 0]);
        assert_eq!(label_ids(&labels, &Classes::camvid()).unwrap().data(), [0, 10, 11]);
        let bad = LabelMap::new(2, 1, vec![0, 19]).unwrap();
        let message = label_ids(&bad, &Classes::cityscapes()).unwrap_err().to_string();
        assert!(message.contains("x=1, y=0") && message.contains("19"), "{message}");
    }

    #[test]
    fn panels_stand_in_a_row() {
        let a = Image::new(1, 2, vec![1; 6]).unwrap();
        let b = Image::new(2, 2, vec![2; 12]).unwrap();
        let row = side_by_side(&[&a, &b], 1).unwrap();
        assert_eq!(row.size(), (4, 2));
        assert_eq!(row.data()[..12], [1, 1, 1, 255, 255, 255, 2, 2, 2, 2, 2, 2]);
        assert!(side_by_side(&[], 1).is_err());
    }
}

//! Making an image smaller for people to look at: each new pixel is the mean of the pixels that it stands for.
//! ([`crate::resize_image`] reads four neighbours only, as training does, and would show stair steps.)

use crate::error::{Error, Result};
use crate::picture::Image;

/// The image at `width` x `height` pixels. Errors when that is larger than the image, or 0.
pub fn shrink_image(image: &Image, width: usize, height: usize) -> Result<Image> {
    let (from_width, from_height) = image.size();
    if width == 0 || height == 0 || width > from_width || height > from_height {
        return Err(Error::Options(format!(
            "a picture of {from_width}x{from_height} cannot be shrunk to {width}x{height} pixels"
        )));
    }
    let mut data = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        let rows = y * from_height / height..(y + 1) * from_height / height;
        for x in 0..width {
            let columns = x * from_width / width..(x + 1) * from_width / width;
            let mut sum = [0u64; 3];
            for row in rows.clone() {
                for column in columns.clone() {
                    let pixel = image.pixel(column, row);
                    sum.iter_mut().zip(pixel).for_each(|(s, v)| *s += u64::from(v));
                }
            }
            let count = (rows.len() * columns.len()) as u64;
            data.extend(sum.map(|s| ((s + count / 2) / count) as u8));
        }
    }
    Ok(Image::from_parts(width, height, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_blocks() {
        let image = Image::new(4, 2, (0..24).map(|v| v * 10).collect()).unwrap();
        let half = shrink_image(&image, 2, 1).unwrap();
        // Red at columns 0, 1 of both rows: 0, 30, 120, 150.
        assert_eq!(half.data(), [75, 85, 95, 135, 145, 155]);
        assert_eq!(shrink_image(&image, 4, 2).unwrap(), image);
        // Sides that do not divide: every pixel counts once.
        assert_eq!(shrink_image(&image, 3, 1).unwrap().data()[..3], [60, 70, 80]);
        assert!(shrink_image(&image, 5, 1).is_err() && shrink_image(&image, 0, 1).is_err());
    }
}

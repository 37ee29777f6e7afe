//! Counting labels: which classes occur in which image.

use tensor::{DType, Op, Ops, Tensor, ops::Bincount};

use crate::{Error, Result};

/// The values that a u8 can have.
const BYTES: usize = 256;

/// How many pixels of each class each image has: one list of `classes` counts for each image of `labels`
/// `[N, …]` (u8 or i64).
///
/// # Errors
/// Labels that are no integers, or a label that is neither a class nor `ignore`.
pub fn class_counts(labels: &Tensor, classes: usize, ignore: i64) -> Result<Vec<Vec<u64>>> {
    let values: Vec<i64> = match labels.dtype() {
        DType::U8 => labels.to_vec::<u8>()?.into_iter().map(i64::from).collect(),
        DType::I64 => labels.to_vec()?,
        other @ (DType::F16 | DType::BF16 | DType::F32 | DType::F64) => {
            return Err(Error::config("labels", format!("wants integers (u8 or i64), got {other}")));
        }
    };
    let images = labels.dims().first().copied().unwrap_or(1);
    let mut counts = vec![vec![0; classes]; images];
    let pixels = (values.len() / images.max(1)).max(1);
    for (i, image) in values.chunks(pixels).enumerate() {
        for (at, &label) in image.iter().enumerate() {
            match usize::try_from(label).ok().and_then(|l| counts[i].get_mut(l)) {
                _ if label == ignore => {}
                Some(count) => *count += 1,
                None => {
                    let why = format!(
                        "pixel {at} of image {i} has the label {label}; \
                         there are classes 0..{classes}, and {ignore} for pixels that take no part"
                    );
                    return Err(Error::config("labels", why));
                }
            }
        }
    }
    Ok(counts)
}

/// 1 where a class occurs in an image, else 0: `[N, classes]` of `dtype`, on the device of `labels`. On another device than
/// the CPU, u8 labels are counted there, and nothing is said of those that are no classes: a loss of pixels says it.
///
/// # Errors
/// As for [`class_counts`].
pub fn class_presence(labels: &Tensor, classes: usize, ignore: i64, dtype: DType) -> Result<Tensor> {
    let device = Tensor::device(labels);
    if labels.dtype() == DType::U8 && device.name() != "cpu" && classes <= BYTES && !labels.is_empty() {
        let images = labels.dim(0)?;
        let counting = Op::from(Bincount { bins: BYTES });
        let counts =
            |i: usize| Tensor::apply1(counting.clone(), &[&labels.narrow(0, i, 1)?])?.reshape(&[1, BYTES]);
        let counts = (0..images).map(counts).collect::<Result<Vec<_>, _>>()?;
        let counts = Tensor::cat(&counts.iter().collect::<Vec<_>>(), 0)?.narrow(1, 0, classes)?;
        let flags = counts.greater(&counts.full_like(0.0, &[])?)?.cast(dtype)?;
        let Some(ignored) = usize::try_from(ignore).ok().filter(|&i| i < classes) else { return Ok(flags) };
        let others: Vec<u8> = (0..classes).map(|class| u8::from(class != ignored)).collect();
        let others = Tensor::from_vec(others, &[classes])?.cast(dtype)?.to_device(&device)?;
        return Ok(flags.mul(&others)?);
    }
    let counts = class_counts(labels, classes, ignore)?;
    let flags: Vec<u8> = counts.iter().flatten().map(|&n| u8::from(n > 0)).collect();
    let flags = Tensor::from_vec(flags, &[counts.len(), classes])?;
    Ok(flags.cast(dtype)?.to_device(&device)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_image() {
        let labels = Tensor::from_vec(vec![0_u8, 2, 2, 255, 255, 255], &[2, 1, 3]).unwrap();
        assert_eq!(class_counts(&labels, 3, 255).unwrap(), [[1, 0, 2], [0, 0, 0]]);
        let presence = class_presence(&labels, 3, 255, DType::F32).unwrap();
        assert_eq!(presence.to_vec::<f32>().unwrap(), [1.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_foreign_label_is_named() {
        let labels = Tensor::from_vec(vec![0_i64, 1, -1, 7], &[2, 2]).unwrap();
        let error = class_counts(&labels, 2, -1).unwrap_err().to_string();
        assert!(error.contains("pixel 1 of image 1 has the label 7"), "{error}");
    }
}

//! Tensors of which only dims and element type are known: what is applied to them is checked and recorded, but not computed.
//! A model is traced into a graph with them, without time or memory for its values.

use std::{any::Any, sync::Arc};

use crate::{Buffer, Device, Format, Layout, Meta, Tensor};

/// Memory that is not there.
#[derive(Debug)]
struct NoValues {
    bytes: usize,
    device: Device,
}

impl Buffer for NoValues {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Tensor {
    /// A tensor without values on `device`. Every operation on it has results without values; reading them is an error.
    pub fn without_values(meta: &Meta, device: &Device) -> Self {
        let layout = Layout::dense(&meta.dims, Format::ChannelsLast);
        let buffer = NoValues { bytes: meta.bytes(), device: device.clone() };
        Self::from_parts(Arc::new(buffer), layout, meta.dtype)
    }

    /// Whether it has values: see [`Tensor::without_values`].
    pub fn has_values(&self) -> bool {
        !self.buffer().as_any().is::<NoValues>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Ops, cpu, ops::Window};

    #[test]
    fn shapes_are_inferred_and_checked_without_values() {
        let image = Tensor::without_values(&Meta::new(&[1, 4, 8, 6][..], DType::F32), &cpu::device());
        let (pooled, index) = image.max_pool2d(Window::square(2)).unwrap();
        assert_eq!((pooled.dims(), index.dtype()), (&[1, 4, 4, 3][..], DType::U8));
        // Constants may take part; views and reshapes that would copy have no values either.
        let sum = pooled.add(&Tensor::ones(&[3], DType::F32).unwrap()).unwrap();
        let flat = sum.transpose(1, 3).unwrap().reshape(&[48]).unwrap();
        assert!(!flat.has_values() && flat.dims() == [48]);
        assert!(Tensor::ones(&[3], DType::F32).unwrap().has_values());
        assert!(pooled.matmul(&image).is_err(), "shape rules hold");
        let error = flat.to_vec::<f32>().unwrap_err().to_string();
        assert!(error.contains("no values"), "{error}");
    }
}

//! The tensor handle: a buffer, a layout, a dtype. Cloning shares the buffer; values never change.

use std::{
    alloc::{self, handle_alloc_error},
    fmt,
    sync::Arc,
};

use smallvec::SmallVec;

use crate::{
    Buffer, DType, Device, Dims, Element, Error, Format, Layout, Meta, Op, Ops, Result,
    cpu::{self, CpuBuffer},
    execute, execute_on,
    meta::count,
    ops::{Arange, Binary, Distribution, Full, Random},
    profile::sampled,
    rng::Key,
};

/// The results of an operation: one or two, rarely three.
pub type Outputs<T> = SmallVec<[T; 2]>;

/// An immutable n-dimensional array. Cheap to clone.
#[derive(Clone)]
pub struct Tensor {
    buffer: Arc<dyn Buffer>,
    layout: Layout,
    dtype: DType,
}

impl Tensor {
    /// A tensor on the CPU from values in row-major order.
    ///
    /// # Errors
    /// Where the number of values is not the product of `dims`.
    pub fn from_vec<T: Element>(values: Vec<T>, dims: &[usize]) -> Result<Self> {
        Self::from_slice(&values, dims)
    }

    /// A tensor on the CPU from a copy of values in row-major order.
    ///
    /// # Errors
    /// Where the number of values is not the product of `dims`.
    pub fn from_slice<T: Element>(values: &[T], dims: &[usize]) -> Result<Self> {
        if values.len() != count(dims) {
            return Err(Error::Length { len: values.len(), dims: dims.to_vec() });
        }
        let mut buffer = CpuBuffer::new(size_of_val(values))?;
        buffer.as_mut_slice::<T>().copy_from_slice(values);
        Ok(Self::from_parts(Arc::new(buffer), Layout::contiguous(dims), T::DTYPE))
    }

    /// A scalar (no axes) on the CPU.
    pub fn scalar<T: Element>(value: T) -> Self {
        // Like a box of one value.
        let Ok(mut buffer) = CpuBuffer::new(size_of::<T>()) else {
            handle_alloc_error(alloc::Layout::new::<T>())
        };
        buffer.as_mut_slice::<T>()[0] = value;
        Self::from_parts(Arc::new(buffer), Layout::contiguous(&[]), T::DTYPE)
    }

    /// A constant on the CPU.
    ///
    /// # Errors
    /// Where memory runs out.
    pub fn full(value: f64, dims: &[usize], dtype: DType) -> Result<Self> {
        Self::full_on(&cpu::device(), value, dims, dtype)
    }

    /// A constant on `device`.
    ///
    /// # Errors
    /// Where memory runs out.
    pub fn full_on(device: &Device, value: f64, dims: &[usize], dtype: DType) -> Result<Self> {
        first(execute_on(device, &Full { dims: dims.into(), value, dtype }.into(), &[])?)
    }

    /// Zeros on the CPU.
    ///
    /// # Errors
    /// Where memory runs out.
    pub fn zeros(dims: &[usize], dtype: DType) -> Result<Self> {
        Self::full(0.0, dims, dtype)
    }

    /// Ones on the CPU.
    ///
    /// # Errors
    /// Where memory runs out.
    pub fn ones(dims: &[usize], dtype: DType) -> Result<Self> {
        Self::full(1.0, dims, dtype)
    }

    /// `0, 1, …, len − 1` on the CPU.
    ///
    /// # Errors
    /// Where memory runs out.
    pub fn arange(len: usize, dtype: DType) -> Result<Self> {
        first(execute(&Arange { start: 0.0, step: 1.0, len, dtype }.into(), &[])?)
    }

    /// Random values on the CPU; the same for the same key everywhere.
    ///
    /// # Errors
    /// Where `dtype` is no float.
    pub fn random(distribution: Distribution, dims: &[usize], dtype: DType, key: Key) -> Result<Self> {
        Self::random_on(&cpu::device(), distribution, dims, dtype, key)
    }

    /// Random values on `device`; the same for the same key everywhere.
    ///
    /// # Errors
    /// Where `dtype` is no float.
    pub fn random_on(
        device: &Device,
        distribution: Distribution,
        dims: &[usize],
        dtype: DType,
        key: Key,
    ) -> Result<Self> {
        first(execute_on(device, &Random { dims: dims.into(), dtype, distribution, key }.into(), &[])?)
    }

    /// A tensor from its parts; the layout must lie within the buffer (backends call this).
    pub fn from_parts(buffer: Arc<dyn Buffer>, layout: Layout, dtype: DType) -> Self {
        assert!(
            layout.end().saturating_mul(dtype.size()) <= buffer.bytes(),
            "layout {layout:?} leaves its buffer"
        );
        Self { buffer, layout, dtype }
    }

    /// The same buffer seen through another layout, which must lie within it.
    pub(crate) fn with_layout(&self, layout: Layout) -> Self {
        Self::from_parts(self.buffer.clone(), layout, self.dtype)
    }

    /// The buffer.
    pub fn buffer(&self) -> &Arc<dyn Buffer> {
        &self.buffer
    }

    /// Where the elements lie in the buffer.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Size along each axis.
    pub fn dims(&self) -> &[usize] {
        self.layout.dims()
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Dims and dtype.
    pub fn meta(&self) -> Meta {
        Meta::new(Dims::from_slice(self.dims()), self.dtype)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.layout.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.layout.is_empty()
    }

    /// The device it lives on.
    pub fn device(&self) -> Device {
        self.buffer.device()
    }

    /// A copy on `device`, or a cheap clone where it already lives there.
    ///
    /// # Errors
    /// Where a device fails.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        if self.device().name() == device.name() {
            return Ok(self.clone());
        }
        let format = self.layout.preferred_format();
        let dense = self.to_format(format)?;
        let bytes = dense.dense_bytes()?;
        let buffer = device.upload(&bytes)?;
        Ok(Self::from_parts(buffer, Layout::dense(self.dims(), format), self.dtype))
    }

    /// A dense tensor of the same value in `format`; a cheap clone where it already is one.
    ///
    /// # Errors
    /// Where a device fails.
    pub fn to_format(&self, format: Format) -> Result<Self> {
        if self.layout.is_dense(format) {
            return Ok(self.clone());
        }
        first(execute(&crate::ops::Copy { format }.into(), &[self])?)
    }

    /// The sum of two tensors of the same dims and type, in the memory of this one if nobody else holds it; the same bits as by
    /// [`Ops::add`].
    ///
    /// # Errors
    /// As for [`Ops::add`].
    pub fn add_into(mut self, other: &Self) -> Result<Self> {
        let meta = self.meta();
        let memory = Arc::get_mut(&mut self.buffer).filter(|_| meta == other.meta());
        let memory = memory.and_then(|buffer| cpu::accumulate::writable(buffer, &self.layout, other));
        let Some(memory) = memory else { return self.add(other) };
        let run = || cpu::accumulate::add_in_place(memory, &self.layout, other);
        sampled(&Op::Binary(Binary::Add), &[other, other], &[meta], run)?;
        Ok(self)
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// Where the tensor holds another type than `T`, or the device fails.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if T::DTYPE != self.dtype {
            return Err(Error::Read { held: self.dtype, wanted: T::DTYPE });
        }
        let dense = self.to_format(Format::Contiguous)?.to_device(&cpu::device())?;
        Ok(cpu::slice::<T>(&dense)?.to_vec())
    }

    /// The elements in row-major order as f64, whatever the element type.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn to_f64_vec(&self) -> Result<Vec<f64>> {
        self.cast(DType::F64)?.to_vec()
    }

    /// The only element as f64.
    ///
    /// # Errors
    /// Where there is not exactly one element, or the device fails.
    pub fn item(&self) -> Result<f64> {
        match self.to_f64_vec()?[..] {
            [value] => Ok(value),
            ref other => {
                Err(Error::value("item", format!("wants one value, {} has {}", self.meta(), other.len())))
            }
        }
    }

    /// The bytes of a dense tensor, in memory order.
    fn dense_bytes(&self) -> Result<Vec<u8>> {
        let all = self.device().download(&*self.buffer)?;
        let start = self.layout.offset() * self.dtype.size();
        Ok(all[start..start + self.len() * self.dtype.size()].to_vec())
    }

    /// The elements as little-endian bytes in row-major order, as files store them.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.to_format(Format::Contiguous)?.dense_bytes()
    }

    /// A tensor on the CPU from little-endian bytes in row-major order.
    ///
    /// # Errors
    /// Where the number of bytes does not fit dims and dtype.
    pub fn from_bytes(bytes: &[u8], dims: &[usize], dtype: DType) -> Result<Self> {
        if bytes.len() != Meta::new(dims, dtype).bytes() {
            return Err(Error::Length { len: bytes.len() / dtype.size(), dims: dims.to_vec() });
        }
        let buffer = cpu::device().upload(bytes)?;
        Ok(Self::from_parts(buffer, Layout::contiguous(dims), dtype))
    }
}

impl Ops for Tensor {
    type Error = Error;

    fn apply(op: Op, ins: &[&Self]) -> Result<Outputs<Self>> {
        execute(&op, ins)
    }

    fn meta(&self) -> Meta {
        Tensor::meta(self)
    }

    fn device(&self) -> Device {
        Tensor::device(self)
    }

    fn constant(value: Tensor) -> Self {
        value
    }
}

/// The only result of an operation that has one.
fn first(outs: Outputs<Tensor>) -> Result<Tensor> {
    outs.into_iter().next().ok_or_else(|| Error::value("execute", "the operation has no result"))
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} on {}", self.meta(), self.device().name())?;
        if self.len() <= 16
            && let Ok(values) = self.to_f64_vec()
        {
            write!(f, ", {values:?}")?;
        }
        f.write_str(")")
    }
}

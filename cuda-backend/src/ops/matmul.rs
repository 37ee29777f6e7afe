//! Matrix products: cuBLASLt.

use tensor::{DType, Format, Layout, Meta, Tensor};

use super::{Run, address};
use crate::blas::{Epilogue, Matrix, Product};
use crate::error::{Error, Result};

pub(crate) fn matmul(run: &Run, a: &Tensor, b: &Tensor, out: &Meta) -> Result<Tensor> {
    let y = run.empty(&out.dims, out.dtype, Format::Contiguous)?;
    if y.is_empty() {
        return Ok(y);
    }
    let rank = out.dims.len();
    let (lead, m, n) = (&out.dims[..rank - 2], out.dims[rank - 2], out.dims[rank - 1]);
    let k = a.dims()[a.dims().len() - 1];
    if k == 0 {
        super::fill_zeros(run, &y)?;
        return Ok(y);
    }
    let batch: usize = lead.iter().product();
    let (at, pitch) = (address(&y)?, n);
    let result = Matrix { address: at, rows: m, columns: n, transposed: false, pitch, stride: m * n };
    let tf32 = out.dtype == DType::F32 && run.tf32();
    let blas = run.exec.gpu.blas()?;
    let product = |a, b| {
        blas.run(run.exec, &Product { a, b, y: result, batch, dtype: out.dtype, tf32, epilogue: None })
    };
    let (in_place_a, in_place_b) = (operand(run, a, lead, [m, k])?, operand(run, b, lead, [k, n])?);
    match product(in_place_a.0, in_place_b.0) {
        // There are fewer algorithms for views that start off vectors of elements than for tensors of their own.
        Err(Error::Unsupported { .. }) => {
            let (a, b) = (copied(run, a, lead, [m, k])?, copied(run, b, lead, [k, n])?);
            product(a.0, b.0)?;
        }
        other => other?,
    }
    Ok(y)
}

/// A 1×1 convolution as a product of pixels and weights, with what follows it in the same call; nothing where cuBLASLt does not
/// take it so. `x` and `weight` are channels-last.
pub(crate) fn pointwise_conv(
    run: &Run,
    [x, weight]: [&Tensor; 2],
    dims: &[usize],
    epilogue: Epilogue,
) -> Result<Option<Tensor>> {
    let (pixels, channels, filters) = (dims[0] * dims[2] * dims[3], x.dims()[1], dims[1]);
    if x.dtype() == DType::F64 {
        return Ok(None);
    }
    let y = run.empty(dims, x.dtype(), Format::ChannelsLast)?;
    let matrix = |t: &Tensor, rows, columns, transposed, pitch| -> Result<Matrix> {
        Ok(Matrix { address: address(t)?, rows, columns, transposed, pitch, stride: 0 })
    };
    let product = Product {
        a: matrix(x, pixels, channels, false, channels)?,
        b: matrix(weight, channels, filters, true, channels)?,
        y: matrix(&y, pixels, filters, false, filters)?,
        batch: 1,
        dtype: x.dtype(),
        tf32: x.dtype() == DType::F32 && run.tf32(),
        epilogue: Some(epilogue),
    };
    match run.exec.gpu.blas()?.run(run.exec, &product) {
        Ok(()) => Ok(Some(y)),
        Err(Error::Unsupported { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// An operand broadcast to the leading axes, as a strided batch; copied only where its strides can not say that. Returns the
/// tensor that holds the memory as well.
fn operand(run: &Run, t: &Tensor, lead: &[usize], [rows, columns]: [usize; 2]) -> Result<(Matrix, Tensor)> {
    let mut dims = lead.to_vec();
    dims.extend([rows, columns]);
    let view = t.layout().broadcast_to(&dims);
    if let Some(matrix) = strided(&view, lead, rows, columns) {
        return Ok((Matrix { address: address(t)?, ..matrix }, t.clone()));
    }
    copied(run, t, lead, [rows, columns])
}

/// A row-major copy of an operand broadcast to the leading axes.
fn copied(run: &Run, t: &Tensor, lead: &[usize], [rows, columns]: [usize; 2]) -> Result<(Matrix, Tensor)> {
    let mut dims = lead.to_vec();
    dims.extend([rows, columns]);
    let view = Tensor::from_parts(t.buffer().clone(), t.layout().broadcast_to(&dims), t.dtype());
    let dense = super::copy::copy(run, &tensor::ops::Copy { format: Format::Contiguous }, &view)?;
    let (address, pitch, stride) = (address(&dense)?, columns, rows * columns);
    Ok((Matrix { address, rows, columns, transposed: false, pitch, stride }, dense))
}

/// The view as a batch of matrices with one stride between them, each with rows or columns adjacent in memory.
fn strided(view: &Layout, lead: &[usize], rows: usize, columns: usize) -> Option<Matrix> {
    let strides = view.strides();
    let (row, column) = (strides[lead.len()], strides[lead.len() + 1]);
    let (transposed, pitch) = match () {
        () if (column == 1 || columns == 1) && (row >= columns || rows == 1) => (false, row.max(columns)),
        () if (row == 1 || rows == 1) && (column >= rows || columns == 1) => (true, column.max(rows)),
        () => return None,
    };
    // The leading axes have to be one axis.
    let mut stride = 0;
    let mut inner: Option<(usize, usize)> = None;
    for (&dim, &step) in lead.iter().zip(strides).rev().filter(|(dim, _)| **dim != 1) {
        match inner {
            None => (stride, inner) = (step, Some((dim, step))),
            Some((size, s)) if step == size * s => inner = Some((size * dim, s)),
            Some(_) => return None,
        }
    }
    Some(Matrix { address: 0, rows, columns, transposed, pitch, stride })
}

//! CPU kernel: one product for each pair of matrices, operands read where they lie.

use rayon::prelude::*;

use super::*;
use crate::{
    Element, Format, Layout, Outputs, Tensor,
    cpu::{
        dispatch_float,
        gemm::{MatRef, TASK_FLOPS, gemm},
        output,
        simd::Scalar,
        slice,
    },
};

impl MatMul {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        dispatch_float!(self.name(), ins[0].dtype(), T => run::<T>(ins, &outs[0].dims))
    }
}

fn run<T: Element + Scalar>(ins: &[&Tensor], out: &[usize]) -> Result<Outputs<Tensor>> {
    let (lead, matrix) = out.split_at(out.len() - 2);
    let (m, n) = (matrix[0], matrix[1]);
    let k = ins[0].dims()[ins[0].dims().len() - 1];
    let (a, b) = (Stack::<T>::new(ins[0], lead)?, Stack::<T>::new(ins[1], lead)?);
    let y = output(out, Format::Contiguous, |y: &mut [T]| {
        if m * n == 0 {
            return;
        }
        // A product that is one task by itself, as one summed over many rows, shares the threads with its neighbours.
        y.par_chunks_exact_mut(m * n)
            .with_min_len(TASK_FLOPS / (2 * m * n).saturating_mul(k).max(1))
            .enumerate()
            .for_each(|(i, y)| gemm(m, k, n, a.matrix(i), b.matrix(i), y));
    })?;
    Ok(smallvec::smallvec![y])
}

/// Matrices of one operand, its leading axes broadcast.
struct Stack<'a, T> {
    data: &'a [T],
    /// Layout over the leading axes and the two of the matrix, from offset 0.
    layout: Layout,
    lead: usize,
}

impl<'a, T: Element> Stack<'a, T> {
    fn new(x: &'a Tensor, lead: &[usize]) -> Result<Self> {
        let mut dims: crate::Dims = lead.into();
        dims.extend_from_slice(&x.dims()[x.dims().len() - 2..]);
        Ok(Self { data: slice::<T>(x)?, layout: x.layout().broadcast_to(&dims), lead: lead.len() })
    }

    /// The `i`-th matrix in row-major order of the leading axes.
    fn matrix(&self, mut i: usize) -> MatRef<'a, T> {
        let (dims, strides) = (self.layout.dims(), self.layout.strides());
        let mut start = 0;
        for axis in (0..self.lead).rev() {
            start += i % dims[axis] * strides[axis];
            i /= dims[axis];
        }
        let data = self.data.get(start..).unwrap_or(&[]);
        MatRef { data, row_step: strides[self.lead], column_step: strides[self.lead + 1] }
    }
}

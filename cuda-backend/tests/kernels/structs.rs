//! The structs that kernels take by value, as C lays them out.

use tensor::Layout;

use crate::host::Arg;

pub const MAX_RANK: usize = 8;

/// `Walk` of the preamble, without joined axes: kernels take it either way.
#[repr(C)]
pub struct Walk<const N: usize> {
    rank: i32,
    dims: [i32; MAX_RANK],
    steps: [[i64; MAX_RANK]; N],
}

impl<const N: usize> Arg for Walk<N> {}

impl<const N: usize> Walk<N> {
    /// Over `dims` from the outermost, with each operand's steps.
    pub fn new(dims: &[usize], steps: [&[usize]; N]) -> Self {
        let mut walk = Self { rank: dims.len() as i32, dims: [0; MAX_RANK], steps: [[0; MAX_RANK]; N] };
        for (axis, &dim) in dims.iter().enumerate() {
            walk.dims[axis] = dim as i32;
            for k in 0..N {
                walk.steps[k][axis] = steps[k][axis] as i64;
            }
        }
        walk
    }

    /// In row-major order of the dims that all operands have.
    pub fn over(operands: [&Layout; N]) -> Self {
        Self::new(operands[0].dims(), operands.map(Layout::strides))
    }
}

#[repr(C)]
#[derive(Default)]
pub struct Spans {
    pub rank: i32,
    pub dims: [i32; MAX_RANK],
    pub start: [i32; MAX_RANK],
    pub len: [i32; MAX_RANK],
    pub step: [i32; MAX_RANK],
    pub from: [i64; MAX_RANK],
}
impl Arg for Spans {}

#[repr(C)]
pub struct Operands {
    pub count: i32,
    pub width: [i32; 8],
    pub start: [i32; 8],
    pub data: [*mut u8; 8],
}
impl Arg for Operands {}

/// Of `copy_many`.
#[repr(C)]
pub struct Pair {
    pub from: *mut u8,
    pub to: *mut u8,
    pub bytes: i64,
}

/// n, c, h, w, oh, ow, kernel, stride, padding.
#[repr(C)]
pub struct Pool(pub [i32; 12]);
impl Arg for Pool {}

#[repr(C)]
pub struct Resize {
    pub sizes: [i32; 6],
    pub bilinear: i32,
    pub align_corners: i32,
    pub scale: [f64; 2],
}
impl Arg for Resize {}

/// n, c, h, w, k, oh, ow, kernel, stride, padding, dilation, groups; steps of the weight.
#[repr(C)]
pub struct Conv {
    pub sizes: [i32; 16],
    pub steps: [i64; 4],
}
impl Arg for Conv {}

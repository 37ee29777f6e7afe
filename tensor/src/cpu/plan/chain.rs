//! Pointwise operations block by block: a block of the operand is copied to its place in the result, and all operations are
//! done to it there while it is in the first-level cache.

use rayon::prelude::*;

use super::arena::Memory;
use crate::{
    DType, Format, Op, Ops, Result, Tensor,
    cpu::dispatch::vectorized,
    graph::{ChainStep, Graph, Link, Node, Step, ValueId},
    ops::{
        BatchNormApply, Binary, Unary,
        pointwise::table::{VisitBinary, VisitUnary},
    },
};

/// Numbers that are worked on at once.
const BLOCK: usize = 1 << 12;

/// Numbers worth a task of their own.
const TASK: usize = 1 << 14;

/// A chain whose known operands are in place.
pub(super) struct PreparedChain {
    x: ValueId,
    links: Vec<Prepared>,
    /// Numbers of an image and of a pixel.
    image: usize,
    pixel: usize,
}

/// What is done to a block.
enum Prepared {
    Unary(Unary),
    /// With another operand, which is the first one if `swapped`.
    Binary {
        op: Binary,
        other: Other,
        swapped: bool,
    },
    /// Scale and shift of each channel.
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
}

/// The other operand of a binary operation.
enum Other {
    /// The running value itself.
    Same,
    /// A value of the result's dims.
    Whole(ValueId),
    /// Known numbers for each channel of a pixel.
    Known(Vec<f32>),
    /// Numbers for each channel, and for each image if this is so.
    Channels(ValueId, bool),
}

impl PreparedChain {
    /// The step, if it is a chain, or one operation that could be part of one, whose operands have a form that is known here.
    pub fn new(graph: &Graph, node: &Node) -> Result<Option<Self>> {
        let out = graph.meta(node.outs[0]);
        let single;
        let chain = match &node.step {
            Step::Chain(chain) => chain,
            Step::Op { op: op @ (Op::Unary(_) | Op::Binary(_) | Op::BatchNormApply(_)), ins } => {
                let Some(&x) =
                    ins.iter().find(|&&id| graph.meta(id) == out && graph.constant_of(id).is_none())
                else {
                    return Ok(None);
                };
                let ins = ins.iter().map(|&id| (id != x).then_some(id)).collect();
                single = ChainStep { x, links: vec![Link { op: op.clone(), ins }] };
                &single
            }
            _ => return Ok(None),
        };
        if out.dtype != DType::F32 || out.is_empty() || graph.constant_of(chain.x).is_some() {
            return Ok(None);
        }
        // Images are stored channels-last, all else row-major.
        let (images, pixel) = match out.dims[..] {
            [n, c, _, _] => (n, c),
            _ => (1, out.dims.last().copied().unwrap_or(1)),
        };
        let mut links = Vec::new();
        for link in &chain.links {
            match prepare(graph, link, &out.dims)? {
                Some(prepared) => links.extend(prepared),
                None => return Ok(None),
            }
        }
        Ok(Some(Self { x: chain.x, links, image: out.len() / images, pixel }))
    }

    pub fn run(&self, memory: &Memory<'_>, out: ValueId) -> Result<()> {
        // SAFETY: operands were made by earlier steps, and the result is this step's own.
        let read = |id| unsafe { memory.read::<f32>(id) };
        let x = read(self.x)?;
        // SAFETY: as above.
        let y = unsafe { memory.write::<f32>(out)? };
        let links = self.links.iter().map(|link| Ready::new(link, read)).collect::<Result<Vec<_>>>()?;
        let block = (BLOCK / self.pixel).max(1) * self.pixel;
        let tasks = (TASK / block).max(1);
        y.par_chunks_mut(self.image).zip(x.par_chunks(self.image)).enumerate().for_each(|(n, (y, x))| {
            let blocks = y.par_chunks_mut(block).zip(x.par_chunks(block)).enumerate().with_min_len(tasks);
            blocks.for_each(|(i, (y, x))| {
                y.copy_from_slice(x);
                for link in &links {
                    link.apply(y, n, n * self.image + i * block, self.pixel);
                }
            });
        });
        Ok(())
    }
}

/// A link in a form that blocks can be given to, if its other operands have one.
fn prepare(graph: &Graph, link: &Link, dims: &[usize]) -> Result<Option<Vec<Prepared>>> {
    Ok(match &link.op {
        Op::Unary(op) => Some(vec![Prepared::Unary(*op)]),
        Op::Binary(op) => {
            let swapped = link.ins[0].is_some();
            let other = match link.ins[usize::from(!swapped)] {
                None => Some(Other::Same),
                Some(id) => other(graph, id, dims)?,
            };
            other.map(|other| vec![Prepared::Binary { op: *op, other, swapped }])
        }
        Op::BatchNormApply(BatchNormApply { eps, relu }) => {
            let known: Option<Vec<&Tensor>> =
                link.ins[1..].iter().map(|id| id.and_then(|id| graph.constant_of(id))).collect();
            let Some([mean, variance, gamma, beta]) = known.as_deref() else { return Ok(None) };
            let scale = gamma.div(&variance.add_scalar(*eps)?.sqrt()?)?;
            let shift = beta.sub(&mean.mul(&scale)?)?;
            let affine = Prepared::Affine { scale: scale.to_vec()?, shift: shift.to_vec()? };
            Some(if *relu { vec![affine, Prepared::Unary(Unary::Relu)] } else { vec![affine] })
        }
        _ => None,
    })
}

/// How the value takes part, if it is one for each number, for each channel or for all.
fn other(graph: &Graph, id: ValueId, dims: &[usize]) -> Result<Option<Other>> {
    let meta = graph.meta(id);
    let aligned = |axis: usize| (axis + meta.rank()).checked_sub(dims.len()).map_or(1, |i| meta.dims[i]);
    let (channel, image) = if dims.len() == 4 { (1, Some(0)) } else { (dims.len().saturating_sub(1), None) };
    let flat = (0..dims.len()).all(|axis| axis == channel || Some(axis) == image || aligned(axis) == 1);
    let each = image.is_some_and(|image| aligned(image) != 1);
    let channels = if dims.is_empty() { 1 } else { dims[channel] };
    Ok(match graph.constant_of(id) {
        Some(known) if flat && !each => {
            let numbers = known.to_format(Format::Contiguous)?.to_vec::<f32>()?;
            let repeated = if numbers.len() == 1 { vec![numbers[0]; channels] } else { numbers };
            Some(Other::Known(repeated))
        }
        Some(_) => None,
        None if meta.dims[..] == *dims => Some(Other::Whole(id)),
        None if flat && meta.len() / if each { dims[0] } else { 1 } == channels => {
            Some(Other::Channels(id, each))
        }
        None => None,
    })
}

/// A link with its operands in this run.
enum Ready<'a> {
    Unary(Unary),
    Same(Binary),
    Whole(Binary, &'a [f32], bool),
    /// Numbers for the channels, and those from one image to the next.
    Channels(Binary, &'a [f32], usize, bool),
    Affine(&'a [f32], &'a [f32]),
}

impl<'a> Ready<'a> {
    fn new(link: &'a Prepared, read: impl Fn(ValueId) -> Result<&'a [f32]>) -> Result<Self> {
        Ok(match link {
            Prepared::Unary(op) => Self::Unary(*op),
            Prepared::Affine { scale, shift } => Self::Affine(scale, shift),
            &Prepared::Binary { op, ref other, swapped } => match other {
                Other::Same => Self::Same(op),
                Other::Whole(id) => Self::Whole(op, read(*id)?, swapped),
                Other::Known(numbers) => Self::Channels(op, numbers, 0, swapped),
                Other::Channels(id, each) => {
                    let numbers = read(*id)?;
                    Self::Channels(op, numbers, if *each { 1 } else { 0 }, swapped)
                }
            },
        })
    }

    /// On a block of image `n` that starts at number `at` of all images.
    fn apply(&self, y: &mut [f32], n: usize, at: usize, pixel: usize) {
        match *self {
            Self::Unary(op) => op.visit(Each(y)),
            Self::Same(op) => op.visit(Twice(y)),
            Self::Whole(op, other, swapped) => {
                op.visit(With { y, other: &other[at..], pixel: usize::MAX, swapped });
            }
            Self::Channels(op, other, each, swapped) => {
                op.visit(With { y, other: &other[each * n * pixel..][..pixel], pixel, swapped });
            }
            Self::Affine(scale, shift) => affine::<f32>(y, scale, shift),
        }
    }
}

vectorized! {
    fn each<F: Fn(f32) -> f32>(y: &mut [f32], f: F) {
        y.iter_mut().for_each(|y| *y = f(*y));
    }

    /// `f` with the numbers of each pixel.
    fn with<F: Fn(f32, f32) -> f32>(y: &mut [f32], other: &[f32], pixel: usize, f: F) {
        for y in y.chunks_mut(pixel) {
            y.iter_mut().zip(other).for_each(|(y, &other)| *y = f(*y, other));
        }
    }

    fn affine<T: num_traits::Float>(y: &mut [T], scale: &[T], shift: &[T]) {
        for y in y.chunks_exact_mut(scale.len()) {
            for ((y, &scale), &shift) in y.iter_mut().zip(scale).zip(shift) {
                *y = *y * scale + shift;
            }
        }
    }
}

struct Each<'a>(&'a mut [f32]);

impl VisitUnary<f32, ()> for Each<'_> {
    fn visit(self, f: impl Fn(f32) -> f32 + Send + Sync + Copy) {
        each(self.0, f);
    }
}

struct Twice<'a>(&'a mut [f32]);

impl VisitBinary<f32, f32, ()> for Twice<'_> {
    fn visit(self, f: impl Fn(f32, f32) -> f32 + Send + Sync + Copy) {
        each(self.0, |y| f(y, y));
    }
}

struct With<'a> {
    y: &'a mut [f32],
    other: &'a [f32],
    pixel: usize,
    swapped: bool,
}

impl VisitBinary<f32, f32, ()> for With<'_> {
    fn visit(self, f: impl Fn(f32, f32) -> f32 + Send + Sync + Copy) {
        if self.swapped {
            with(self.y, self.other, self.pixel, |y, other| f(other, y));
        } else {
            with(self.y, self.other, self.pixel, f);
        }
    }
}

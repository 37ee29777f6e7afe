//! Convolution over NHWC images: forward, data gradient (which is also transposed convolution) and weight gradient.
//!
//! Everything is slices in, slices out, for `f32` and `f64`, any kernel size, stride, padding, dilation and groups, with a
//! dedicated path for depthwise filters. `direct.rs` drives the passes that produce pixels (`taps.rs`: what their tiles read,
//! `stage.rs`: where it goes), `weight_gradient.rs` the one that produces weights; both cut the work by geometry alone, so
//! results are the same bits for any number of threads.

pub(crate) mod bf16;
mod direct;
mod epilogue;
mod fold;
mod geometry;
mod labels;
mod pack;
mod stage;
mod taps;
#[cfg(test)]
mod tests;
mod weight_gradient;
mod winograd;

pub use bf16::Engine as Bf16Engine;
pub(crate) use direct::Bytes;
pub(crate) use epilogue::{After, Pointwise};
pub use epilogue::{Epilogue, Residual};
pub(crate) use fold::Fold;
pub use geometry::ConvGeometry;
pub use pack::{Direction, PackedWeights};
pub use weight_gradient::weight_gradient;
pub(crate) use weight_gradient::weight_gradient_of;

use super::simd::buffer::with_scratch;
use super::simd::{Isa, Scalar};
use direct::{Job, Plane};
use pack::PackLayout;
use winograd::{Part, PartJob};

/// Some channels of an NHWC image.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a, T> {
    /// The image.
    pub data: &'a [T],
    /// Channels of each pixel of the image.
    pub pitch: usize,
    /// First channel that is read.
    pub start: usize,
    /// Number of channels that are read.
    pub len: usize,
}

impl<'a, T> Source<'a, T> {
    /// The channels of one pixel.
    #[inline]
    pub(crate) fn pixel(&self, i: usize) -> &'a [T] {
        &self.data[i * self.pitch + self.start..][..self.len]
    }

    /// Whether there are as many pixels as `len` numbers of the channels that are read make up.
    fn holds(&self, len: usize) -> bool {
        self.start + self.len <= self.pitch && self.data.len() * self.len == len * self.pitch
    }
}

/// A pointer that tasks share to write disjoint parts of one slice.
#[derive(Clone, Copy)]
pub(crate) struct Shared<T>(pub *mut T);

// SAFETY: users write disjoint elements from each thread, within a borrow of the whole slice.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

/// Convolution: `y = epilogue(x ⋆ weights)`.
///
/// `x` is `[batch, in_h, in_w, c_in]`, `weights` `[c_out, c_in / groups, kernel_h, kernel_w]`, `y` `[batch, out_h, out_w,
/// c_out]`, all contiguous. Packs the weights first; [`forward_packed`] saves that where they are used again.
///
/// # Panics
/// If a slice's length does not fit the geometry, or `groups` does not divide the channels.
pub fn forward<T: Scalar>(
    geometry: &ConvGeometry,
    x: &[T],
    weights: &[T],
    epilogue: Epilogue<'_, T>,
    y: &mut [T],
) {
    once(geometry, Direction::Forward, whole(x, geometry.c_in), weights, epilogue, y);
}

/// [`forward`] with weights packed before.
///
/// # Panics
/// If a slice's length does not fit the geometry, or the weights were packed for other channels, taps or direction.
pub fn forward_packed<T: Scalar>(
    geometry: &ConvGeometry,
    x: &[T],
    weights: &PackedWeights<T>,
    epilogue: Epilogue<'_, T>,
    y: &mut [T],
) {
    assert_eq!(weights.direction(), Direction::Forward, "weights packed for the other direction");
    run_packed(geometry, &[whole(x, geometry.c_in)], weights, epilogue, After::Store, y);
}

/// Gradient of [`forward`] with respect to `x`, and with that the forward pass of transposed convolution:
/// `gx = epilogue(gy ⋆ᵀ weights)`.
///
/// `gy` is `[batch, out_h, out_w, c_out]`, `gx` `[batch, in_h, in_w, c_in]`, `weights` as in [`forward`]: `geometry` is that of
/// the convolution whose gradient this is (the input of the transposed convolution is its output, and output padding is an
/// `in_h` or `in_w` larger than the smallest that fits).
///
/// # Panics
/// As [`forward`].
pub fn input_gradient<T: Scalar>(
    geometry: &ConvGeometry,
    gy: &[T],
    weights: &[T],
    epilogue: Epilogue<'_, T>,
    gx: &mut [T],
) {
    once(geometry, Direction::InputGradient, whole(gy, geometry.c_out), weights, epilogue, gx);
}

/// [`input_gradient`] with weights packed before.
///
/// # Panics
/// As [`forward_packed`].
pub fn input_gradient_packed<T: Scalar>(
    geometry: &ConvGeometry,
    gy: &[T],
    weights: &PackedWeights<T>,
    epilogue: Epilogue<'_, T>,
    gx: &mut [T],
) {
    assert_eq!(weights.direction(), Direction::InputGradient, "weights packed for the other direction");
    run_packed(geometry, &[whole(gy, geometry.c_out)], weights, epilogue, After::Store, gx);
}

/// One convolution, or transposed one, of the channels of a source with weights packed into scratch.
pub(crate) fn once<T: Scalar>(
    geometry: &ConvGeometry,
    direction: Direction,
    from: Source<'_, T>,
    weights: &[T],
    epilogue: Epilogue<'_, T>,
    to: &mut [T],
) {
    assert_eq!(weights.len(), geometry.weight_len(), "weights do not fit the geometry {geometry:?}");
    let isa = Isa::current();
    let pack = |geometry: &ConvGeometry, weights: &[T], f: &mut dyn FnMut(&PackLayout, &[T])| {
        let layout = PackLayout::new(T::kernels(isa), geometry, direction);
        with_scratch(layout.len(), |packed| {
            layout.pack(weights, packed);
            f(&layout, packed);
        });
    };
    if let Some([part]) = winograd::best::<T>(geometry, true, 1.0).as_deref() {
        let layout = PackLayout::new(T::kernels(isa), &part.form.packing(geometry), direction);
        with_scratch(layout.len(), |packed| {
            winograd::pack(part.form, &layout, weights, packed);
            let parts = [PartJob { part, layout: &layout, packed }];
            run_winograd(&parts, geometry, isa, from, epilogue, After::Store, to);
        });
    } else if let Some(fold) = Fold::of(geometry, direction).filter(|_| !epilogue.unpools()) {
        let bias = epilogue.bias.map(|bias| fold.repeat(bias));
        let epilogue = Epilogue { bias: bias.as_deref(), ..epilogue };
        with_scratch(weights.len(), |folded| {
            fold.weights(weights, folded);
            pack(&fold.geometry, folded, &mut |layout, packed| {
                run(&fold.geometry, fold.by, layout, packed, isa, &[from], None, epilogue, After::Store, to);
            });
        });
    } else {
        pack(geometry, weights, &mut |layout, packed| {
            run(geometry, 1, layout, packed, isa, &[from], None, epilogue, After::Store, to);
        });
    }
}

/// An image that is read as a whole.
fn whole<T>(data: &[T], channels: usize) -> Source<'_, T> {
    Source { data, pitch: channels, start: 0, len: channels }
}

/// Convolution or transposed convolution (as the weights' direction says) of channels that may lie in several images, with
/// all that can follow it. Several sources exclude groups.
///
/// # Panics
/// If a slice's length does not fit the geometry, or the weights were packed for other channels or taps.
pub(crate) fn run_packed<T: Scalar>(
    geometry: &ConvGeometry,
    sources: &[Source<'_, T>],
    weights: &PackedWeights<T>,
    epilogue: Epilogue<'_, T>,
    after: After<'_, T>,
    to: &mut [T],
) {
    run(geometry, 1, &weights.layout, &weights.data, weights.isa, sources, None, epilogue, after, to);
}

/// [`run_packed`] on an image of bytes and the numbers that they stand for, weights packed for the forward direction.
///
/// # Panics
/// As [`run_packed`].
pub(crate) fn run_bytes<T: Scalar>(
    geometry: &ConvGeometry,
    bytes: Bytes<'_, T>,
    weights: &PackedWeights<T>,
    epilogue: Epilogue<'_, T>,
    after: After<'_, T>,
    to: &mut [T],
) {
    let source = [whole(&[], geometry.c_in)];
    run(geometry, 1, &weights.layout, &weights.data, weights.isa, &source, Some(bytes), epilogue, after, to);
}

/// Weights prepared for the fastest way to do one convolution with them many times.
pub(crate) enum Prepared<T: Scalar> {
    /// The direct sum.
    Direct(PackedWeights<T>),
    /// The direct sum over several pixels of the result at once.
    Folded(Fold, PackedWeights<T>),
    /// Winograd's tiles, with weights for each of their forms.
    Winograd(Vec<(Part, PackedWeights<T>)>),
}

impl<T: Scalar> Prepared<T> {
    /// Chooses by the geometry; `alone` says that the input channels lie in one image, and that pixels are stored (no labels);
    /// `last` that nothing but a bias, a ReLU and the choice of labels follows.
    pub fn new(
        geometry: &ConvGeometry,
        direction: Direction,
        weights: &[T],
        alone: bool,
        last: bool,
    ) -> Self {
        assert_eq!(weights.len(), geometry.weight_len(), "weights do not fit the geometry {geometry:?}");
        if let Some(parts) = winograd::best::<T>(geometry, false, 1.0).filter(|_| alone) {
            return Self::winograd(parts, geometry, direction, weights);
        }
        if let Some(fold) = Fold::of(geometry, direction).filter(|_| last) {
            let mut folded = vec![T::zero(); weights.len()];
            fold.weights(weights, &mut folded);
            return Self::Folded(fold, PackedWeights::new(&fold.geometry, direction, &folded));
        }
        Self::Direct(PackedWeights::new(geometry, direction, weights))
    }

    /// As [`run_packed`], for the geometry that the weights were prepared for.
    pub fn run(
        &self,
        geometry: &ConvGeometry,
        sources: &[Source<'_, T>],
        epilogue: Epilogue<'_, T>,
        after: After<'_, T>,
        to: &mut [T],
    ) {
        match self {
            Self::Direct(weights) => run_packed(geometry, sources, weights, epilogue, after, to),
            Self::Folded(fold, weights) => {
                let bias = epilogue.bias.map(|bias| fold.repeat(bias));
                let epilogue = Epilogue { bias: bias.as_deref(), ..epilogue };
                let PackedWeights { layout, data, isa } = weights;
                run(&fold.geometry, fold.by, layout, data, *isa, sources, None, epilogue, after, to);
            }
            Self::Winograd(parts) => {
                let ([source], [(_, first), ..]) = (sources, &parts[..]) else {
                    unreachable!("prepared for one source, and at least one tile")
                };
                let jobs: Vec<PartJob<'_, T>> = parts
                    .iter()
                    .map(|(part, weights)| PartJob { part, layout: &weights.layout, packed: &weights.data })
                    .collect();
                run_winograd(&jobs, geometry, first.isa, *source, epilogue, after, to);
            }
        }
    }

    /// For Winograd's tiles, whether they pay or not.
    fn winograd(parts: Vec<Part>, geometry: &ConvGeometry, direction: Direction, weights: &[T]) -> Self {
        let pack = |part: Part| {
            let packed = PackedWeights::transformed(part.form, geometry, direction, weights);
            (part, packed)
        };
        Self::Winograd(parts.into_iter().map(pack).collect())
    }
}

fn run_winograd<T: Scalar>(
    parts: &[PartJob<'_, T>],
    geometry: &ConvGeometry,
    isa: Isa,
    source: Source<'_, T>,
    epilogue: Epilogue<'_, T>,
    after: After<'_, T>,
    to: &mut [T],
) {
    let kernels = T::kernels(isa);
    let Some(transforms) = &kernels.winograd else { unreachable!("chosen where there are transforms") };
    let job = winograd::WinogradJob {
        kernels,
        transforms,
        parts,
        batch: geometry.batch,
        dilation: geometry.dilation[0],
        source,
        size: [geometry.out_h, geometry.out_w],
        epilogue,
        after,
    };
    job.run(to);
}

/// Runs the direct sum; pixels of the result hold those of `fold` neighbours.
fn run<T: Scalar>(
    geometry: &ConvGeometry,
    fold: usize,
    layout: &PackLayout,
    packed: &[T],
    isa: Isa,
    sources: &[Source<'_, T>],
    bytes: Option<Bytes<'_, T>>,
    epilogue: Epilogue<'_, T>,
    after: After<'_, T>,
    to: &mut [T],
) {
    geometry.check();
    let kernels = T::kernels(isa);
    let wanted = PackLayout::new(kernels, geometry, layout.direction);
    let fits = |l: &PackLayout| (l.groups, l.taps, l.depth, l.channels);
    assert_eq!(fits(layout), fits(&wanted), "weights were packed for another convolution than {geometry:?}");
    let input = Plane { h: geometry.in_h, w: geometry.in_w, pitch: geometry.c_in };
    let output = Plane { h: geometry.out_h, w: geometry.out_w, pitch: geometry.c_out };
    let (source, sink) = match layout.direction {
        Direction::Forward => (input, output),
        Direction::InputGradient => (output, input),
    };
    assert_eq!(sources.iter().map(|s| s.len).sum::<usize>(), source.pitch, "channels of {geometry:?}");
    assert!(epilogue.bias.is_none_or(|b| b.len() == sink.pitch), "bias length does not fit {geometry:?}");
    let axis = |axis| match layout.direction {
        Direction::Forward => geometry.forward_axis(axis),
        Direction::InputGradient => geometry.gradient_axis(axis),
    };
    let mut job = Job {
        kernels,
        layout,
        packed,
        depthwise: geometry.is_depthwise(),
        batch: geometry.batch,
        sources,
        bytes,
        source: [source.h, source.w],
        sink,
        rows: axis(0),
        columns: axis(1),
        kernel_w: geometry.kernel[1],
        fold,
        epilogue,
        after,
    };
    if is_pointwise(geometry) && !epilogue.unpools() && bytes.is_none() {
        // Rows do not matter: one long row lets tiles and tasks be cut anywhere.
        let pixels = geometry.batch * geometry.in_h * geometry.in_w;
        let flat = ConvGeometry { batch: 1, in_h: 1, in_w: pixels, out_h: 1, out_w: pixels, ..*geometry };
        job.batch = 1;
        (job.source, job.sink.h, job.sink.w) = ([1, pixels], 1, pixels);
        (job.rows, job.columns) = (flat.forward_axis(0), flat.forward_axis(1));
    }
    job.run(to);
}

/// Whether the convolution is a matrix product over pixels.
fn is_pointwise(g: &ConvGeometry) -> bool {
    g.kernel == [1, 1] && g.stride == [1, 1] && g.padding == [0, 0] && (g.in_h, g.in_w) == (g.out_h, g.out_w)
}

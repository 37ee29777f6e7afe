//! The operations as methods, once for every kind of value that can apply an [`Op`].

use smallvec::SmallVec;

use crate::{Cost, DType, Device, Dims, Error, Format, Meta, Op, Tensor, ops::*, tensor::Outputs};

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $name:ident => $op:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// Where the element type is not taken.
        fn $name(&self) -> Result<Self, Self::Error> {
            Self::apply1($op.into(), &[self])
        }
    )*};
}

macro_rules! scalar_methods {
    ($($(#[$doc:meta])* $name:ident => $op:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// Where the element type is not taken.
        fn $name(&self, p: f64) -> Result<Self, Self::Error> {
            Self::apply1($op(p).into(), &[self])
        }
    )*};
}

macro_rules! binary_methods {
    ($($(#[$doc:meta])* $name:ident => $op:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// Where the operands do not broadcast or differ in type.
        fn $name(&self, other: &Self) -> Result<Self, Self::Error> {
            Self::apply1($op.into(), &[self, other])
        }
    )*};
}

/// A value that operations apply to: a tensor, or a variable recorded on a tape.
///
/// Every method is an [`Op`] applied through [`Ops::apply`]; shape errors come from the operation's own rule.
pub trait Ops: Clone + Sized {
    /// What applying can fail with.
    type Error: From<Error>;

    /// Applies `op`.
    ///
    /// # Errors
    /// A broken shape rule, or what the device reports.
    fn apply(op: Op, ins: &[&Self]) -> Result<Outputs<Self>, Self::Error>;

    /// Dims and dtype.
    fn meta(&self) -> Meta;

    /// The device it lives on.
    fn device(&self) -> Device;

    /// A plain tensor as a value of this kind.
    fn constant(value: Tensor) -> Self;

    /// Applies an operation with one result.
    ///
    /// # Errors
    /// A broken shape rule, or what the device reports.
    fn apply1(op: Op, ins: &[&Self]) -> Result<Self, Self::Error> {
        let mut outs = Self::apply(op, ins)?.into_iter();
        outs.next().ok_or_else(|| Error::value("apply", "the operation has no result").into())
    }

    /// Size of `axis`.
    ///
    /// # Errors
    /// Where there is no such axis.
    fn dim(&self, axis: usize) -> Result<usize, Self::Error> {
        let meta = self.meta();
        let size = meta.dims.get(axis).copied();
        size.ok_or_else(|| Error::shape("dim", &[meta], format!("there is no axis {axis}")).into())
    }

    unary_methods! {
        /// −x.
        neg => Unary::Neg;
        /// |x|.
        abs => Unary::Abs;
        /// −1, 0 or 1 by the sign of x.
        sign => Unary::Sign;
        /// 1 where x > 0, else 0.
        step => Unary::Step;
        /// eˣ.
        exp => Unary::Exp;
        /// eˣ − 1.
        exp_m1 => Unary::ExpM1;
        /// ln x.
        log => Unary::Log;
        /// ln(1 + x).
        log1p => Unary::Log1p;
        /// √x.
        sqrt => Unary::Sqrt;
        /// x².
        square => Unary::Square;
        /// 1/x.
        recip => Unary::Recip;
        /// sin x.
        sin => Unary::Sin;
        /// cos x.
        cos => Unary::Cos;
        /// tanh x.
        tanh => Unary::Tanh;
        /// 1/(1 + e⁻ˣ).
        sigmoid => Unary::Sigmoid;
        /// ln(1 + eˣ).
        softplus => Unary::Softplus;
        /// max(x, 0).
        relu => Unary::Relu;
        /// x limited to 0..6.
        relu6 => Unary::Clamp(0.0, 6.0);
        /// ⌊x⌋.
        floor => Unary::Floor;
        /// x rounded, halves away from zero.
        round => Unary::Round;
    }

    scalar_methods! {
        /// x where positive, else p·x.
        leaky_relu => Unary::LeakyRelu;
        /// x + p.
        add_scalar => Unary::AddScalar;
        /// p·x; of integers, p is truncated to one first.
        mul_scalar => Unary::MulScalar;
        /// xᵖ.
        pow_scalar => Unary::PowScalar;
    }

    binary_methods! {
        /// x + y.
        add => Binary::Add;
        /// x − y.
        sub => Binary::Sub;
        /// x·y.
        mul => Binary::Mul;
        /// x/y.
        div => Binary::Div;
        /// xʸ.
        pow => Binary::Pow;
        /// The larger.
        maximum => Binary::Maximum;
        /// The smaller.
        minimum => Binary::Minimum;
        /// x where positive, else slope·x.
        prelu => Binary::Prelu;
        /// `other` where x > 0, else 0.
        relu_grad => Binary::ReluGrad;
        /// x = y, as u8.
        equal => Compare::Equal;
        /// x ≠ y, as u8.
        not_equal => Compare::NotEqual;
        /// x < y, as u8.
        less => Compare::Less;
        /// x ≤ y, as u8.
        less_equal => Compare::LessEqual;
        /// x > y, as u8.
        greater => Compare::Greater;
        /// x ≥ y, as u8.
        greater_equal => Compare::GreaterEqual;
        /// Matrix product over the last two axes.
        matmul => MatMul;
    }

    /// x limited to `low..high`.
    ///
    /// # Errors
    /// Where the device fails.
    fn clamp(&self, low: f64, high: f64) -> Result<Self, Self::Error> {
        Self::apply1(Unary::Clamp(low, high).into(), &[self])
    }

    /// `self ? a : b` for a u8 `self`.
    ///
    /// # Errors
    /// Where operands do not broadcast, or types do not fit.
    fn select(&self, a: &Self, b: &Self) -> Result<Self, Self::Error> {
        Self::apply1(Select.into(), &[self, a, b])
    }

    /// Another element type; a clone where it is that already.
    ///
    /// # Errors
    /// Where the device fails.
    fn cast(&self, dtype: DType) -> Result<Self, Self::Error> {
        if self.meta().dtype == dtype {
            return Ok(self.clone());
        }
        Self::apply1(Cast { dtype }.into(), &[self])
    }

    /// A dense copy in `format`.
    ///
    /// # Errors
    /// Where the device fails.
    fn copy(&self, format: Format) -> Result<Self, Self::Error> {
        Self::apply1(Copy { format }.into(), &[self])
    }

    /// A constant of `dims` with the element type and device of `self`.
    ///
    /// # Errors
    /// Where memory runs out.
    fn full_like(&self, value: f64, dims: &[usize]) -> Result<Self, Self::Error> {
        Ok(Self::constant(Tensor::full_on(&self.device(), value, dims, self.meta().dtype)?))
    }

    /// The same elements, in row-major order, with other dims.
    ///
    /// # Errors
    /// Where the number of elements differs.
    fn reshape(&self, dims: &[usize]) -> Result<Self, Self::Error> {
        Self::apply1(Reshape { dims: dims.into() }.into(), &[self])
    }

    /// Axes `from..=to` joined into one.
    ///
    /// # Errors
    /// Where there are no such axes.
    fn flatten(&self, from: usize, to: usize) -> Result<Self, Self::Error> {
        let meta = self.meta();
        if from > to || to >= meta.rank() {
            return Err(Error::shape("flatten", &[meta], format!("there are no axes {from}..={to}")).into());
        }
        let mut dims = Dims::from_slice(&meta.dims[..from]);
        dims.push(meta.dims[from..=to].iter().product());
        dims.extend_from_slice(&meta.dims[to + 1..]);
        self.reshape(&dims)
    }

    /// Axes reordered: axis `i` of the result is axis `axes[i]`.
    ///
    /// # Errors
    /// Where `axes` is no permutation.
    fn permute(&self, axes: &[usize]) -> Result<Self, Self::Error> {
        Self::apply1(Permute { axes: axes.into() }.into(), &[self])
    }

    /// Two axes exchanged.
    ///
    /// # Errors
    /// Where there are no such axes.
    fn transpose(&self, a: usize, b: usize) -> Result<Self, Self::Error> {
        let meta = self.meta();
        if a.max(b) >= meta.rank() {
            return Err(Error::shape("transpose", &[meta], format!("there are no axes {a} and {b}")).into());
        }
        let mut axes: Dims = (0..meta.rank()).collect();
        axes.swap(a, b);
        self.permute(&axes)
    }

    /// Axes of size 1, and new leading axes, repeated.
    ///
    /// # Errors
    /// Where the dims do not fit.
    fn broadcast_to(&self, dims: &[usize]) -> Result<Self, Self::Error> {
        Self::apply1(BroadcastTo { dims: dims.into() }.into(), &[self])
    }

    /// `len` elements along `axis` from `start`, the other axes whole.
    ///
    /// # Errors
    /// Where they leave the axis.
    fn narrow(&self, axis: usize, start: usize, len: usize) -> Result<Self, Self::Error> {
        let meta = self.meta();
        let Some(slice) = Slice::along(&meta.dims, axis, start, len) else {
            return Err(Error::shape("slice", &[meta], format!("there is no axis {axis}")).into());
        };
        Self::apply1(slice.into(), &[self])
    }

    /// A strided window, one span for each axis.
    ///
    /// # Errors
    /// Where a span leaves its axis.
    fn slice(&self, spans: &[Span]) -> Result<Self, Self::Error> {
        Self::apply1(Slice { spans: SmallVec::from_slice(spans) }.into(), &[self])
    }

    /// Cut along `axis` into pieces of the given sizes, which must add up to the axis.
    ///
    /// # Errors
    /// Where they do not.
    fn split(&self, sizes: &[usize], axis: usize) -> Result<Vec<Self>, Self::Error> {
        let meta = self.meta();
        if meta.dims.get(axis) != Some(&sizes.iter().sum()) {
            let rule = format!("pieces {sizes:?} do not add up to axis {axis}");
            return Err(Error::shape("split", &[meta], rule).into());
        }
        let mut start = 0;
        sizes
            .iter()
            .map(|&len| {
                start += len;
                self.narrow(axis, start - len, len)
            })
            .collect()
    }

    /// Operands joined along `axis`.
    ///
    /// # Errors
    /// Where their other dims differ.
    fn cat(parts: &[&Self], axis: usize) -> Result<Self, Self::Error> {
        Self::apply1(Cat { axis }.into(), parts)
    }

    /// Elements picked along `axis` by an i64 index.
    ///
    /// # Errors
    /// Where dims do not fit or an index is out of range.
    fn gather(&self, axis: usize, index: &Self) -> Result<Self, Self::Error> {
        Self::apply1(Gather { axis }.into(), &[self, index])
    }

    /// Elements added into zeros with `len` along `axis`, at the places an i64 index names.
    ///
    /// # Errors
    /// Where dims do not fit or an index is out of range.
    fn scatter_add(&self, axis: usize, index: &Self, len: usize) -> Result<Self, Self::Error> {
        Self::apply1(ScatterAdd { axis, len }.into(), &[self, index])
    }

    /// Sum, mean, maximum or minimum over `axes` (ascending).
    ///
    /// # Errors
    /// Where there are no such axes.
    fn reduce(&self, kind: Reduction, axes: &[usize], keep: bool) -> Result<Self, Self::Error> {
        Self::apply1(Reduce { kind, axes: axes.into(), keep }.into(), &[self])
    }

    /// Sum over `axes`.
    ///
    /// # Errors
    /// Where there are no such axes.
    fn sum(&self, axes: &[usize], keep: bool) -> Result<Self, Self::Error> {
        self.reduce(Reduction::Sum, axes, keep)
    }

    /// Mean over `axes`.
    ///
    /// # Errors
    /// Where there are no such axes.
    fn mean(&self, axes: &[usize], keep: bool) -> Result<Self, Self::Error> {
        self.reduce(Reduction::Mean, axes, keep)
    }

    /// Sum of all elements, a scalar.
    ///
    /// # Errors
    /// Where the device fails.
    fn sum_all(&self) -> Result<Self, Self::Error> {
        self.sum(&(0..self.meta().rank()).collect::<Dims>(), false)
    }

    /// Mean of all elements, a scalar.
    ///
    /// # Errors
    /// Where there is none.
    fn mean_all(&self) -> Result<Self, Self::Error> {
        self.mean(&(0..self.meta().rank()).collect::<Dims>(), false)
    }

    /// Index (i64) of the first maximum along `axis`, which goes.
    ///
    /// # Errors
    /// Where there is no such axis.
    fn argmax(&self, axis: usize) -> Result<Self, Self::Error> {
        Self::apply1(ArgReduce { kind: Extremum::Max, axis, keep: false }.into(), &[self])
    }

    /// Softmax along `axis`.
    ///
    /// # Errors
    /// Where there is no such axis.
    fn softmax(&self, axis: usize) -> Result<Self, Self::Error> {
        Self::apply1(Softmax { axis }.into(), &[self])
    }

    /// Logarithm of the softmax along `axis`.
    ///
    /// # Errors
    /// Where there is no such axis.
    fn log_softmax(&self, axis: usize) -> Result<Self, Self::Error> {
        Self::apply1(LogSoftmax { axis }.into(), &[self])
    }

    /// Convolution; see [`Conv2d`].
    ///
    /// # Errors
    /// Where the shapes do not fit.
    fn conv2d(&self, weight: &Self, bias: Option<&Self>, conv: &Conv2d) -> Result<Self, Self::Error> {
        let mut ins: SmallVec<[&Self; 3]> = SmallVec::from_slice(&[self, weight]);
        ins.extend(bias);
        Self::apply1(conv.clone().into(), &ins)
    }

    /// Transposed convolution; see [`ConvTranspose2d`].
    ///
    /// # Errors
    /// Where the shapes do not fit.
    fn conv_transpose2d(
        &self,
        weight: &Self,
        bias: Option<&Self>,
        conv: &ConvTranspose2d,
    ) -> Result<Self, Self::Error> {
        let mut ins: SmallVec<[&Self; 3]> = SmallVec::from_slice(&[self, weight]);
        ins.extend(bias);
        Self::apply1(conv.clone().into(), &ins)
    }

    /// Max pooling: maxima and their window-local places (u8).
    ///
    /// # Errors
    /// Where no window fits.
    fn max_pool2d(&self, window: Window) -> Result<(Self, Self), Self::Error> {
        let mut outs = Self::apply(MaxPool2d { window }.into(), &[self])?.into_iter();
        match (outs.next(), outs.next()) {
            (Some(y), Some(index)) => Ok((y, index)),
            _ => Err(Error::value("max_pool2d", "the operation has two results").into()),
        }
    }

    /// Max unpooling to (H, W) `size` by the index that pooling returned.
    ///
    /// # Errors
    /// Where sizes do not fit.
    fn max_unpool2d(&self, index: &Self, window: Window, size: [usize; 2]) -> Result<Self, Self::Error> {
        Self::apply1(MaxUnpool2d { window, size }.into(), &[self, index])
    }

    /// Average pooling.
    ///
    /// # Errors
    /// Where no window fits.
    fn avg_pool2d(&self, window: Window, count_padding: bool) -> Result<Self, Self::Error> {
        Self::apply1(AvgPool2d { window, count_padding }.into(), &[self])
    }

    /// Mean over the two image axes, which stay with size 1.
    ///
    /// # Errors
    /// Where `self` has not four axes.
    fn global_avg_pool2d(&self) -> Result<Self, Self::Error> {
        self.mean(&[2, 3], true)
    }

    /// Resized to (H, W) `size`.
    ///
    /// # Errors
    /// Where the map is empty.
    fn resize2d(
        &self,
        mode: Interpolation,
        align_corners: bool,
        size: [usize; 2],
    ) -> Result<Self, Self::Error> {
        Self::apply1(Resize2d { mode, align_corners, size }.into(), &[self])
    }

    /// Channels (axis 1) regrouped.
    ///
    /// # Errors
    /// Where groups do not divide the channels.
    fn channel_shuffle(&self, groups: usize) -> Result<Self, Self::Error> {
        Self::apply1(ChannelShuffle { groups }.into(), &[self])
    }

    /// Channels (axis 1) of the operands in turn: what `cat` and a shuffle by their number give.
    ///
    /// # Errors
    /// Where their dims differ.
    fn interleave(parts: &[&Self]) -> Result<Self, Self::Error> {
        Self::apply1(Interleave.into(), parts)
    }

    /// The inverse of `interleave`.
    ///
    /// # Errors
    /// Where `parts` does not divide the channels.
    fn deinterleave(&self, parts: usize) -> Result<Vec<Self>, Self::Error> {
        Ok(Self::apply(Deinterleave { parts }.into(), &[self])?.into_iter().collect())
    }

    /// What `op` would cost on these operands.
    ///
    /// # Errors
    /// A broken shape rule.
    fn cost_of(op: &Op, ins: &[&Self]) -> Result<Cost, Self::Error> {
        let metas: SmallVec<[Meta; 4]> = ins.iter().map(|x| x.meta()).collect();
        let outs = op.infer(&metas)?;
        Ok(op.cost(&metas, &outs))
    }
}

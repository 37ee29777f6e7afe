//! The table of pointwise functions. To add one, add a row: its kernel, on every device, comes from here.

use num_traits::{Float, Num};

/// What is said of a pointwise function besides its Rust expression.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Name in messages and graphs.
    pub name: &'static str,
    /// The function as a CUDA C++ expression in `x` (and `y`), and `p`, `q` for its parameters.
    pub cuda: &'static str,
}

macro_rules! unary {
    ($($(#[$doc:meta])* $v:ident $(($($p:ident),+))? $name:literal $cuda:literal |$x:ident| $rust:expr;)*) => {
        /// A function of one operand, with its parameters.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub enum Unary { $($(#[$doc])* $v $(($(unary!(@f64 $p)),+))?,)* }

        impl Unary {
            /// The names of all rows, in order: test suites check that none is left out.
            pub const VARIANTS: &'static [&'static str] = &[$(stringify!($v)),*];

            /// Name and CUDA expression.
            pub fn row(&self) -> Row {
                match self { $(Unary::$v { .. } => Row { name: $name, cuda: $cuda },)* }
            }

            /// One of each, in order; those with parameters get `first` and `second`.
            pub fn all(first: f64, second: f64) -> Vec<Self> {
                vec![$({
                    let mut _given = [first, second].into_iter();
                    Unary::$v $(($({ let _ = stringify!($p); _given.next().unwrap_or(second) }),+))?
                }),*]
            }

            /// The number of the row, from 0.
            pub fn number(&self) -> usize {
                enum Number { $($v),* }
                match self { $(Unary::$v { .. } => Number::$v as usize,)* }
            }

            /// The parameters, 0 for those that the function does not have.
            pub fn parameters(&self) -> [f64; 2] {
                let mut all = [0.0; 2];
                match *self {
                    $(Unary::$v $(($($p),+))? => {
                        $(all.iter_mut().zip([$($p),+]).for_each(|(to, p)| *to = p);)?
                    })*
                }
                all
            }

            /// Calls `visit` with the function on floats of type `T`.
            pub(crate) fn visit<T: Float + Send + Sync + 'static, R>(&self, visit: impl VisitUnary<T, R>) -> R {
                match *self {
                    $(Unary::$v $(($($p),+))? => {
                        $($(let $p: T = number($p);)+)?
                        visit.visit(move |$x: T| $rust)
                    })*
                }
            }
        }
    };
    (@f64 $p:ident) => { f64 };
}

/// Receives a pointwise function as a closure, so that loops over it are compiled for each.
pub(crate) trait VisitUnary<T, R> {
    fn visit(self, f: impl Fn(T) -> T + Send + Sync + Copy) -> R;
}

/// Receives a pointwise function of two operands as a closure.
pub(crate) trait VisitBinary<T, U, R> {
    fn visit(self, f: impl Fn(T, T) -> U + Send + Sync + Copy) -> R;
}

/// `v` as a `T`, which is a float and so holds every f64 at least roughly.
#[inline]
fn number<T: Float>(v: f64) -> T {
    T::from(v).unwrap_or_else(T::nan)
}

unary! {
    /// −x.
    Neg "neg" "-x" |x| -x;
    /// |x|.
    Abs "abs" "fabs(x)" |x| x.abs();
    /// −1, 0 or 1 by the sign of x.
    Sign "sign" "x > 0 ? 1 : x < 0 ? -1 : x" |x| if x > T::zero() { T::one() } else if x < T::zero() { -T::one() } else { x };
    /// 1 where x > 0, else 0.
    Step "step" "x > 0" |x| if x > T::zero() { T::one() } else { T::zero() };
    /// eˣ.
    Exp "exp" "exp(x)" |x| x.exp();
    /// eˣ − 1.
    ExpM1 "expm1" "expm1(x)" |x| x.exp_m1();
    /// ln x.
    Log "log" "log(x)" |x| x.ln();
    /// ln(1 + x).
    Log1p "log1p" "log1p(x)" |x| x.ln_1p();
    /// √x.
    Sqrt "sqrt" "sqrt(x)" |x| x.sqrt();
    /// x².
    Square "square" "x * x" |x| x * x;
    /// 1/x.
    Recip "recip" "1 / x" |x| x.recip();
    /// sin x.
    Sin "sin" "sin(x)" |x| x.sin();
    /// cos x.
    Cos "cos" "cos(x)" |x| x.cos();
    /// tanh x.
    Tanh "tanh" "tanh(x)" |x| x.tanh();
    /// 1/(1 + e⁻ˣ).
    Sigmoid "sigmoid" "1 / (1 + exp(-x))" |x| (T::one() + (-x).exp()).recip();
    /// ln(1 + eˣ), without overflow.
    Softplus "softplus" "(x > 0 ? x : 0) + log1p(exp(-fabs(x)))" |x| x.max(T::zero()) + (-x.abs()).exp().ln_1p();
    /// max(x, 0); NaN stays NaN.
    Relu "relu" "x < 0 ? 0 : x" |x| if x < T::zero() { T::zero() } else { x };
    /// x where positive, else p·x.
    LeakyRelu(p) "leaky_relu" "x > 0 ? x : p * x" |x| if x > T::zero() { x } else { p * x };
    /// ⌊x⌋.
    Floor "floor" "floor(x)" |x| x.floor();
    /// x rounded, halves away from zero.
    Round "round" "round(x)" |x| x.round();
    /// x + p.
    AddScalar(p) "add_scalar" "x + p" |x| x + p;
    /// p·x.
    MulScalar(p) "mul_scalar" "x * p" |x| x * p;
    /// xᵖ.
    PowScalar(p) "pow_scalar" "pow(x, p)" |x| x.powf(p);
    /// x limited to p..q (ReLU6 is 0..6); NaN stays NaN.
    Clamp(p, q) "clamp" "x < p ? p : x > q ? q : x" |x| if x < p { p } else if x > q { q } else { x };
}

impl Unary {
    /// Whether integers are taken too.
    pub fn takes_integers(&self) -> bool {
        matches!(
            self,
            Self::Neg
                | Self::Abs
                | Self::Sign
                | Self::AddScalar(_)
                | Self::MulScalar(_)
                | Self::Clamp(..)
                | Self::Square
        )
    }
}

macro_rules! binary {
    ($($(#[$doc:meta])* $v:ident $name:literal $cuda:literal |$x:ident, $y:ident| $rust:expr;)*) => {
        /// A function of two operands.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Binary { $($(#[$doc])* $v,)* }

        impl Binary {
            /// All of them, in order: `f as usize` is the number of a row.
            pub const ALL: &'static [Self] = &[$(Binary::$v),*];

            /// The names of all rows, in order: test suites check that none is left out.
            pub const VARIANTS: &'static [&'static str] = &[$(stringify!($v)),*];

            /// Name and CUDA expression.
            pub fn row(&self) -> Row {
                match self { $(Binary::$v => Row { name: $name, cuda: $cuda },)* }
            }

            /// Calls `visit` with the function on floats of type `T`.
            pub(crate) fn visit<T: Float + Send + Sync + 'static, R>(&self, visit: impl VisitBinary<T, T, R>) -> R {
                match self { $(Binary::$v => visit.visit(|$x: T, $y: T| $rust),)* }
            }
        }
    };
}

binary! {
    /// x + y.
    Add "add" "x + y" |x, y| x + y;
    /// x − y.
    Sub "sub" "x - y" |x, y| x - y;
    /// x·y.
    Mul "mul" "x * y" |x, y| x * y;
    /// x/y.
    Div "div" "x / y" |x, y| x / y;
    /// xʸ.
    Pow "pow" "pow(x, y)" |x, y| x.powf(y);
    /// The larger; NaN where one is.
    Maximum "maximum" "x > y || x != x ? x : y" |x, y| if (x > y) | x.is_nan() { x } else { y };
    /// The smaller; NaN where one is.
    Minimum "minimum" "x < y || x != x ? x : y" |x, y| if (x < y) | x.is_nan() { x } else { y };
    /// x where positive, else y·x (PReLU with slope y; He et al. 2015).
    Prelu "prelu" "x > 0 ? x : y * x" |x, y| if x > T::zero() { x } else { y * x };
    /// y where x > 0, else 0: the gradient y of a ReLU of x.
    ReluGrad "relu_grad" "x > 0 ? y : 0" |x, y| if x > T::zero() { y } else { T::zero() };
}

impl Binary {
    /// Whether integers are taken too.
    pub fn takes_integers(&self) -> bool {
        matches!(self, Self::Add | Self::Sub | Self::Mul | Self::Maximum | Self::Minimum)
    }
}

macro_rules! compare {
    ($($(#[$doc:meta])* $v:ident $name:literal $cuda:literal |$x:ident, $y:ident| $rust:expr;)*) => {
        /// A comparison of two operands, as u8 0 or 1.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Compare { $($(#[$doc])* $v,)* }

        impl Compare {
            /// All of them, in order: `f as usize` is the number of a row.
            pub const ALL: &'static [Self] = &[$(Compare::$v),*];

            /// Name and CUDA expression.
            pub fn row(&self) -> Row {
                match self { $(Compare::$v => Row { name: $name, cuda: $cuda },)* }
            }

            /// Calls `visit` with the comparison on numbers of type `T`.
            pub(crate) fn visit<T: Num + PartialOrd + Copy, R>(&self, visit: impl VisitBinary<T, u8, R>) -> R {
                match self { $(Compare::$v => visit.visit(|$x: T, $y: T| ($rust) as u8),)* }
            }
        }
    };
}

compare! {
    /// x = y.
    Equal "equal" "x == y" |x, y| x == y;
    /// x ≠ y.
    NotEqual "not_equal" "x != y" |x, y| x != y;
    /// x < y.
    Less "less" "x < y" |x, y| x < y;
    /// x ≤ y.
    LessEqual "less_equal" "x <= y" |x, y| x <= y;
    /// x > y.
    Greater "greater" "x > y" |x, y| x > y;
    /// x ≥ y.
    GreaterEqual "greater_equal" "x >= y" |x, y| x >= y;
}

//! Gradient checks: derivatives from the tape against central differences, in 64 bits.
//!
//! [`gradcheck`] checks first derivatives of any function of [`Var`]s, a user's own operation included, and
//! [`gradgradcheck`] second derivatives. The function is applied twice to the same inputs, with two random
//! cotangents, so that every input is used twice and a gradient that overwrites where it should add is found.
//! And all is done for inputs (and cotangents) that lie in memory row-major, channels-last and scattered, on the device of
//! the inputs.
//!
//! ```
//! use autograd::{Ops, gradcheck::{Options, gradcheck}};
//! use tensor::Tensor;
//! let x = Tensor::from_vec(vec![0.3, -1.2, 0.7, 2.0], &[2, 2])?;
//! gradcheck(&[x], |x| Ok(vec![x[0].square()?.sum(&[1], false)?.tanh()?]), &Options::default())?;
//! # Ok::<(), autograd::gradcheck::Error>(())
//! ```
//!
//! Central differences know nothing of kinks: keep inputs a few `eps` away from them.

mod placement;

pub use placement::Placement;
use tensor::{
    DType, Ops, Tensor,
    rng::{Key, Stream},
};

use crate::{Tape, Var, gradients};

/// How to check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Step of the central differences.
    pub eps: f64,
    /// Greatest difference between the two derivatives, relative to the numeric one …
    pub rtol: f64,
    /// … plus this.
    pub atol: f64,
    /// Draws the cotangents.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { eps: 1e-5, rtol: 1e-5, atol: 1e-7, seed: 0 }
    }
}

/// What a check found.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A derivative is wrong.
    #[error(
        "wrong gradient of input {input} {dims:?} at {index:?}: analytic {analytic:e}, numeric {numeric:e} (inputs {placements:?})"
    )]
    Gradient {
        /// Which input.
        input: usize,
        /// Its dims.
        dims: Vec<usize>,
        /// Which element of it.
        index: Vec<usize>,
        /// The derivative by the tape.
        analytic: f64,
        /// The derivative by central differences.
        numeric: f64,
        /// How the inputs lay in memory.
        placements: Vec<Placement>,
    },
    /// The function's value depends on how its inputs lie in memory.
    #[error(
        "output {output} depends on how the inputs lie in memory ({placements:?}): at {index:?} it is {value:e} instead of {expected:e}"
    )]
    Value {
        /// Which output.
        output: usize,
        /// Which element of it.
        index: Vec<usize>,
        /// The value for inputs that lie so.
        value: f64,
        /// The value for contiguous inputs.
        expected: f64,
        /// How the inputs lay in memory.
        placements: Vec<Placement>,
    },
    /// Central differences want 64 bits.
    #[error("{what} {index} holds {dtype}; gradient checks want f64 (integers pass as constants)")]
    Precision {
        /// An input or an output.
        what: &'static str,
        /// Which one.
        index: usize,
        /// Its element type.
        dtype: DType,
    },
    /// The function itself failed.
    #[error(transparent)]
    Function(#[from] crate::Error),
}

impl From<tensor::Error> for Error {
    fn from(error: tensor::Error) -> Self {
        Self::Function(error.into())
    }
}

/// Checks the first derivatives of `f` at `inputs` (f64; integer inputs are passed on as constants, integer
/// outputs are left alone). `f` must be deterministic; what it captures is constant.
///
/// # Errors
/// The first wrong derivative, a value that depends on the layout of the inputs, or what `f` reports.
pub fn gradcheck(
    inputs: &[Tensor],
    f: impl Fn(&[Var]) -> crate::Result<Vec<Var>>,
    options: &Options,
) -> Result<(), Error> {
    check_precision("input", inputs.iter())?;
    let plain = |values: &[Tensor]| -> Result<Vec<Tensor>, Error> {
        let vars: Vec<Var> = values.iter().cloned().map(Var::new).collect();
        Ok(f(&vars)?.into_iter().map(Var::into_tensor).filter(|t| t.dtype().is_float()).collect())
    };
    let expected = plain(inputs)?;
    check_precision("output", expected.iter())?;
    let mut stream = Stream::new(Key::new(options.seed, 0));
    let mut draw = || expected.iter().map(|y| random(&mut stream, y)).collect::<Result<Vec<_>, Error>>();
    let cotangents = [draw()?, draw()?];

    let numeric = numeric(inputs, &cotangents, options.eps, plain)?;
    for shift in 0..=Placement::ALL.len() {
        let placements = placements(shift, inputs.len());
        let tape = Tape::new();
        let leaves = inputs.iter().zip(&placements);
        let leaves =
            leaves.map(|(x, p)| Ok(tape.leaf(p.place(x)?))).collect::<Result<Vec<Var>, crate::Error>>()?;
        let mut loss: Option<Var> = None;
        for (cotangents, placement) in cotangents.iter().zip(Placement::ALL.iter().cycle().skip(shift)) {
            let outs = f(&leaves)?.into_iter().filter(|y| y.meta().dtype.is_float());
            for (output, (y, c)) in outs.zip(cotangents).enumerate() {
                check_value(output, y.tensor(), &expected[output], &placements)?;
                let term = y.mul(&Var::new(placement.place(c)?))?.sum_all()?;
                loss = Some(match loss {
                    Some(loss) => loss.add(&term)?,
                    None => term,
                });
            }
        }
        let grads = loss.ok_or(crate::Error::NotRecorded)?.backward()?;
        for (input, (leaf, numeric)) in leaves.iter().zip(&numeric).enumerate() {
            let Some(numeric) = numeric else { continue };
            let analytic = grads.get(leaf).map_or_else(|| Ok(vec![0.0; numeric.len()]), Tensor::to_vec)?;
            for (at, (&analytic, &numeric)) in analytic.iter().zip(numeric).enumerate() {
                if !close(analytic, numeric, options.rtol, options.atol) {
                    let dims = leaf.dims().to_vec();
                    let index = unravel(at, &dims);
                    return Err(Error::Gradient { input, dims, index, analytic, numeric, placements });
                }
            }
        }
    }
    Ok(())
}

/// Checks the second derivatives of `f` at `inputs`: the first derivatives of its vector-Jacobian product, with
/// respect to the inputs and to the cotangents.
///
/// # Errors
/// As [`gradcheck`]; inputs are counted on by the cotangents.
pub fn gradgradcheck(
    inputs: &[Tensor],
    f: impl Fn(&[Var]) -> crate::Result<Vec<Var>>,
    options: &Options,
) -> Result<(), Error> {
    let vars: Vec<Var> = inputs.iter().cloned().map(Var::new).collect();
    let mut stream = Stream::new(Key::new(options.seed, 1));
    let mut all = inputs.to_vec();
    for y in f(&vars)?.iter().filter(|y| y.meta().dtype.is_float()) {
        all.push(random(&mut stream, y.tensor())?);
    }
    let product = |vars: &[Var]| {
        // Plain values, as central differences use them, need a tape of their own.
        let recorded = vars.iter().any(|v| v.tape().is_some());
        let own = Tape::new();
        let vars: Vec<Var> =
            vars.iter().map(|v| if recorded { v.clone() } else { own.leaf(v.tensor().clone()) }).collect();
        let (xs, seeds) = vars.split_at(inputs.len());
        let outs: Vec<Var> = f(xs)?.into_iter().filter(|y| y.meta().dtype.is_float()).collect();
        let floats: Vec<&Var> = xs.iter().filter(|x| x.meta().dtype.is_float()).collect();
        let grads = gradients(&outs.iter().collect::<Vec<_>>(), seeds, &floats, recorded)?;
        let zero = |(g, x): (Option<Var>, &&Var)| g.map_or_else(|| x.full_like(0.0, x.dims()), Ok);
        grads.into_iter().zip(&floats).map(zero).collect()
    };
    gradcheck(&all, product, options)
}

/// The derivatives of the function's weighted sum by central differences; `None` for integers.
fn numeric(
    inputs: &[Tensor],
    cotangents: &[Vec<Tensor>; 2],
    eps: f64,
    f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>, Error>,
) -> Result<Vec<Option<Vec<f64>>>, Error> {
    let mut weights = Vec::new();
    for (first, second) in cotangents[0].iter().zip(&cotangents[1]) {
        weights.push(first.add(second)?.to_vec::<f64>()?);
    }
    let mut values = inputs.to_vec();
    let mut all = Vec::new();
    for (i, x) in inputs.iter().enumerate() {
        if !x.dtype().is_float() {
            all.push(None);
            continue;
        }
        let mut point = x.to_vec::<f64>()?;
        let mut slopes = Vec::with_capacity(point.len());
        for at in 0..point.len() {
            let centre = point[at];
            let mut outs = Vec::new();
            for step in [eps, -eps] {
                point[at] = centre + step;
                values[i] = Tensor::from_slice(&point, x.dims())?.to_device(&x.device())?;
                outs.push(f(&values)?);
            }
            point[at] = centre;
            // Differences first: a great sum would swallow them.
            let mut rise = 0.0;
            for ((up, down), weights) in outs[0].iter().zip(&outs[1]).zip(&weights) {
                let (up, down) = (up.to_vec::<f64>()?, down.to_vec::<f64>()?);
                rise += up.iter().zip(&down).zip(weights).map(|((u, d), w)| (u - d) * w).sum::<f64>();
            }
            slopes.push(rise / (2.0 * eps));
        }
        values[i] = x.clone();
        all.push(Some(slopes));
    }
    Ok(all)
}

/// All inputs placed alike, and, last, each differently from its neighbour.
fn placements(shift: usize, inputs: usize) -> Vec<Placement> {
    let all = Placement::ALL;
    (0..inputs).map(|i| all.get(shift).copied().unwrap_or(all[(i + 1) % all.len()])).collect()
}

fn check_precision<'a>(what: &'static str, values: impl Iterator<Item = &'a Tensor>) -> Result<(), Error> {
    for (index, value) in values.enumerate() {
        if value.dtype().is_float() && value.dtype() != DType::F64 {
            return Err(Error::Precision { what, index, dtype: value.dtype() });
        }
    }
    Ok(())
}

fn check_value(
    output: usize,
    value: &Tensor,
    expected: &Tensor,
    placements: &[Placement],
) -> Result<(), Error> {
    let dims = expected.dims();
    let values = value.to_vec::<f64>()?.into_iter().zip(expected.to_vec::<f64>()?);
    for (at, (value, expected)) in values.enumerate() {
        if !close(value, expected, 1e-9, 1e-9) {
            let (index, placements) = (unravel(at, dims), placements.to_vec());
            return Err(Error::Value { output, index, value, expected, placements });
        }
    }
    Ok(())
}

/// Whether two values agree; infinities and NaN agree with nothing.
fn close(value: f64, expected: f64, rtol: f64, atol: f64) -> bool {
    (value - expected).abs() <= atol + rtol * expected.abs()
}

/// A cotangent of `y`, on its device.
fn random(stream: &mut Stream, y: &Tensor) -> Result<Tensor, Error> {
    let values = (0..y.len()).map(|_| stream.uniform(-1.0, 1.0)).collect();
    Ok(Tensor::from_vec::<f64>(values, y.dims())?.to_device(&y.device())?)
}

/// The index of the element at row-major position `at`.
fn unravel(mut at: usize, dims: &[usize]) -> Vec<usize> {
    let mut index = vec![0; dims.len()];
    for (i, &d) in index.iter_mut().zip(dims).rev() {
        (*i, at) = (at % d, at / d);
    }
    index
}

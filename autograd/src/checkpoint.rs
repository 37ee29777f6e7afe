//! Activation checkpointing: memory for time. Nothing inside is saved; backward runs the function again.

use std::{fmt, rc::Rc};

use tensor::Tensor;

use crate::{Context, CustomOp, Error, Result, Var, apply_custom, vjp};

type Function = Rc<dyn Fn(&[Var]) -> Result<Vec<Var>>>;

/// Applies `function` to `ins` without saving anything inside; backward applies it again. Every variable
/// that wants a gradient must be among `ins`, and the function must be deterministic.
///
/// ```
/// use autograd::{Ops, Tape, checkpoint};
/// use tensor::Tensor;
/// let tape = Tape::new();
/// let x = tape.leaf(Tensor::from_vec(vec![0.5, 1.0], &[2])?);
/// let y = checkpoint(&[&x], |x| Ok(vec![x[0].exp()?.sin()?.sqrt()?]))?.remove(0);
/// assert_eq!(tape.saved_bytes(), 2 * 2 * 8); // x and y, nothing between
/// assert!(y.sum_all()?.backward()?.get(&x).is_some());
/// # Ok::<(), autograd::Error>(())
/// ```
///
/// # Errors
/// What the function reports, or that it captured a recorded variable.
pub fn checkpoint(ins: &[&Var], function: impl Fn(&[Var]) -> Result<Vec<Var>> + 'static) -> Result<Vec<Var>> {
    apply_custom(Rc::new(Checkpoint(Rc::new(function))), ins)
}

struct Checkpoint(Function);

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checkpoint")
    }
}

impl CustomOp for Checkpoint {
    fn name(&self) -> &str {
        "checkpoint"
    }

    fn forward(&self, ins: &[&Tensor]) -> Result<Vec<Tensor>> {
        let plain: Vec<Var> = ins.iter().map(|&t| Var::new(t.clone())).collect();
        let outs = (self.0)(&plain)?;
        if outs.iter().any(|v| v.tape().is_some()) {
            let message = "a checkpointed function captured a recorded variable; pass it as an input";
            return Err(Error::Message(message.into()));
        }
        Ok(outs.into_iter().map(Var::into_tensor).collect())
    }

    fn backward(&self, cx: &Context<'_>) -> Result<Vec<Option<Var>>> {
        let ins = (0..cx.inputs()).map(|i| cx.input(i)).collect::<Result<Vec<_>>>()?;
        let wanted: Vec<usize> = (0..ins.len()).filter(|&i| cx.needs(i)).collect();
        let variables: Vec<Var> = wanted.iter().map(|&i| ins[i].clone()).collect();
        let mut all = vec![None; ins.len()];
        let grads = vjp(&variables, cx.grads(), |variables| {
            let mut ins = ins;
            wanted.iter().zip(variables).for_each(|(&i, v)| ins[i] = v.clone());
            (self.0)(&ins)
        })?;
        wanted.iter().zip(grads).for_each(|(&i, grad)| all[i] = grad);
        Ok(all)
    }
}

//! Chapter 10: an operation of your own.

use std::rc::Rc;

use autograd::{
    Context, CustomOp, Error, Ops, Result, Tape, Var, apply_custom,
    gradcheck::{self, Options, gradcheck, gradgradcheck},
};
use tensor::Tensor;

/// Running sums along the last axis, from the start or from the end. No operation of the library does that.
#[derive(Debug, Clone, Copy)]
struct RunningSum {
    from_end: bool,
}

impl RunningSum {
    fn apply(self, x: &Var) -> Result<Var> {
        Ok(apply_custom(Rc::new(self), &[x])?.remove(0))
    }
}

impl CustomOp for RunningSum {
    fn name(&self) -> &str {
        "running_sum"
    }

    fn forward(&self, ins: &[&Tensor]) -> Result<Vec<Tensor>> {
        let &[x] = ins else { return Err(Error::Message("running_sum takes one operand".into())) };
        let len = x.dims().last().copied().unwrap_or(1); // a scalar is its own sum
        let mut values = x.to_vec::<f64>()?; // row-major, however `x` lies in memory
        for row in values.chunks_mut(len.max(1)) {
            for i in 1..len {
                let (to, from) = if self.from_end { (len - 1 - i, len - i) } else { (i, i - 1) };
                row[to] += row[from];
            }
        }
        Ok(vec![Tensor::from_vec(values, x.dims())?])
    }

    /// Element j is part of every sum i ≥ j, so its gradient is the sum of theirs: a running sum from the other end.
    fn backward(&self, cx: &Context<'_>) -> Result<Vec<Option<Var>>> {
        Ok(vec![Some(Self { from_end: !self.from_end }.apply(&cx.grad(0)?)?)])
    }

    fn saves_results(&self) -> bool {
        false
    }
}

fn main() -> Result<(), gradcheck::Error> {
    let sums = |x: &Var| RunningSum { from_end: false }.apply(x);
    let x = [Tensor::from_vec(vec![1.0, 2.0, 3.0, -1.0, 0.5, 0.25], &[2, 3])?];
    println!("{:?}\nbecomes\n{:?}", x[0], sums(&Var::new(x[0].clone()))?.tensor());
    gradcheck(&x, |x| Ok(vec![sums(&x[0])?]), &Options::default())?;
    gradgradcheck(&x, |x| Ok(vec![sums(&x[0])?.square()?]), &Options::default())?;
    println!("first and second derivatives agree with differences");

    // On a tape it is one operation among others: here the steps of a path are fitted to points on it.
    let target = Var::new(Tensor::from_vec(vec![1.0, 1.0, 4.0, 9.0], &[4])?);
    let mut steps = Tensor::from_vec(vec![0.0; 4], &[4])?;
    for round in 0..=300 {
        let leaf = Tape::new().leaf(steps.clone());
        let miss = sums(&leaf)?.sub(&target)?.square()?.sum_all()?;
        if round % 100 == 0 {
            let told = steps.to_vec::<f64>()?;
            println!("round {round:>3}: miss {:>8.4}, steps {told:.2?}", miss.tensor().item()?);
        }
        if let Some(grad) = miss.backward()?.take(&leaf) {
            steps = steps.sub(&grad.mul_scalar(0.05)?)?;
        }
    }
    Ok(())
}

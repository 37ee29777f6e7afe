//! CPU kernels: a loop for each row of the table, over whatever layouts (`cpu/strided.rs`).

mod halves;

use num_traits::{Float, Num};

use super::{
    table::{VisitBinary, VisitUnary},
    *,
};
use crate::{
    Element, Outputs, Tensor,
    cpu::{
        dispatch_any,
        strided::{map1, map2, map3},
    },
};

/// Runs a function of the table over a tensor.
struct Over1<'a>(&'a Tensor);

impl<T: Element + Float> VisitUnary<T, Result<Tensor>> for Over1<'_> {
    fn visit(self, f: impl Fn(T) -> T + Send + Sync + Copy) -> Result<Tensor> {
        map1::<T, T>(self.0, &move |x, y| x.iter().zip(y).for_each(|(&x, y)| *y = f(x)))
    }
}

/// Runs a function of the table over two tensors broadcast to the given dims.
struct Over2<'a>(&'a [usize], &'a Tensor, &'a Tensor);

impl<T: Element, U: Element> VisitBinary<T, U, Result<Tensor>> for Over2<'_> {
    fn visit(self, f: impl Fn(T, T) -> U + Send + Sync + Copy) -> Result<Tensor> {
        map2::<T, T, U>(self.0, self.1, self.2, &move |a, b, y| {
            a.iter().zip(b).zip(y).for_each(|((&a, &b), y)| *y = f(a, b));
        })
    }
}

/// An integer that tensors hold: computed in i64, wrapped on the way back.
trait Integer: Element + Num {
    fn wide(self) -> i64;
    fn wrap(v: i64) -> Self;
}

impl Integer for i64 {
    fn wide(self) -> i64 {
        self
    }

    fn wrap(v: i64) -> Self {
        v
    }
}

impl Integer for u8 {
    fn wide(self) -> i64 {
        self.into()
    }

    fn wrap(v: i64) -> Self {
        v as u8
    }
}

impl Unary {
    pub(crate) fn cpu(&self, ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        let x = ins[0];
        let y = match x.dtype() {
            DType::F32 => self.visit::<f32, _>(Over1(x)),
            DType::F64 => self.visit::<f64, _>(Over1(x)),
            DType::BF16 => self.visit::<f32, _>(halves::Over1(x)),
            DType::I64 => self.integers::<i64>(x),
            DType::U8 => self.integers::<u8>(x),
            DType::F16 => Err(not_taken(self.name(), x)),
        };
        Ok(Outputs::from_iter([y?]))
    }

    /// On integers: parameters are truncated to integers, arithmetic wraps.
    fn integers<T: Integer>(&self, x: &Tensor) -> Result<Tensor> {
        let each = |f: &(dyn Fn(i64) -> i64 + Sync)| {
            map1::<T, T>(x, &|x, y| x.iter().zip(y).for_each(|(&x, y)| *y = T::wrap(f(x.wide()))))
        };
        match *self {
            Unary::Neg => each(&i64::wrapping_neg),
            Unary::Abs => each(&i64::wrapping_abs),
            Unary::Sign => each(&i64::signum),
            Unary::Square => each(&|x| x.wrapping_mul(x)),
            Unary::AddScalar(p) => each(&|x| x.wrapping_add(p as i64)),
            Unary::MulScalar(p) => each(&|x| x.wrapping_mul(p as i64)),
            Unary::Clamp(p, q) => each(&|x| x.max(p as i64).min(q as i64)),
            _ => Err(not_taken(self.name(), x)),
        }
    }
}

impl Binary {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let over = Over2(&outs[0].dims, ins[0], ins[1]);
        let y = match outs[0].dtype {
            DType::F32 => self.visit::<f32, _>(over),
            DType::F64 => self.visit::<f64, _>(over),
            DType::BF16 => self.visit::<f32, _>(halves::Over2(&outs[0].dims, ins[0], ins[1])),
            DType::I64 => self.integers::<i64>(over),
            DType::U8 => self.integers::<u8>(over),
            DType::F16 => Err(not_taken(self.name(), ins[0])),
        };
        Ok(Outputs::from_iter([y?]))
    }

    /// On integers: arithmetic wraps.
    fn integers<T: Integer>(&self, over: Over2) -> Result<Tensor> {
        let wrap = |f: fn(i64, i64) -> i64| move |a: T, b: T| T::wrap(f(a.wide(), b.wide()));
        match self {
            Binary::Add => over.visit(wrap(i64::wrapping_add)),
            Binary::Sub => over.visit(wrap(i64::wrapping_sub)),
            Binary::Mul => over.visit(wrap(i64::wrapping_mul)),
            Binary::Maximum => over.visit(wrap(i64::max)),
            Binary::Minimum => over.visit(wrap(i64::min)),
            Binary::Div | Binary::Pow | Binary::Prelu | Binary::ReluGrad => {
                Err(not_taken(self.name(), over.1))
            }
        }
    }
}

impl Compare {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let over = Over2(&outs[0].dims, ins[0], ins[1]);
        let y = match ins[0].dtype() {
            DType::F32 => self.visit::<f32, _>(over),
            DType::F64 => self.visit::<f64, _>(over),
            DType::I64 => self.visit::<i64, _>(over),
            DType::U8 => self.visit::<u8, _>(over),
            DType::F16 | DType::BF16 => Err(not_taken(self.name(), ins[0])),
        };
        Ok(Outputs::from_iter([y?]))
    }
}

impl Select {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let y = dispatch_any!(outs[0].dtype, T => {
            map3::<u8, T, T, T>(&outs[0].dims, [ins[0], ins[1], ins[2]], &|c, a, b, y| {
                let operands = c.iter().zip(a).zip(b);
                operands.zip(y).for_each(|(((&c, &a), &b), y)| *y = if c != 0 { a } else { b });
            })
        });
        Ok(Outputs::from_iter([y?]))
    }
}

/// The element type is not taken: the shape rule, or the backend's widening of halves, should have seen to it.
fn not_taken(op: &'static str, x: &Tensor) -> Error {
    Error::value(op, format!("has no CPU kernel for {}", x.dtype()))
}

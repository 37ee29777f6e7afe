//! Gradients on their way: what has arrived at a value so far.

use smallvec::SmallVec;
use tensor::{
    Ops,
    ops::{Slice, Unslice},
};

use crate::{Result, Var};

/// The gradients that have arrived at one value: of the whole, and of windows that slices took out of it. Those
/// are put back all at once, so that the gradient of a split costs one pass, not one for each piece and sum.
#[derive(Clone, Default)]
pub(crate) struct Pending {
    whole: Option<Var>,
    parts: SmallVec<[(Slice, Var); 2]>,
}

impl Pending {
    /// Adds a gradient of the value.
    pub fn add(&mut self, grad: Var) -> Result<()> {
        self.whole = Some(match self.whole.take() {
            Some(before) => before.add_into(&grad)?,
            None => grad,
        });
        Ok(())
    }

    /// Adds a gradient of the value's elements in `window`.
    pub fn add_part(&mut self, window: Slice, grad: Var) {
        self.parts.push((window, grad));
    }

    /// Takes the gradients of windows, in order, if they are all there is and make up a value of `dims` along `axis`; else none.
    pub fn take_pieces(&mut self, axis: usize, dims: &[usize]) -> SmallVec<[Var; 2]> {
        if self.whole.is_none() && tiled_axis(&mut self.parts, dims) == Some(axis) {
            return self.parts.drain(..).map(|(_, grad)| grad).collect();
        }
        SmallVec::new()
    }

    /// The sum, for a value of `dims`; `None` where nothing has arrived.
    pub fn total(mut self, dims: &[usize]) -> Result<Option<Var>> {
        let mut parts = std::mem::take(&mut self.parts);
        if let Some(axis) = tiled_axis(&mut parts, dims) {
            let pieces: SmallVec<[&Var; 2]> = parts.iter().map(|(_, grad)| grad).collect();
            self.add(Var::cat(&pieces, axis)?)?;
        } else {
            for (window, grad) in parts {
                let back = Unslice { dims: dims.into(), spans: window.spans };
                self.add(Var::apply1(back.into(), &[&grad])?)?;
            }
        }
        Ok(self.whole)
    }
}

/// The axis along which the windows, brought into order, follow each other without gap or overlap and make up the
/// whole of `dims`, if there is one.
fn tiled_axis(parts: &mut [(Slice, Var)], dims: &[usize]) -> Option<usize> {
    let cut = |window: &Slice, axis: usize| window.spans[axis].len != dims[axis];
    let axis = (0..dims.len()).find(|&axis| parts.iter().any(|(w, _)| cut(w, axis)))?;
    parts.sort_by_key(|(w, _)| w.spans[axis].start);
    let mut end = 0;
    for (window, _) in parts.iter() {
        let span = window.spans[axis];
        let whole_elsewhere = (0..dims.len()).all(|a| a == axis || !cut(window, a));
        if span.start != end || span.step != 1 || !whole_elsewhere {
            return None;
        }
        end += span.len;
    }
    (end == dims[axis]).then_some(axis)
}

#[cfg(test)]
mod tests {
    use tensor::{DType, Tensor};

    use super::*;

    fn part(start: usize, len: usize, value: f64) -> (Slice, Var) {
        (
            Slice::along(&[2, 4], 1, start, len).unwrap(),
            Var::new(Tensor::full(value, &[2, len], DType::F64).unwrap()),
        )
    }

    fn total(parts: Vec<(Slice, Var)>, whole: Option<f64>) -> Vec<f64> {
        let mut pending = Pending::default();
        parts.into_iter().for_each(|(window, grad)| pending.add_part(window, grad));
        if let Some(value) = whole {
            pending.add(Var::new(Tensor::full(value, &[2, 4], DType::F64).unwrap())).unwrap();
        }
        pending.total(&[2, 4]).unwrap().unwrap().tensor().to_vec::<f64>().unwrap()[..4].to_vec()
    }

    #[test]
    fn pieces_of_a_split_in_any_order() {
        assert_eq!(total(vec![part(3, 1, 5.0), part(0, 3, 2.0)], None), [2.0, 2.0, 2.0, 5.0]);
        assert_eq!(total(vec![part(3, 1, 5.0), part(0, 3, 2.0)], Some(1.0)), [3.0, 3.0, 3.0, 6.0]);
        assert_eq!(total(vec![part(0, 4, 2.0)], None), [2.0; 4]);
    }

    #[test]
    fn gaps_and_overlaps() {
        assert_eq!(total(vec![part(1, 2, 5.0)], None), [0.0, 5.0, 5.0, 0.0]);
        assert_eq!(total(vec![part(0, 3, 5.0), part(2, 2, 1.0)], None), [5.0, 5.0, 6.0, 1.0]);
        assert_eq!(total(vec![part(0, 4, 2.0), part(0, 4, 3.0)], None), [5.0; 4]);
        // As long as the axis, but not one after the other.
        assert_eq!(total(vec![part(0, 2, 5.0), part(1, 2, 1.0)], None), [5.0, 6.0, 1.0, 0.0]);
    }

    /// The first gradient's memory takes the sum, unless somebody else still looks at it.
    #[test]
    fn sums_take_no_memory_of_their_own() {
        let grad = |value: f64| Var::new(Tensor::full(value, &[2, 4], DType::F64).unwrap());
        let place = |var: &Var| std::sync::Arc::as_ptr(var.tensor().buffer()).cast::<u8>();
        let sum = |first: Var| {
            let mut pending = Pending::default();
            [first, grad(2.0), grad(3.0)].into_iter().for_each(|grad| pending.add(grad).unwrap());
            pending.total(&[2, 4]).unwrap().unwrap()
        };
        let first = grad(1.0);
        let before = place(&first);
        let total = sum(first);
        assert!(place(&total) == before && total.tensor().to_vec::<f64>().unwrap() == [6.0; 8]);
        let held = grad(1.0);
        assert_eq!(sum(held.clone()).tensor().to_vec::<f64>().unwrap(), [6.0; 8]);
        assert_eq!(held.tensor().to_vec::<f64>().unwrap(), [1.0; 8]);
    }

    #[test]
    fn pieces_are_taken_where_they_are_all() {
        let pending = |parts: Vec<_>| Pending { whole: None, parts: parts.into_iter().collect() };
        let values = |pieces: SmallVec<[Var; 2]>| -> Vec<f64> {
            pieces.iter().map(|p| p.tensor().to_vec::<f64>().unwrap()[0]).collect()
        };
        assert_eq!(
            values(pending(vec![part(3, 1, 5.0), part(0, 3, 2.0)]).take_pieces(1, &[2, 4])),
            [2.0, 5.0]
        );
        assert!(pending(vec![part(3, 1, 5.0), part(0, 3, 2.0)]).take_pieces(0, &[2, 4]).is_empty());
        let mut gap = pending(vec![part(0, 3, 2.0)]);
        assert!(gap.take_pieces(1, &[2, 4]).is_empty() && gap.parts.len() == 1);
        let mut more = pending(vec![part(3, 1, 5.0), part(0, 3, 2.0)]);
        more.add(Var::new(Tensor::full(1.0, &[2, 4], DType::F64).unwrap())).unwrap();
        assert!(more.take_pieces(1, &[2, 4]).is_empty() && more.parts.len() == 2);
    }

    #[test]
    fn nothing() {
        assert!(Pending::default().total(&[3]).unwrap().is_none());
    }
}

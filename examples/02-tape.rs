//! Chapter 2: a tape written by hand, and the library's.

use autograd::{Ops, Result, Tape};
use tensor::Tensor;

/// What was computed, in order. For each value: where its operands stand, and its derivative by each of them.
#[derive(Default)]
struct ByHand {
    values: Vec<f64>,
    operands: Vec<Vec<(usize, f64)>>,
}

impl ByHand {
    fn push(&mut self, value: f64, operands: &[(usize, f64)]) -> usize {
        self.values.push(value);
        self.operands.push(operands.to_vec());
        self.values.len() - 1
    }

    fn leaf(&mut self, value: f64) -> usize {
        self.push(value, &[])
    }

    fn add(&mut self, a: usize, b: usize) -> usize {
        self.push(self.values[a] + self.values[b], &[(a, 1.0), (b, 1.0)])
    }

    fn mul(&mut self, a: usize, b: usize) -> usize {
        let (x, y) = (self.values[a], self.values[b]);
        self.push(x * y, &[(a, y), (b, x)])
    }

    fn tanh(&mut self, a: usize) -> usize {
        let y = self.values[a].tanh();
        self.push(y, &[(a, 1.0 - y * y)])
    }

    /// The derivative of the last value by every value: one walk from the end to the start.
    fn backward(&self) -> Vec<f64> {
        let mut grads = vec![0.0; self.values.len()];
        grads[self.values.len() - 1] = 1.0;
        for (i, operands) in self.operands.iter().enumerate().rev() {
            for &(operand, derivative) in operands {
                grads[operand] += grads[i] * derivative; // `+=`: a value may be used twice
            }
        }
        grads
    }
}

fn main() -> Result<()> {
    let mut hand = ByHand::default();
    let (a, b) = (hand.leaf(0.5), hand.leaf(3.0));
    let product = hand.mul(a, b);
    let sum = hand.add(product, a);
    hand.tanh(sum);
    println!("y = tanh(a·b + a)     value  dy/dvalue");
    for (i, name) in ["a", "b", "a·b", "a·b + a", "tanh(…)"].iter().enumerate() {
        println!("  {i}  {name:<10} {:>10.6} {:>10.6}", hand.values[i], hand.backward()[i]);
    }

    let tape = Tape::new();
    let (a, b) = (tape.leaf(Tensor::scalar(0.5)), tape.leaf(Tensor::scalar(3.0)));
    let y = a.mul(&b)?.add(&a)?.tanh()?;
    let names: Vec<String> = tape.records().iter().map(|r| r.name.clone()).collect();
    println!("\nthe library's tape: {}, {} bytes kept for backward", names.join(", "), tape.saved_bytes());
    let grads = y.backward()?;
    for (name, leaf) in [("a", &a), ("b", &b)] {
        println!("  dy/d{name} = {:.6}", grads.get(leaf).map_or(Ok(0.0), Tensor::item)?);
    }
    println!("  walked again: {}", y.backward().unwrap_err());
    Ok(())
}

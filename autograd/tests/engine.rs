//! The tape's promises, one by one.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use autograd::{
    Context, CustomOp, Error, Grads, Ops, Result, Tape, Var, apply_custom, checkpoint,
    gradcheck::{self, Options, Placement, gradcheck, gradgradcheck},
    gradients,
};
use tensor::{
    DType, Tensor,
    ops::{Conv2d, Reduction},
};

fn vector(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, &[values.len()]).unwrap()
}

fn grad(grads: &Grads, x: &Var) -> Vec<f64> {
    grads.get(x).unwrap().to_f64_vec().unwrap()
}

fn names(tape: &Tape) -> Vec<String> {
    tape.records().into_iter().map(|r| r.name).collect()
}

#[test]
fn a_spent_tape_says_so() {
    let tape = Tape::new();
    let x = tape.leaf(vector(&[1.0, 2.0]));
    let loss = x.square().unwrap().sum_all().unwrap();
    assert!(loss.backward().is_ok());
    assert!(matches!(loss.backward(), Err(Error::Spent)));
    let again = gradients(&[&loss], &[Var::new(Tensor::scalar(1.0))], &[&x], false);
    assert!(matches!(again, Err(Error::Spent)));
    assert!(Error::Spent.to_string().contains("record a new one"));
}

#[test]
fn seeds_are_of_their_outputs() {
    let tape = Tape::new();
    let x = tape.leaf(vector(&[1.0, 2.0, 3.0]));
    let y = x.square().unwrap();
    let one = |dims: &[usize]| Var::new(Tensor::ones(dims, DType::F64).unwrap());
    let says = |outs: &[&Var], seeds: &[Var], words: &str| {
        let error = gradients(outs, seeds, &[&x], false).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    says(&[&y, &y], &[one(&[3])], "2 outputs want a seed each, got 1");
    says(&[&y], &[one(&[2, 3])], "output 0 is f64[3], its seed f64[2, 3]");
    says(&[&y], &[Var::new(Tensor::ones(&[3], DType::F32).unwrap())], "its seed f32[3]");
}

#[test]
fn gradients_are_of_their_own_tape() {
    let run = || {
        let tape = Tape::new();
        let x = tape.leaf(vector(&[1.0, 2.0]));
        (x.square().unwrap().sum_all().unwrap().backward().unwrap(), x)
    };
    let ((mut grads, x), (_, other)) = (run(), run());
    assert!(grads.get(&other).is_none() && grads.take(&other).is_none());
    assert_eq!(grad(&grads, &x), [2.0, 4.0]);
}

#[test]
fn two_tapes_do_not_mix() {
    let (a, b) = (Tape::new().leaf(vector(&[1.0])), Tape::new().leaf(vector(&[1.0])));
    let error = a.add(&b).unwrap_err();
    assert!(matches!(&error, Error::TwoTapes { op } if op == "add"), "{error}");
    assert!(a.add(&b.detach()).is_ok());
}

#[test]
fn backward_wants_a_recorded_scalar() {
    let tape = Tape::new();
    let x = tape.leaf(vector(&[1.0, 2.0]));
    assert!(matches!(x.backward(), Err(Error::NotScalar { .. })));
    assert!(matches!(Var::new(Tensor::scalar(1.0)).backward(), Err(Error::NotRecorded)));
    let constant = tape.input(vector(&[1.0])).sum_all().unwrap();
    assert!(matches!(constant.backward(), Err(Error::NotRecorded)));
}

#[test]
fn an_input_used_twice_adds_up() {
    let tape = Tape::new();
    let x = tape.leaf(vector(&[3.0, -1.0]));
    let y = x.mul(&x).unwrap().add(&x).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(grad(&grads, &x), [7.0, -1.0]);
}

/// Where differences can not look: what the rules promise at ties and kinks.
#[test]
fn gradients_at_ties_and_kinks() {
    let tape = Tape::new();
    let x = tape.leaf(vector(&[0.0, 2.0, 2.0, 6.0]));
    let of = |y: Var| -> Vec<f64> {
        let seed = Var::new(Tensor::ones(y.dims(), DType::F64).unwrap());
        gradients(&[&y], &[seed], &[&x], false).unwrap().remove(0).unwrap().tensor().to_f64_vec().unwrap()
    };
    let first = x.narrow(0, 0, 3).unwrap();
    assert_eq!(of(first.reduce(Reduction::Max, &[0], false).unwrap()), [0.0, 0.5, 0.5, 0.0]);
    assert_eq!(of(first.reduce(Reduction::Min, &[0], true).unwrap()), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(of(x.relu().unwrap()), [0.0, 1.0, 1.0, 1.0]);
    assert_eq!(of(x.relu6().unwrap()), [0.0, 1.0, 1.0, 0.0]);
    assert_eq!(of(x.abs().unwrap()), [0.0, 1.0, 1.0, 1.0]);
    let two = Var::new(Tensor::scalar(2.0));
    assert_eq!(of(x.maximum(&two).unwrap()), [0.0, 1.0, 1.0, 1.0]);
    assert_eq!(of(two.maximum(&x).unwrap()), [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(of(x.pow(&two).unwrap()), [0.0, 4.0, 4.0, 12.0]);
    let zero = Var::new(Tensor::scalar(0.0));
    assert_eq!(of(x.pow(&zero).unwrap()), [0.0; 4]);
    assert_eq!(of(zero.pow(&x.add_scalar(1.0).unwrap()).unwrap()), [0.0; 4]);
}

#[test]
fn broadcast_operands_get_gradients_of_their_own_dims() {
    let tape = Tape::new();
    let row = tape.leaf(Tensor::from_vec(vec![1.0, 2.0, 3.0], &[3]).unwrap());
    let block = tape.leaf(Tensor::from_vec(vec![1.0, 2.0], &[2, 1, 1]).unwrap());
    let scalar = tape.leaf(Tensor::scalar(2.0));
    let y = row.mul(&block).unwrap().mul(&scalar).unwrap();
    assert_eq!(y.dims(), [2, 1, 3]);
    let grads = y.sum_all().unwrap().backward().unwrap();
    for x in [&row, &block, &scalar] {
        assert_eq!(grads.get(x).unwrap().dims(), x.dims());
    }
    assert_eq!(grad(&grads, &row), [6.0; 3]);
    assert_eq!(grad(&grads, &block), [12.0; 2]);
    assert_eq!(grad(&grads, &scalar), [18.0]);
}

/// A network's first convolution: its input is an image that nobody wants the gradient of.
#[test]
fn gradients_that_nobody_wants_are_not_computed() {
    let (image, weight) =
        (Tensor::ones(&[1, 2, 4, 4], DType::F64).unwrap(), Tensor::ones(&[3, 2, 3, 3], DType::F64).unwrap());
    let recorded = |wanted: bool| {
        let tape = Tape::new();
        let x = if wanted { tape.leaf(image.clone()) } else { tape.input(image.clone()) };
        let w = tape.leaf(weight.clone());
        let y = x.conv2d(&w, None, &Conv2d::default()).unwrap();
        let seed = tape.input(Tensor::ones(y.dims(), DType::F64).unwrap());
        let grads = gradients(&[&y], &[seed], &[&x, &w], true).unwrap();
        assert_eq!((grads[0].is_some(), grads[1].is_some()), (wanted, true));
        names(&tape)
    };
    assert_eq!(recorded(true), ["conv2d", "conv_transpose2d", "conv2d_weight"]);
    assert_eq!(recorded(false), ["conv2d", "conv2d_weight"]);
}

#[test]
fn nothing_is_saved_that_no_rule_reads() {
    let tape = Tape::new();
    let x = tape.leaf(vector(&[1.0, 2.0]));
    let constant = Var::new(vector(&[3.0, 4.0]));
    let y = x.add(&constant).unwrap().mul_scalar(2.0).unwrap().sub(&x).unwrap();
    assert_eq!(tape.saved_bytes(), 0);
    // The gradient of x needs the constant, and nobody needs the gradient of the constant.
    let y = y.mul(&constant).unwrap();
    assert_eq!(tape.saved_bytes(), 16);
    // Inputs without gradient save nothing, whatever is applied to them.
    let z = tape.input(vector(&[1.0, 2.0])).exp().unwrap().square().unwrap();
    assert_eq!(tape.saved_bytes(), 16);
    y.add(&z).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(tape.saved_bytes(), 0, "backward frees as it walks");
}

#[test]
fn without_a_tape_nothing_is_pinned() {
    let x = vector(&[1.0, 2.0]);
    let y = Var::new(x.clone()).exp().unwrap().mul(&Var::new(x.clone())).unwrap();
    assert!(y.tape().is_none());
    assert_eq!(Arc::strong_count(x.buffer()), 1);
    let tape = Tape::new();
    let recorded = tape.leaf(x.clone()).square().unwrap();
    assert_eq!(Arc::strong_count(x.buffer()), 2, "saved for the rule");
    drop((recorded, tape));
    assert_eq!(Arc::strong_count(x.buffer()), 1);
}

#[test]
fn backward_frees_what_lies_beside_its_path_too() {
    let tape = Tape::new();
    let x = tape.leaf(vector(&[1.0, 2.0]));
    let beside = x.exp().unwrap();
    tape.on_gradient(&x, {
        let tape = tape.clone();
        move |_| {
            assert!(!tape.is_empty());
            Ok(())
        }
    });
    x.square().unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(tape.saved_bytes(), 0);
    let value = beside.tensor().clone();
    drop((tape, x, beside));
    assert_eq!(Arc::strong_count(value.buffer()), 1, "a hook that holds the tape keeps nothing alive");
}

/// Buckets of a data-parallel step are sent while backward is still running.
#[test]
fn hooks_run_as_soon_as_a_gradient_is_complete() {
    let tape = Tape::new();
    let calls = Rc::new(RefCell::new(Vec::new()));
    let leaf = |name: &'static str| {
        let x = tape.leaf(vector(&[2.0]));
        let (calls, inner) = (calls.clone(), tape.clone());
        tape.on_gradient(&x, move |g| {
            calls.borrow_mut().push((name, g.to_f64_vec()?[0], inner.saved_bytes()));
            Ok(())
        });
        x
    };
    let first = leaf("first");
    let y = first.square().unwrap();
    let second = leaf("second");
    // Used twice: complete only after both.
    let y = y.mul(&second).unwrap().mul(&second).unwrap();
    y.sum_all().unwrap().backward().unwrap();
    let calls = calls.borrow();
    assert_eq!((calls[0].0, calls[0].1), ("second", 16.0));
    assert!(calls[0].2 > 0, "the first layer's backward is still to come");
    assert_eq!(calls[1], ("first", 16.0, 0));
    assert_eq!(calls.len(), 2);
}

#[test]
fn a_failing_hook_stops_backward() {
    let tape = Tape::new();
    let x = tape.leaf(vector(&[2.0]));
    tape.on_gradient(&x, |_| Err(Error::Message("the network is down".into())));
    let error = x.square().unwrap().sum_all().unwrap().backward().unwrap_err();
    assert_eq!(error.to_string(), "the network is down");
}

#[test]
fn higher_derivatives() {
    let tape = Tape::new();
    let x = tape.leaf(Tensor::scalar(2.0));
    let one = Var::new(Tensor::scalar(1.0));
    let mut y = x.pow_scalar(4.0).unwrap();
    for expected in [32.0, 48.0, 48.0, 24.0] {
        y = gradients(&[&y], std::slice::from_ref(&one), &[&x], true).unwrap().remove(0).unwrap();
        assert!((y.tensor().item().unwrap() - expected).abs() < 1e-9, "{y:?} instead of {expected}");
    }
}

#[test]
fn gradients_of_inner_values() {
    let tape = Tape::new();
    let (x, unused) = (tape.leaf(vector(&[1.0, 2.0])), tape.leaf(vector(&[1.0])));
    let inner = x.square().unwrap();
    let y = inner.mul_scalar(3.0).unwrap();
    let seed = Var::new(vector(&[1.0, 10.0]));
    let grads = gradients(&[&y], &[seed], &[&inner, &x, &unused, &y], false).unwrap();
    let value = |i: usize| grads[i].as_ref().unwrap().tensor().to_f64_vec().unwrap();
    assert_eq!((value(0), value(1), value(3)), (vec![3.0, 30.0], vec![6.0, 120.0], vec![1.0, 10.0]));
    assert!(grads[2].is_none());
}

#[test]
fn gradients_have_the_type_of_their_operand() {
    let tape = Tape::new();
    let x = tape.leaf(Tensor::from_vec(vec![1.0_f32, 2.0], &[2]).unwrap());
    let labels = tape.leaf(Tensor::from_vec(vec![1_i64, 2], &[2]).unwrap());
    assert!(!labels.needs_gradient());
    let y = x.cast(DType::F64).unwrap().mul(&labels.cast(DType::F64).unwrap()).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(grads.get(&x).unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0]);
    assert!(grads.get(&labels).is_none());
}

/// A split's pieces, whether all, some or overlapping ones are used.
#[test]
fn gradients_of_slices_are_put_back() {
    let x = Tensor::from_vec((0..12).map(f64::from).collect(), &[2, 6]).unwrap();
    let pieces = |x: &[Var]| {
        let parts = x[0].split(&[1, 3, 2], 1)?;
        let overlap = x[0].narrow(1, 2, 3)?;
        Ok(vec![parts[0].square()?, parts[2].exp()?, parts[1].sin()?, overlap.square()?, x[0].tanh()?])
    };
    gradcheck(std::slice::from_ref(&x), pieces, &Options::default()).unwrap();
    gradgradcheck(std::slice::from_ref(&x), pieces, &Options::default()).unwrap();

    let tape = Tape::new();
    let x = tape.leaf(x);
    let parts = x.split(&[3, 3], 1).unwrap();
    let y = parts[1].add(&parts[0]).unwrap();
    let seed = tape.input(Tensor::ones(&[2, 3], DType::F64).unwrap());
    gradients(&[&y], &[seed], &[&x], true).unwrap();
    assert_eq!(names(&tape), ["slice", "slice", "add", "cat"], "one pass for both pieces");
}

#[test]
fn a_long_chain_needs_no_stack() {
    let tape = Tape::new();
    let x = tape.leaf(Tensor::scalar(1.0));
    let mut y = x.clone();
    for _ in 0..50_000 {
        y = y.add_scalar(1.0).unwrap();
    }
    assert_eq!(grad(&y.backward().unwrap(), &x), [1.0]);
}

fn block(xs: &[Var]) -> Result<Vec<Var>> {
    let inner = xs[0].mul(&xs[1])?.tanh()?;
    Ok(vec![inner.mul(&xs[0])?.exp()?, inner.sum_all()?])
}

#[test]
fn a_checkpoint_gives_the_same_gradients_and_saves_less() {
    let run = |checkpointed: bool| {
        let tape = Tape::new();
        let xs = [tape.leaf(vector(&[0.3, -0.4])), tape.leaf(vector(&[1.1, 0.7]))];
        let outs = match checkpointed {
            true => checkpoint(&[&xs[0], &xs[1]], block).unwrap(),
            false => block(&xs).unwrap(),
        };
        let saved = tape.saved_bytes();
        let loss = outs[0].sum_all().unwrap().mul(&outs[1]).unwrap();
        let grads = loss.backward().unwrap();
        (grad(&grads, &xs[0]), grad(&grads, &xs[1]), saved)
    };
    let (plain, checkpointed) = (run(false), run(true));
    assert_eq!((&plain.0, &plain.1), (&checkpointed.0, &checkpointed.1));
    assert!(checkpointed.2 < plain.2, "{} bytes instead of {}", checkpointed.2, plain.2);
}

#[test]
fn second_derivatives_pass_through_a_checkpoint() {
    let inputs = [vector(&[0.3, -0.4]), vector(&[1.1, 0.7])];
    let f = |xs: &[Var]| checkpoint(&[&xs[0], &xs[1]], block);
    gradcheck(&inputs, f, &Options::default()).unwrap();
    gradgradcheck(&inputs, f, &Options::default()).unwrap();
}

#[test]
fn a_checkpoint_computes_no_gradient_that_nobody_wants() {
    let tape = Tape::new();
    let (image, weight) = (tape.input(vector(&[0.3, -0.4])), tape.leaf(vector(&[1.1, 0.7])));
    let y = checkpoint(&[&image, &weight], |xs| Ok(vec![xs[0].sin()?.mul(&xs[1])?])).unwrap().remove(0);
    let seed = tape.input(vector(&[1.0, 1.0]));
    let grads = gradients(&[&y], &[seed], &[&image, &weight], true).unwrap();
    assert_eq!((grads[0].is_some(), grads[1].is_some()), (false, true));
    assert!(!names(&tape).contains(&"cos".to_string()), "{:?}", names(&tape));
}

#[test]
fn a_checkpoint_refuses_captured_variables() {
    let tape = Tape::new();
    let (x, hidden) = (tape.leaf(vector(&[1.0])), tape.leaf(vector(&[2.0])));
    let error = checkpoint(&[&x], move |xs| Ok(vec![xs[0].mul(&hidden)?])).unwrap_err();
    assert!(error.to_string().contains("pass it as an input"), "{error}");
}

/// x³, right or wrong.
#[derive(Debug)]
struct Cube {
    factor: f64,
}

impl CustomOp for Cube {
    fn name(&self) -> &str {
        "cube"
    }

    fn forward(&self, ins: &[&Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![ins[0].pow_scalar(3.0)?])
    }

    fn saves_results(&self) -> bool {
        false
    }

    fn backward(&self, cx: &Context<'_>) -> Result<Vec<Option<Var>>> {
        if self.factor == 0.0 {
            return Err(Error::Message("no slope".into()));
        }
        Ok(vec![Some(cx.input(0)?.square()?.mul_scalar(self.factor)?.mul(&cx.grad(0)?)?)])
    }
}

fn cube(factor: f64) -> impl Fn(&[Var]) -> Result<Vec<Var>> {
    move |xs| apply_custom(Rc::new(Cube { factor }), &[&xs[0]])
}

#[test]
fn operations_of_the_user() {
    let x = vector(&[0.5, -1.5]);
    gradcheck(std::slice::from_ref(&x), cube(3.0), &Options::default()).unwrap();
    gradgradcheck(std::slice::from_ref(&x), cube(3.0), &Options::default()).unwrap();
    // Its operand stays in memory, the result that it does not look at does not.
    let tape = Tape::new();
    cube(3.0)(&[tape.leaf(x)]).unwrap();
    assert_eq!(tape.saved_bytes(), 16);
}

#[test]
fn errors_of_the_user_keep_their_type() {
    let tape = Tape::new();
    let x = tape.leaf(vector(&[1.0]));
    tape.on_gradient(&x, |_| Err(Error::custom(std::io::Error::other("no network"))));
    let error = x.square().unwrap().sum_all().unwrap().backward().unwrap_err();
    assert_eq!(error.to_string(), "no network");
    let Error::Custom(cause) = error else { panic!("{error:?}") };
    assert!(cause.downcast_ref::<std::io::Error>().is_some());
}

#[test]
fn errors_in_backward_name_the_module() {
    let tape = Tape::new();
    let x = tape.leaf(vector(&[1.0]));
    tape.set_scope("up4.right.1".into());
    let y = cube(0.0)(&[x]).unwrap().remove(0);
    tape.set_scope("".into());
    let error = y.sum_all().unwrap().backward().unwrap_err();
    assert_eq!(error.to_string(), "up4.right.1: no slope");
}

#[test]
fn gradcheck_names_the_wrong_element() {
    let inputs = [vector(&[0.1]), Tensor::from_vec(vec![0.0, 0.0, 2.0, 0.0], &[2, 2]).unwrap()];
    let wrong = |xs: &[Var]| Ok(vec![xs[0].exp()?, cube(2.5)(&xs[1..])?.remove(0)]);
    let error = gradcheck(&inputs, wrong, &Options::default()).unwrap_err();
    let gradcheck::Error::Gradient { input, index, analytic, numeric, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((*input, &index[..]), (1, &[1, 0][..]));
    assert!((analytic / numeric - 2.5 / 3.0).abs() < 1e-6, "{error}");
    assert!(error.to_string().starts_with("wrong gradient of input 1 [2, 2] at [1, 0]"), "{error}");
}

#[test]
fn gradgradcheck_finds_a_wrong_second_derivative() {
    let f = |xs: &[Var]| {
        // Right at first, but the factor is cut off from what it depends on.
        let slope = xs[0].detach().square()?.mul_scalar(3.0)?;
        let linear = xs[0].mul(&slope)?;
        let shift = xs[0].detach().pow_scalar(3.0)?.sub(&linear.detach())?;
        Ok(vec![linear.add(&shift)?])
    };
    let x = [vector(&[0.5, 1.5])];
    gradcheck(&x, f, &Options::default()).unwrap();
    let error = gradgradcheck(&x, f, &Options::default()).unwrap_err();
    assert!(matches!(error, gradcheck::Error::Gradient { input: 0, .. }), "{error}");
}

#[test]
fn gradcheck_finds_values_that_depend_on_the_layout() {
    let f = |xs: &[Var]| {
        let plain = xs[0].tensor().layout().is_dense(tensor::Format::Contiguous);
        Ok(vec![xs[0].add_scalar(if plain { 0.0 } else { 1.0 })?])
    };
    let x = Tensor::ones(&[1, 2, 2, 2], DType::F64).unwrap();
    let error = gradcheck(&[x], f, &Options::default()).unwrap_err();
    let gradcheck::Error::Value { output: 0, placements, .. } = &error else { panic!("{error}") };
    assert_eq!(placements[..], [Placement::ChannelsLast]);
}

#[test]
fn gradcheck_wants_64_bits() {
    let x = Tensor::ones(&[2], DType::F32).unwrap();
    let f = |xs: &[Var]| Ok(vec![xs[0].exp()?]);
    let error = gradcheck(&[x], f, &Options::default()).unwrap_err();
    assert!(matches!(error, gradcheck::Error::Precision { what: "input", index: 0, .. }), "{error}");
}

#[test]
fn placements_keep_the_value() {
    let x = Tensor::from_vec((0..24).map(f64::from).collect(), &[1, 2, 3, 4]).unwrap();
    for placement in Placement::ALL {
        let placed = placement.place(&x).unwrap();
        assert_eq!(placed.dims(), x.dims());
        assert_eq!(placed.to_vec::<f64>().unwrap(), x.to_vec::<f64>().unwrap());
    }
    let strided = Placement::Strided.place(&x).unwrap();
    assert_eq!(strided.layout().strides(), [2, 2, 4, 12]);
}

/// Channels of two halves in turn, split again: the gradients of the pieces are never put together, unless somebody asks for
/// that of the whole.
#[test]
fn an_interleaving_takes_the_gradients_of_a_split_in_pieces() {
    let values = |from: usize| Tensor::arange(24, DType::F64).unwrap().add_scalar(from as f64).unwrap();
    let tape = Tape::new();
    let halves = [0, 24].map(|from| tape.leaf(values(from).reshape(&[2, 4, 3, 1]).unwrap()));
    let whole = Var::interleave(&[&halves[0], &halves[1]]).unwrap();
    let parts = whole.split(&[2, 6], 1).unwrap();
    let loss = parts[0].square().unwrap().sum_all().unwrap().add(&parts[1].sum_all().unwrap()).unwrap();
    let one = [Var::new(Tensor::scalar(1.0f64))];
    let asked = gradients(&[&loss], &one, &[&whole, &halves[1]], false).unwrap();
    let wanted = asked[1].as_ref().unwrap().tensor().to_f64_vec().unwrap();
    let undone = asked[0].as_ref().unwrap().deinterleave(2).unwrap();
    assert_eq!(undone[1].tensor().to_f64_vec().unwrap(), wanted);

    let (grads, samples) = tensor::profile::profile(|| loss.backward().unwrap());
    let names: Vec<_> = samples.iter().map(|sample| sample.op).collect();
    assert!(
        names.contains(&"deinterleave") && !names.contains(&"cat") && !names.contains(&"unslice"),
        "{names:?}"
    );
    assert_eq!(grad(&grads, &halves[1]), wanted);
    // Of the pixels' four channels in the second half, the first was squared.
    let expected = (24..48).map(|v| if v / 3 % 4 == 0 { 2.0 * v as f64 } else { 1.0 });
    assert_eq!(wanted, expected.collect::<Vec<_>>());
}

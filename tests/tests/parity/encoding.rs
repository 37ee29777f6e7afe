//! The Encoding layer: the encoders of Eq. 6, and the whole training head.

use nn::{Buffer, Ctx, Encoding, EncodingConfig, Initializer, Module, parameters};
use tensor::{DType, Ops};

use autograd::{Tape, Var};

use crate::fixture::{Case, Failures, Fixture, usual};
use crate::run::{DTYPES, Outcome, pass};

fn aggregate(failures: &mut Failures, case: &Case, dtype: DType) -> Outcome<()> {
    let (x, d, s) = (case.float("x", dtype), case.float("d", dtype), case.float("s", dtype));
    let config = EncodingConfig::new(d.dims()[1], 2).codewords(d.dims()[0]);
    let layer = config.build(&Initializer::new(0).dtype(dtype))?;
    layer.d.set(d);
    layer.s.set(s);
    let ctx = Ctx::trace(&Tape::new());
    let x = ctx.tape().ok_or("no tape")?.leaf(x);
    let y = layer.encode(&x, &ctx)?;
    failures.compare(case, "y", y.tensor(), usual(dtype));
    let grads = y.mul(&Var::new(case.float("gy", dtype)))?.sum_all()?.backward()?;
    for (name, g) in
        [("gx", grads.get(&x)), ("gd", ctx.grad(&grads, &layer.d)), ("gs", ctx.grad(&grads, &layer.s))]
    {
        failures.compare(case, name, g.ok_or("no gradient")?, usual(dtype));
    }
    Ok(())
}

fn head(file: &Fixture, failures: &mut Failures, dtype: DType) -> Outcome<()> {
    let case = file.case("head");
    let config =
        EncodingConfig::new(case.tensor("x").dims()[1], case.count("classes")).codewords(case.count("codes"));
    let layer: Encoding = config.build(&Initializer::new(0).dtype(dtype))?;
    let stored = |name: &str| name.replace('.', "_");
    for (name, param) in parameters(&layer) {
        param.set(case.float(&stored(&name), dtype));
    }
    let near = usual(dtype);
    let p = pass(&layer, true, case.float("x", dtype), &case.float("gy", dtype))?;
    failures.compare(&case, "y", &p.y, near);
    failures.compare(&case, "gx", &p.gx, near);
    for (name, g) in &p.gradients {
        failures.compare(&case, &format!("g{}", stored(name)), g, near);
    }
    let running: [(&str, &Buffer); 2] =
        [("running_mean", &layer.bn.running_mean), ("running_var", &layer.bn.running_var)];
    for (name, buffer) in running {
        failures.compare(&case, name, &buffer.value(), near);
    }
    let y = layer.forward(&Var::new(case.float("x", dtype)), &Ctx::eval())?;
    failures.compare(&file.case("head_eval"), "y", y.tensor(), near);
    Ok(())
}

#[test]
fn encoding() {
    let file = Fixture::open("encoding");
    let mut failures = Failures::default();
    for dtype in DTYPES {
        for case in file.cases() {
            let outcome = match case.text("op") {
                "encoding" => aggregate(&mut failures, &case, dtype),
                "encoding_head" if case.name == "head" => head(&file, &mut failures, dtype),
                "encoding_head" => Ok(()), // `head_eval`: compared within `head`
                other => Err(format!("no test for {other}").into()),
            };
            if let Err(e) = outcome {
                failures.add(format!("{} ({dtype}): {e}", case.path()));
            }
        }
    }
    failures.finish();
}

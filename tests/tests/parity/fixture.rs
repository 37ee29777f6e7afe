//! Reading a fixture file, and comparing with it: every difference of a file is collected and reported together.

use std::collections::BTreeMap;

use serde_json::Value;
use tensor::{DType, Ops, Tensor};

/// One fixture file.
pub struct Fixture {
    group: &'static str,
    tensors: BTreeMap<String, Tensor>,
    cases: BTreeMap<String, Value>,
}

/// One case of it.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    file: &'a Fixture,
    pub name: &'a str,
    params: &'a Value,
}

impl Fixture {
    /// Reads `tests/fixtures/<group>.safetensors`.
    pub fn open(group: &'static str) -> Self {
        let path = format!("{}/fixtures/{group}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap_or_else(|e| panic!("{path}: {e}"));
        let tensors = file
            .tensors()
            .into_iter()
            .map(|(name, view)| {
                let dtype = match view.dtype() {
                    safetensors::Dtype::F64 => DType::F64,
                    safetensors::Dtype::F32 => DType::F32,
                    safetensors::Dtype::I64 => DType::I64,
                    safetensors::Dtype::U8 => DType::U8,
                    other => panic!("{path}: {name} is {other:?}"),
                };
                let tensor = Tensor::from_bytes(view.data(), view.shape(), dtype)
                    .unwrap_or_else(|e| panic!("{path}: {name}: {e}"));
                (name, tensor)
            })
            .collect();
        let (_, header) =
            safetensors::SafeTensors::read_metadata(&bytes).unwrap_or_else(|e| panic!("{path}: {e}"));
        let cases = header
            .metadata()
            .iter()
            .flatten()
            .filter(|(name, _)| !name.starts_with('_'))
            .map(|(name, text)| {
                let params = serde_json::from_str(text)
                    .unwrap_or_else(|e| panic!("{path}: parameters of {name}: {e}"));
                (name.clone(), params)
            })
            .collect::<BTreeMap<_, _>>();
        assert!(!cases.is_empty(), "{path} holds no cases");
        Self { group, tensors, cases }
    }

    /// All cases, by name.
    pub fn cases(&self) -> impl Iterator<Item = Case<'_>> {
        self.cases.iter().map(|(name, params)| Case { file: self, name, params })
    }

    /// The case called `name`.
    pub fn case(&self, name: &str) -> Case<'_> {
        let known = || self.cases.keys().cloned().collect::<Vec<_>>().join(", ");
        self.cases()
            .find(|c| c.name == name)
            .unwrap_or_else(|| panic!("{}: no case {name} in {}", self.group, known()))
    }
}

impl<'a> Case<'a> {
    /// Where the case is, for messages.
    pub fn path(&self) -> String {
        format!("{}/{}", self.file.group, self.name)
    }

    /// A stored tensor as it is.
    pub fn tensor(&self, name: &str) -> Tensor {
        self.find(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.path()))
    }

    /// A stored tensor, if the case has it.
    pub fn find(&self, name: &str) -> Option<Tensor> {
        self.file.tensors.get(&format!("{}/{name}", self.name)).cloned()
    }

    /// A stored float tensor as `dtype`.
    pub fn float(&self, name: &str, dtype: DType) -> Tensor {
        self.tensor(name).cast(dtype).unwrap_or_else(|e| panic!("{}: {name}: {e}", self.path()))
    }

    /// Names below `prefix/`, without it.
    pub fn below(&self, prefix: &str) -> Vec<&'a str> {
        let start = format!("{}/{prefix}/", self.name);
        self.file.tensors.keys().filter_map(|k| k.strip_prefix(&start)).collect()
    }

    /// A parameter.
    pub fn param(&self, key: &str) -> &'a Value {
        self.params.get(key).unwrap_or_else(|| panic!("{}: no parameter {key}", self.path()))
    }

    /// A parameter, if the case has it.
    pub fn option(&self, key: &str) -> Option<&'a Value> {
        self.params.get(key)
    }

    /// A text parameter.
    pub fn text(&self, key: &str) -> &'a str {
        self.param(key).as_str().unwrap_or_else(|| panic!("{}: {key} is no text", self.path()))
    }

    /// A number.
    pub fn number(&self, key: &str) -> f64 {
        self.param(key).as_f64().unwrap_or_else(|| panic!("{}: {key} is no number", self.path()))
    }

    /// A count.
    pub fn count(&self, key: &str) -> usize {
        self.number(key) as usize
    }

    /// A list of counts.
    pub fn counts(&self, key: &str) -> Vec<usize> {
        let list = self.param(key).as_array().unwrap_or_else(|| panic!("{}: {key} is no list", self.path()));
        list.iter()
            .map(|v| v.as_u64().unwrap_or_else(|| panic!("{}: {key} holds no counts", self.path())) as usize)
            .collect()
    }

    /// A (vertical, horizontal) pair.
    pub fn pair(&self, key: &str) -> [usize; 2] {
        self.counts(key).try_into().unwrap_or_else(|_| panic!("{}: {key} is no pair", self.path()))
    }
}

/// How near a result must come.
#[derive(Clone, Copy)]
pub enum Within {
    /// The difference over the largest stored magnitude of the tensor.
    Scale(f64),
    /// The difference over each stored value's own magnitude (both below 1e-300 count as equal).
    Each(f64),
}

/// The usual bound for a dtype.
pub fn usual(dtype: DType) -> Within {
    Within::Scale(if dtype == DType::F64 { 1e-11 } else { 2e-5 })
}

/// Collects differences; dropping it without [`Failures::finish`] would lose them, hence the test ends with that.
#[derive(Default)]
pub struct Failures(Vec<String>);

impl Failures {
    /// Notes a failure.
    pub fn add(&mut self, what: impl Into<String>) {
        self.0.push(what.into());
    }

    /// Compares `got` with the stored tensor `name`: dims first, then every value.
    pub fn compare(&mut self, case: &Case, name: &str, got: &Tensor, within: Within) {
        self.compare_with(case, name, got, &case.tensor(name), within);
    }

    /// Compares `got` with `want`; `name` is for the message.
    pub fn compare_with(&mut self, case: &Case, name: &str, got: &Tensor, want: &Tensor, within: Within) {
        let place = format!("{}/{name} ({})", case.path(), got.dtype());
        if got.dims() != want.dims() {
            return self.add(format!("{place}: dims {:?}, should be {:?}", got.dims(), want.dims()));
        }
        let (g, w) = match (got.to_f64_vec(), want.to_f64_vec()) {
            (Ok(g), Ok(w)) => (g, w),
            (Err(e), _) | (_, Err(e)) => return self.add(format!("{place}: {e}")),
        };
        let largest = w.iter().filter(|v| v.is_finite()).fold(0.0, |m: f64, v| m.max(v.abs()));
        let mut worst = (0, 0.0);
        for (i, (a, b)) in g.iter().zip(&w).enumerate() {
            let error = match within {
                _ if a == b || (a.is_nan() && b.is_nan()) => 0.0,
                // An all-zero tensor must be met to rounding of numbers near 1.
                Within::Scale(_) if largest == 0.0 => (a - b).abs(),
                Within::Scale(_) => (a - b).abs() / largest,
                Within::Each(_) if a.abs().max(b.abs()) < 1e-300 => 0.0,
                Within::Each(_) => (a - b).abs() / b.abs(),
            };
            if error.is_nan() || error > worst.1 {
                worst = (i, if error.is_nan() { f64::INFINITY } else { error });
            }
        }
        let (Within::Scale(limit) | Within::Each(limit)) = within;
        if worst.1 > limit {
            let (i, error) = worst;
            self.add(format!(
                "{place}: relative error {error:.2e} (allowed {limit:.0e}) at {:?}: got {:e}, should be {:e}",
                index(i, want.dims()),
                g[i],
                w[i]
            ));
        }
    }

    /// Fails the test if anything was noted.
    pub fn finish(self) {
        assert!(self.0.is_empty(), "{} differences:\n  {}", self.0.len(), self.0.join("\n  "));
    }
}

/// The index of element `i` in row-major order.
fn index(mut i: usize, dims: &[usize]) -> Vec<usize> {
    let mut out = vec![0; dims.len()];
    for (slot, d) in out.iter_mut().zip(dims).rev() {
        *slot = i % d;
        i /= d;
    }
    out
}

#[test]
fn a_difference_is_noticed_and_placed() {
    let file = Fixture::open("conv");
    let case = file.case("linear");
    let mut wrong = case.tensor("y").to_f64_vec().unwrap();
    wrong[6] += 1e-6;
    let wrong = Tensor::from_vec(wrong, &[5, 4]).unwrap();
    let mut failures = Failures::default();
    failures.compare(&case, "y", &wrong, Within::Scale(1e-5));
    assert!(failures.0.is_empty(), "{:?}", failures.0);
    failures.compare(&case, "y", &wrong, Within::Each(1e-11));
    failures.compare(&case, "y", &wrong, usual(DType::F64));
    failures.compare(&case, "x", &wrong, usual(DType::F64));
    assert_eq!(failures.0.len(), 3);
    assert!(
        failures.0[1].starts_with("conv/linear/y (f64): relative error") && failures.0[1].contains("[1, 2]")
    );
    assert!(failures.0[2].contains("dims [5, 4], should be [5, 7]"), "{}", failures.0[2]);
}

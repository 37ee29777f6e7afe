//! Who is at work: the path of the module whose operations this thread applies, for those who say what memory is held for.
//!
//! Whoever runs modules says where it is ([`within`], [`backward`]); a backend asks when it makes a buffer ([`label`]).
//! Setting it costs as much as cloning a handle, and nothing else reads it.

use std::{cell::RefCell, rc::Rc};

#[derive(Clone)]
struct Scope {
    path: Rc<str>,
    backward: bool,
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// Puts the scope back that was there before, also when a panic passes.
struct Restore(Option<Scope>);

impl Drop for Restore {
    fn drop(&mut self) {
        SCOPE.set(self.0.take());
    }
}

fn enter<R>(path: &Rc<str>, backward: bool, f: impl FnOnce() -> R) -> R {
    // What has no name of its own belongs to whoever called it.
    if path.is_empty() {
        return f();
    }
    let _restore = Restore(SCOPE.replace(Some(Scope { path: path.clone(), backward })));
    f()
}

/// Runs `f` as the module at `path`; an empty one is part of what runs already.
pub fn within<R>(path: &Rc<str>, f: impl FnOnce() -> R) -> R {
    enter(path, false, f)
}

/// Runs `f`, which finds gradients for the module at `path`.
pub fn backward<R>(path: &Rc<str>, f: impl FnOnce() -> R) -> R {
    enter(path, true, f)
}

/// What memory is for that the operation `op` asks for now: `up4.right.1 conv2d`.
pub fn label(op: &str) -> String {
    SCOPE.with_borrow(|scope| match scope {
        None => op.to_owned(),
        Some(Scope { path, backward: false }) => format!("{path} {op}"),
        Some(Scope { path, backward: true }) => format!("{path} {op} (backward)"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_name_the_innermost_module() {
        assert_eq!(label("add"), "add");
        within(&"up4".into(), || {
            let inner = within(&"up4.right.1".into(), || within(&"".into(), || label("conv2d")));
            assert_eq!(inner, "up4.right.1 conv2d");
            assert_eq!(backward(&"up4".into(), || label("mul")), "up4 mul (backward)");
            assert_eq!(label("add"), "up4 add");
        });
        let panics = std::panic::catch_unwind(|| within(&"a".into(), || panic!("as it should")));
        assert!(panics.is_err());
        assert_eq!(label("add"), "add");
    }
}

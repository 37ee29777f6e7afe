//! The C functions of NVIDIA's libraries, called without the panics of the generated bindings.
//!
//! `cudarc`'s generated `sys` modules hold every C type and signature, but their functions open libraries on their own and
//! panic where one is missing. Here a library is opened by [`locate`](crate::locate()), every function that the backend uses
//! is looked up at once ([`table`]), and a call takes its C type from the binding of the same name ([`abi`]): no signature is
//! typed by hand, a missing function is an error that names it, and a status code unknown to the bindings stays a number.

pub(crate) mod abi;
pub(crate) mod table;

pub(crate) use table::Libraries;

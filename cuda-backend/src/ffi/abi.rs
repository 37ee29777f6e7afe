//! From a generated binding to the C function behind it.
//!
//! `cudarc` declares `pub unsafe fn cuInit(flags: c_uint) -> CUresult`, which calls `extern "C" fn(c_uint) -> CUresult` with
//! the same arguments. [`Signature`] turns the one type into the other, so that an address from our own lookup is called
//! with the declared arguments. Status enums are read as the integers they are in C: a library newer than the bindings may
//! return codes that the enum lacks.

use std::ffi::{c_int, c_void};

/// The address of a function in a library that is never closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol(pub *const c_void);

// SAFETY: an address of code, the same on every thread.
unsafe impl Send for Symbol {}
// SAFETY: as above.
unsafe impl Sync for Symbol {}

/// A generated binding that returns a status code.
pub(crate) trait Signature {
    /// The C function's type.
    type C: Copy;

    /// The address as that type.
    ///
    /// # Safety
    /// `symbol` must be the C function that the binding is for.
    unsafe fn at(self, symbol: Symbol) -> Self::C;
}

macro_rules! signatures {
    ($($($arg:ident)*;)*) => {$(
        impl<R, $($arg),*> Signature for unsafe fn($($arg),*) -> R {
            type C = unsafe extern "C" fn($($arg),*) -> c_int;

            unsafe fn at(self, symbol: Symbol) -> Self::C {
                const { assert!(size_of::<R>() == size_of::<c_int>(), "only for functions that return a status") };
                // SAFETY: an address of code is a function pointer; the caller vouches for its type, in which the status
                // enum of four bytes is replaced by the integer of four bytes that it is in C.
                unsafe { std::mem::transmute_copy(&symbol.0) }
            }
        }
    )*};
}

signatures! {
    ;
    A;
    A B;
    A B C0;
    A B C0 D;
    A B C0 D E;
    A B C0 D E F;
    A B C0 D E F G;
    A B C0 D E F G H;
    A B C0 D E F G H I;
    A B C0 D E F G H I J;
    A B C0 D E F G H I J K;
    A B C0 D E F G H I J K L;
    A B C0 D E F G H I J K L M;
    A B C0 D E F G H I J K L M N;
    A B C0 D E F G H I J K L M N O;
    A B C0 D E F G H I J K L M N O P;
    A B C0 D E F G H I J K L M N O P Q;
    A B C0 D E F G H I J K L M N O P Q S;
    A B C0 D E F G H I J K L M N O P Q S T;
}

/// Stands for a type that inference finds.
macro_rules! hole {
    ($arg:expr) => {
        _
    };
}

/// The status of one C call: `call!(table, sys::cuMemAlloc_v2(&mut address, bytes))`. Unsafe, as every C call.
macro_rules! call {
    ($table:expr, $sys:ident::$function:ident($($arg:expr),* $(,)?)) => {
        {
            let binding: unsafe fn($($crate::ffi::abi::hole!($arg)),*) -> _ = $sys::$function;
            $crate::ffi::abi::Signature::at(binding, $table.$function)($($arg),*)
        }
    };
}

pub(crate) use {call, hole};

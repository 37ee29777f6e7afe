//! Chapter 9: CUDA kernels (`09-kernel.cu`), run on the CPU.

use std::{
    error::Error,
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    path::Path,
    process::Command,
    ptr::from_ref,
};

use libloading::Library;
use tensor::{DType, Ops, Tensor, ops::Distribution, rng::Key};

const ROWS: usize = 3;
const COLUMNS: usize = 1000;

/// Name, blocks, threads of a block, bytes of dynamic shared memory, pointers to the arguments: as `cuLaunchKernel`.
type Launch =
    extern "C" fn(*const c_char, *const c_uint, *const c_uint, c_uint, *const *const c_void) -> c_int;

/// The kernels compiled by g++, each CUDA thread a fiber.
fn compile() -> Result<Library, Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = std::env::current_exe()?.with_extension("host");
    let mut build = Command::new("sh");
    build.arg(here.join("../cuda-backend/kernels/host/build.sh")).arg(&out);
    let run = build.env("KERNELS", here.join("09-kernel.cu")).output()?;
    if !run.status.success() {
        return Err(String::from_utf8_lossy(&run.stderr).into());
    }
    // SAFETY: the library is ours; loading it only fills its table of kernels.
    Ok(unsafe { Library::new(out.join("libkernels_host.so"))? })
}

fn main() -> Result<(), Box<dyn Error>> {
    let library = compile()?;
    // SAFETY: these are the types that `host/shim.cpp` declares.
    let (launch, schedule, message) = unsafe {
        (
            *library.get::<Launch>(b"shim_launch")?,
            *library.get::<extern "C" fn(u64)>(b"shim_schedule")?,
            *library.get::<extern "C" fn() -> *const c_char>(b"shim_error")?,
        )
    };
    let run = |kernel: &CStr, args: &[*const c_void]| -> Result<(), String> {
        match launch(kernel.as_ptr(), [ROWS as u32, 1, 1].as_ptr(), [256, 1, 1].as_ptr(), 0, args.as_ptr()) {
            0 => Ok(()),
            // SAFETY: a C string that lives until the next launch.
            _ => Err(unsafe { CStr::from_ptr(message()) }.to_string_lossy().into_owned()),
        }
    };

    let uniform = Distribution::Uniform { low: 0.0, high: 1.0 };
    let matrix = Tensor::random(uniform, &[ROWS, COLUMNS], DType::F32, Key::new(9, 0))?;
    println!("by the CPU backend  {:.3?}", matrix.sum(&[1], false)?.to_vec::<f32>()?);
    let (x, n) = (matrix.to_vec::<f32>()?, COLUMNS as i64);
    for kernel in [c"row_sums", c"hasty_row_sums"] {
        println!("{}", kernel.to_string_lossy());
        for (name, order) in [("0, 1, 2, …", 0), ("255, 254, …", 1), ("at random", 2026)] {
            schedule(order);
            let mut sums = [0_f32; ROWS];
            let (from, to) = (x.as_ptr(), sums.as_mut_ptr());
            run(kernel, &[from_ref(&from).cast(), from_ref(&to).cast(), from_ref(&n).cast()])?;
            println!("  threads {name:<12} {sums:.3?}");
        }
    }
    schedule(0);
    let mut sums = [0_f32; ROWS];
    let to = sums.as_mut_ptr();
    println!("lonely_barrier\n  {}", run(c"lonely_barrier", &[from_ref(&to).cast()]).unwrap_err());
    Ok(())
}

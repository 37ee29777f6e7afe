//! The kernels as g++ compiles them, and memory to run them on. Built once into the target folder by
//! `kernels/host/build.sh`.

use std::{
    collections::BTreeSet,
    ffi::{CStr, CString, c_char, c_int, c_uint, c_void},
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, OnceLock},
};

use libloading::Library;
use tensor::{DType, Element, Format, Layout, Ops, Tensor, cpu};

/// Under AddressSanitizer the library is another one, and memory has no borders of its own.
pub const SANITIZED: &str = "KERNELS_SANITIZED";

/// Names the file into which the names of launched kernels go.
pub const LAUNCHED: &str = "KERNELS_LAUNCHED";

/// A compiled set of kernels.
pub struct Host {
    library: Library,
}

/// Where the crate's kernels lie.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels")
}

impl Host {
    /// Compiles `kernels` (all of the crate's where empty) into the folder `name` of the target folder.
    ///
    /// # Panics
    /// With what the compiler says, or that there is none.
    pub fn build(name: &str, kernels: &[PathBuf], options: &[&str]) -> Self {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut command = Command::new("sh");
        command.arg(sources().join("host/build.sh")).arg(&out).args(options).env_remove("LD_PRELOAD");
        if !kernels.is_empty() {
            let list: Vec<_> = kernels.iter().map(|k| k.display().to_string()).collect();
            command.env("KERNELS", list.join(" "));
        }
        let run = command.output().expect("sh runs");
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "the kernels do not compile for the CPU:\n{said}");
        assert!(said.is_empty(), "g++ warns:\n{said}");
        let path = out.join("libkernels_host.so");
        // SAFETY: the library is ours; its constructors only fill the table of kernels.
        let library = unsafe { Library::new(&path) };
        Self { library: library.unwrap_or_else(|e| panic!("{}: {e}", path.display())) }
    }

    /// The crate's kernels.
    pub fn get() -> &'static Self {
        static HOST: OnceLock<Host> = OnceLock::new();
        HOST.get_or_init(|| match std::env::var_os(SANITIZED) {
            Some(_) => Self::build("kernels-sanitized", &[], &["-fsanitize=address"]),
            None => Self::build("kernels", &[], &[]),
        })
    }

    fn function<F: Copy>(&self, name: &str) -> F {
        // SAFETY: the callers name the types that `host/shim.cpp` declares.
        unsafe { *self.library.get::<F>(name.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}")) }
    }

    /// The names of all kernels.
    pub fn names(&self) -> Vec<String> {
        let name: extern "C" fn(c_uint) -> *const c_char = self.function("shim_name");
        let names = (0..).map(|i| name(i)).take_while(|p| !p.is_null());
        // SAFETY: the library's names are C strings that live as long as it does.
        names.map(|p| unsafe { CStr::from_ptr(p) }.to_string_lossy().into_owned()).collect()
    }

    /// In which order the threads of this OS thread's launches run.
    pub fn schedule(&self, order: u64) {
        self.function::<extern "C" fn(u64)>("shim_schedule")(order);
    }

    /// Runs a kernel.
    pub fn try_launch(
        &self,
        name: &str,
        grid: [u32; 3],
        block: [u32; 3],
        args: &[&dyn Arg],
    ) -> Result<(), String> {
        type Launch =
            extern "C" fn(*const c_char, *const c_uint, *const c_uint, c_uint, *mut *mut c_void) -> c_int;
        let has: extern "C" fn(*const c_char) -> c_int = self.function("shim_has");
        let text = CString::new(name).unwrap();
        assert_eq!(has(text.as_ptr()), 1, "there is no kernel {name}");
        note_launch(name);
        let mut pointers: Vec<*mut c_void> = args.iter().map(|a| a.pointer()).collect();
        let launch: Launch = self.function("shim_launch");
        if launch(text.as_ptr(), grid.as_ptr(), block.as_ptr(), 0, pointers.as_mut_ptr()) == 0 {
            return Ok(());
        }
        let error: extern "C" fn() -> *const c_char = self.function("shim_error");
        // SAFETY: a C string that lives until the next launch of this thread.
        Err(unsafe { CStr::from_ptr(error()) }.to_string_lossy().into_owned())
    }

    /// Runs a kernel over `n` elements in blocks of one axis, with fewer threads than elements, so that loops over the
    /// grid turn.
    pub fn over(&self, name: &str, n: usize, args: &[&dyn Arg]) {
        if n > 0 {
            let blocks = (n as u32).div_ceil(256).clamp(1, 3);
            self.launch(name, [blocks, 1, 1], [256, 1, 1], args);
        }
    }

    /// Runs a kernel that has to succeed.
    pub fn launch(&self, name: &str, grid: [u32; 3], block: [u32; 3], args: &[&dyn Arg]) {
        if let Err(e) = self.try_launch(name, grid, block, args) {
            panic!("{e}");
        }
    }
}

/// Writes the names of kernels down, each once, where [`LAUNCHED`] asks for it.
fn note_launch(name: &str) {
    static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let Some(path) = std::env::var_os(LAUNCHED) else { return };
    // Held until the line is written: lines of several threads must not run into each other.
    let mut seen = SEEN.lock().unwrap();
    if seen.insert(name.to_owned()) {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{name}").unwrap();
    }
}

/// Runs a check under each of the three orders of threads and blocks (under AddressSanitizer, which is slow, in one).
pub fn schedules(check: impl Fn(&Host)) {
    let host = Host::get();
    let orders: &[u64] = if std::env::var_os(SANITIZED).is_some() { &[3] } else { &[0, 1, 20_261_121] };
    for &order in orders {
        host.schedule(order);
        check(host);
    }
    host.schedule(0);
}

/// An argument of a kernel.
pub trait Arg {
    /// Where its bytes lie.
    fn pointer(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}
impl Arg for i32 {}
impl Arg for u32 {}
impl Arg for i64 {}
impl Arg for u64 {}
impl Arg for f32 {}
impl Arg for f64 {}
impl Arg for *mut u8 {}

/// Memory of a known size. Its bytes are all ones at first (NaN), and something follows that has to stay as it is; not so
/// under AddressSanitizer, which watches the end itself.
pub struct Memory {
    base: *mut u8,
    layout: std::alloc::Layout,
    len: usize,
    /// The first byte, as kernels take it.
    address: *mut u8,
}

impl Arg for Memory {
    fn pointer(&self) -> *mut c_void {
        self.address.pointer()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `shifted` with this layout.
        unsafe { std::alloc::dealloc(self.base, self.layout) };
    }
}

const BORDER: u8 = 0xA5;

impl Memory {
    /// `len` bytes that start `shift` bytes after a 16-byte boundary.
    pub fn shifted(len: usize, shift: usize) -> Self {
        let border = if std::env::var_os(SANITIZED).is_some() { 0 } else { 32 };
        let layout = std::alloc::Layout::from_size_align((shift + len + border).max(1), 16).unwrap();
        // SAFETY: the size is not zero; all bytes written lie within it.
        let (base, address) = unsafe {
            let base = std::alloc::alloc(layout);
            assert!(!base.is_null());
            base.write_bytes(BORDER, layout.size());
            let address = base.add(shift);
            address.write_bytes(0xFF, len);
            (base, address)
        };
        Self { base, layout, len, address }
    }

    /// Holding these bytes.
    fn holding(bytes: &[u8], shift: usize) -> Self {
        let memory = Self::shifted(bytes.len(), shift);
        // SAFETY: as many bytes as were allocated, which nobody else has.
        unsafe { memory.address.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        memory
    }

    /// Where it starts.
    pub fn address(&self) -> *mut u8 {
        self.address
    }

    /// For `n` elements.
    pub fn new(n: usize, dtype: DType) -> Self {
        Self::shifted(n * dtype.size(), 0)
    }

    /// Holding a tensor's elements, dense in `format`.
    pub fn of(t: &Tensor, format: Format) -> Self {
        Self::shifted_of(t, format, 0)
    }

    /// The same, `shift` bytes after a 16-byte boundary.
    pub fn shifted_of(t: &Tensor, format: Format, shift: usize) -> Self {
        let dense = t.copy(format).unwrap();
        let bytes = cpu::device().download(dense.buffer().as_ref()).unwrap();
        Self::holding(&bytes[..t.len() * t.dtype().size()], shift)
    }

    /// Holding these values.
    pub fn with<T: Element>(values: &[T]) -> Self {
        Self::of(&Tensor::from_slice(values, &[values.len()]).unwrap(), Format::Contiguous)
    }

    /// Holding the bytes of structs, which have no padding.
    pub fn structs<T>(values: &[T]) -> Self {
        // SAFETY: the structs' bytes, all of which are initialised.
        Self::holding(unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }, 0)
    }

    /// Zeros.
    pub fn zeros(n: usize, dtype: DType) -> Self {
        Self::holding(&vec![0; n * dtype.size()], 0)
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: they live as long as `self`; no kernel runs while the slice is held.
        unsafe { std::slice::from_raw_parts(self.address, self.len) }
    }

    /// The elements as a tensor of dense `dims` in `format`.
    pub fn read(&self, dims: &[usize], dtype: DType, format: Format) -> Tensor {
        let behind = self.layout.size() - (self.address as usize - self.base as usize) - self.len;
        // SAFETY: what was allocated behind the bytes.
        let border = unsafe { std::slice::from_raw_parts(self.address.add(self.len), behind) };
        assert!(border.iter().all(|&b| b == BORDER), "the kernel wrote beyond the end");
        let n: usize = dims.iter().product();
        assert_eq!(self.len, n * dtype.size());
        let buffer = cpu::device().upload(self.bytes()).unwrap();
        Tensor::from_parts(buffer, Layout::dense(dims, format), dtype)
    }

    /// The elements in the order of memory.
    pub fn values<T: Element>(&self) -> Vec<T> {
        self.read(&[self.len / size_of::<T>()], T::DTYPE, Format::Contiguous).to_vec().unwrap()
    }
}

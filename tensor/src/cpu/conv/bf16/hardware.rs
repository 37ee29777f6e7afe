//! AMX itself: whether it can be used, and its instructions.

use std::arch::{asm, x86_64};
use std::sync::OnceLock;

use half::bf16;

use super::amx::{Config, Tiles};
use super::emulated::Emulated;

/// Whether the processor has AMX with bf16, the kernel lets this process use it, and it computes what it should. Asked once.
pub(super) fn is_usable() -> bool {
    static USABLE: OnceLock<bool> = OnceLock::new();
    *USABLE.get_or_init(|| {
        let there = is_there() && is_permitted();
        if there && product::<Hardware>() != product::<Emulated>() {
            eprintln!("warning: this machine's AMX does not multiply as it should: it is not used");
            return false;
        }
        there
    })
}

/// Whether processor and operating system have it.
fn is_there() -> bool {
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    const OSXSAVE: u32 = 1 << 27;
    // Miri has no processor to ask.
    if cfg!(miri) || x86_64::__cpuid(0).eax < 7 || x86_64::__cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    let features = x86_64::__cpuid_count(7, 0).edx;
    if features & (AMX_BF16 | AMX_TILE) != AMX_BF16 | AMX_TILE {
        return false;
    }
    let (low, _high): (u32, u32);
    // SAFETY: OSXSAVE says that the instruction is there; it reads a register of the processor.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _high, options(nomem, nostack)) };
    // State of tile configuration and tile data.
    low >> 17 & 3 == 3
}

/// Asks the kernel for the tiles' state to be kept for this process's threads.
fn is_permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XFEATURE_XTILEDATA: u64 = 18;
    let result: i64;
    // SAFETY: a system call that reads and writes no memory of ours; it clobbers rcx and r11.
    unsafe {
        asm!("syscall", inlateout("rax") ARCH_PRCTL => result, in("rdi") ARCH_REQ_XCOMP_PERM,
             in("rsi") XFEATURE_XTILEDATA, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result == 0
}

/// One product of tiles whose sums are exact in any order.
fn product<T: Tiles>() -> [f32; 256] {
    let number = |i: usize, n: usize| bf16::from_f32((i * n % 17) as f32 - 8.0);
    let a: [bf16; 512] = std::array::from_fn(|i| number(i, 7));
    let b: [bf16; 512] = std::array::from_fn(|i| number(i, 11));
    let mut c = [0.0; 256];
    let mut tiles = T::new();
    tiles.configure(&Config::new(16));
    // SAFETY: the arrays hold 16 rows of 64 bytes each.
    unsafe {
        tiles.zero::<3>();
        tiles.load::<5>(a.as_ptr().cast(), 64);
        tiles.load::<7>(b.as_ptr().cast(), 64);
        tiles.dot::<3, 5, 7>();
        tiles.dot::<3, 5, 7>();
        tiles.store::<3>(c.as_mut_ptr().cast(), 64);
    }
    tiles.release();
    c
}

/// The tiles of this thread, on a machine where [`is_usable`].
pub(super) struct Hardware;

impl Tiles for Hardware {
    fn new() -> Self {
        Self
    }

    fn configure(&mut self, config: &Config) {
        // SAFETY: 64 bytes of a valid configuration.
        unsafe { asm!("ldtilecfg [{}]", in(reg) std::ptr::from_ref(config), options(nostack)) }
    }

    fn zero<const TILE: u8>(&mut self) {
        // SAFETY: tiles are configured.
        unsafe { asm!("tilezero tmm{t}", t = const TILE, options(nostack, nomem)) }
    }

    unsafe fn load<const TILE: u8>(&mut self, from: *const u8, stride: usize) {
        // SAFETY: as promised by the caller.
        unsafe {
            asm!("tileloadd tmm{t}, [{from} + {stride}*1]", t = const TILE, from = in(reg) from,
                 stride = in(reg) stride, options(nostack, readonly));
        }
    }

    unsafe fn store<const TILE: u8>(&mut self, to: *mut u8, stride: usize) {
        // SAFETY: as promised by the caller.
        unsafe {
            asm!("tilestored [{to} + {stride}*1], tmm{t}", t = const TILE, to = in(reg) to,
                 stride = in(reg) stride, options(nostack));
        }
    }

    fn dot<const C: u8, const A: u8, const B: u8>(&mut self) {
        // SAFETY: tiles are configured, with sizes that fit.
        unsafe {
            asm!("tdpbf16ps tmm{c}, tmm{a}, tmm{b}", c = const C, a = const A, b = const B,
                 options(nostack, nomem));
        }
    }

    fn release(&mut self) {
        // SAFETY: makes the tiles empty.
        unsafe { asm!("tilerelease", options(nostack, nomem)) }
    }
}

/// Products on tiles alone, on a machine where [`is_usable`]: the ceiling. Returns the floating-point operations done.
pub(super) fn peak(rounds: usize) -> usize {
    let mut tiles = Hardware;
    tiles.configure(&Config::new(16));
    for _ in 0..rounds {
        tiles.dot::<0, 4, 6>();
        tiles.dot::<1, 4, 7>();
        tiles.dot::<2, 5, 6>();
        tiles.dot::<3, 5, 7>();
    }
    tiles.release();
    rounds * 4 * 2 * 16 * 16 * 32
}

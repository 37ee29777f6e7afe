//! Which instructions multiply bf16 numbers.

use crate::cpu::simd::Isa;

/// An inner loop for bf16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// f32 arithmetic of this instruction set on copies widened to f32.
    Widened(Isa),
    /// AVX512-BF16: pairs of products in 512-bit vectors.
    Paired,
    /// Intel's AMX: products of tiles of 16 × 32 and 32 × 16 numbers.
    Amx,
    /// The AMX path with tiles emulated in Rust, to test it on other machines.
    #[cfg(test)]
    Emulated,
}

impl Engine {
    /// The fastest that the processor has and [`Isa::current`] allows.
    pub fn current() -> Self {
        #[cfg(test)]
        if let Some(engine) = FORCED.get() {
            return engine;
        }
        let isa = Isa::current();
        if isa < Isa::Avx512 {
            return Engine::Widened(isa);
        }
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if super::hardware::is_usable() {
            return Engine::Amx;
        }
        #[cfg(target_arch = "x86_64")]
        if crate::cpu::simd::pairs::is_available() && crate::cpu::simd::pairs::pays() {
            return Engine::Paired;
        }
        Engine::Widened(isa)
    }

    /// What the processor has and is not used, with the reason.
    pub fn passed_over() -> Option<&'static str> {
        #[cfg(target_arch = "x86_64")]
        if matches!(Self::current(), Self::Widened(Isa::Avx512)) && crate::cpu::simd::pairs::is_available() {
            return Some("AVX512-BF16 is passed over: it is slower on this processor");
        }
        None
    }

    /// Multiply-add ceiling of one core in floating-point operations per second, measured on registers alone (the best of
    /// several rounds).
    pub fn peak_flops(self) -> f64 {
        #[cfg(target_arch = "x86_64")]
        let rate = |run: &dyn Fn(usize) -> usize| {
            const ROUNDS: usize = 20_000;
            let once = |_| {
                let start = std::time::Instant::now();
                let flops = run(std::hint::black_box(ROUNDS));
                flops as f64 / start.elapsed().as_secs_f64()
            };
            (0..20).map(once).fold(0.0, f64::max)
        };
        match self {
            Engine::Widened(isa) => crate::cpu::simd::peak_flops::<f32>(isa).unwrap_or(f64::NAN),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the engine is chosen where its instructions are there.
            Engine::Paired => rate(&|rounds| unsafe { crate::cpu::simd::pairs::peak(rounds) }),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Engine::Amx => rate(&super::hardware::peak),
            #[allow(unreachable_patterns)]
            _ => f64::NAN,
        }
    }

    /// How many products it does while f32 arithmetic does one; none where Winograd's tiles, which take f32, never pay.
    pub(super) fn speed(self) -> Option<f64> {
        match self {
            Engine::Widened(_) => Some(1.0),
            Engine::Paired => Some(1.6),
            _ => None,
        }
    }

    /// Channels of a row of weights.
    pub(super) fn unit(self) -> usize {
        match self {
            Engine::Widened(_) => 1,
            _ => 2,
        }
    }

    /// Output channels of a vector.
    pub(super) fn lanes(self) -> usize {
        match self {
            Engine::Widened(isa) => crate::cpu::simd::table::f32_kernels(isa).lanes,
            _ => 16,
        }
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Engine::Widened(isa) => write!(f, "f32 arithmetic by {isa}"),
            Engine::Paired => f.write_str("AVX512-BF16"),
            Engine::Amx => f.write_str("AMX"),
            #[cfg(test)]
            Engine::Emulated => f.write_str("AMX, emulated"),
        }
    }
}

#[cfg(test)]
thread_local! {
    static FORCED: std::cell::Cell<Option<Engine>> = const { std::cell::Cell::new(None) };
}

/// Runs `f` with weights that this thread packs prepared for `engine`.
#[cfg(test)]
pub(crate) fn with_engine<R>(engine: Engine, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Engine>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    let _restore = Restore(FORCED.replace(Some(engine)));
    f()
}

#[cfg(test)]
impl Engine {
    /// All that can run here.
    pub(crate) fn available() -> Vec<Engine> {
        let mut all: Vec<Engine> = Isa::available().map(Engine::Widened).collect();
        all.push(Engine::Emulated);
        #[cfg(target_arch = "x86_64")]
        if crate::cpu::simd::pairs::is_available() {
            all.push(Engine::Paired);
        }
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if super::hardware::is_usable() {
            all.push(Engine::Amx);
        }
        all
    }
}

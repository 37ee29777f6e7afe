//! `dsnet doctor`.

use clap::Args;
use tensor::cpu::conv::Bf16Engine;

use super::print_json;
use crate::{
    Result,
    bench::kilobytes,
    device::processor,
    ui::{bytes, counted, outln},
};

/// Options of `dsnet doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Processor features that kernels can use, and whether this one has them.
fn features() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "x86_64")]
    {
        vec![
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
        ]
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        Vec::new()
    }
}

impl DoctorArgs {
    pub(super) fn run(self) -> Result<()> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let name = processor();
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = |key: &str| kilobytes(&meminfo, key).map(|kb| kb as u64 * 1024);
        let (total, free) = (memory("MemTotal:"), memory("MemAvailable:"));
        let features = features();
        let isa = format!("{:?}", tensor::cpu::simd::Isa::current()).to_lowercase();
        let halves = Bf16Engine::current().to_string();
        let cuda = cuda_backend::examine(&cuda_backend::Environment::current());
        if self.json {
            return print_json(&serde_json::json!({
                "version": env!("CARGO_PKG_VERSION"),
                "cpu": name,
                "threads": cores,
                "kernels": isa,
                "bf16_kernels": halves,
                "bf16_passed_over": Bf16Engine::passed_over(),
                "features": features.iter().map(|(n, has)| ((*n).to_owned(), *has)).collect::<std::collections::BTreeMap<_, _>>(),
                "memory_bytes": total,
                "available_bytes": free,
                "cuda_ready": cuda.ready(),
                "cuda_problems": cuda.problems(),
            }));
        }
        let list = |wanted: bool, verb: &str| {
            let names: Vec<&str> = features.iter().filter(|f| f.1 == wanted).map(|f| f.0).collect();
            if names.is_empty() { String::new() } else { format!("{verb} {}; ", names.join(", ")) }
        };
        let size = |b: Option<u64>| b.map_or("unknown".to_owned(), bytes);
        outln!("dsnet {}", env!("CARGO_PKG_VERSION"))?;
        outln!("processor  {name}, {}", counted(cores, "thread"))?;
        outln!("vectors    {}{}kernels use {isa}", list(true, "has"), list(false, "has not"))?;
        let passed_over = Bf16Engine::passed_over().map_or(String::new(), |why| format!(" ({why})"));
        outln!("bf16       by {halves}{passed_over}")?;
        outln!("memory     {}, {} available\n", size(total), size(free))?;
        outln!("{cuda}")?;
        Ok(())
    }
}

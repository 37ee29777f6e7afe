//! Lists the kernels for `include_str!`, and compiles them where an nvcc is at hand. Never fails for want of one: the program
//! then compiles kernels when it first needs them, by NVRTC.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Oldest to newest, those of which nvcc knows; a newer GPU compiles the last one's portable code.
const ARCHITECTURES: [u32; 7] = [75, 80, 86, 89, 90, 100, 120];

fn main() {
    println!("cargo::rerun-if-changed=kernels");
    for variable in ["NVCC", "CUDA_HOME", "CUDA_PATH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("kernels");
    let out = PathBuf::from(variable("OUT_DIR"));
    let sources = files(&folder, "cu");
    let nvcc = nvcc();
    let mut text = String::from("Sources {\n  headers: &[\n");
    for header in files(&folder, "cuh") {
        let name = header.file_name().unwrap_or_default().to_string_lossy().into_owned();
        text += &format!("    ({name:?}, include_str!({header:?})),\n");
    }
    text += "  ],\n  groups: &[\n";
    for source in &sources {
        let group = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let binary =
            nvcc.as_ref().and_then(|nvcc| compile(nvcc, source, &out.join(format!("{group}.fatbin"))));
        let binary = binary.map_or("None".to_owned(), |path| format!("Some(include_bytes!({path:?}))"));
        text += &format!(
            "    Source {{ group: {group:?}, text: include_str!({source:?}), binary: {binary} }},\n"
        );
    }
    text += "  ],\n}\n";
    fs::write(out.join("sources.rs"), text).expect("cargo's output folder can be written");
}

/// Files of a folder with one extension, sorted.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut files: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

fn variable(name: &str) -> String {
    env::var(name).expect("cargo sets it for build scripts")
}

/// `$NVCC`, a toolkit's, or the first on the path; none where none answers.
fn nvcc() -> Option<PathBuf> {
    let toolkits = ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(env::var_os)
        .map(|t| Path::new(&t).join("bin/nvcc"));
    let all =
        env::var_os("NVCC").map(PathBuf::from).into_iter().chain(toolkits).chain([PathBuf::from("nvcc")]);
    all.into_iter()
        .find(|nvcc| Command::new(nvcc).arg("--version").output().is_ok_and(|o| o.status.success()))
}

/// The architectures that this nvcc compiles for.
fn known(nvcc: &Path) -> Vec<u32> {
    let listed = Command::new(nvcc).arg("--list-gpu-arch").output().map(|output| output.stdout);
    let listed = String::from_utf8_lossy(&listed.unwrap_or_default()).into_owned();
    let knows = |arch: &u32| listed.lines().any(|line| line.trim() == format!("compute_{arch}"));
    ARCHITECTURES.into_iter().filter(knows).collect()
}

/// The fat binary, or none (with a warning) where this nvcc does not compile the kernels.
fn compile(nvcc: &Path, source: &Path, to: &Path) -> Option<PathBuf> {
    let mut command = Command::new(nvcc);
    command.args(["-fatbin", "-std=c++17", "--fmad=false", "-O3", "-o"]).arg(to).arg(source);
    let known = known(nvcc);
    for arch in &known {
        command.arg(format!("-gencode=arch=compute_{arch},code=sm_{arch}"));
    }
    let newest = known.last()?;
    command.arg(format!("-gencode=arch=compute_{newest},code=compute_{newest}"));
    match command.output() {
        Ok(output) if output.status.success() => Some(to.to_owned()),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
            println!("cargo::warning={} left to NVRTC: {} said: {why}", source.display(), nvcc.display());
            None
        }
        Err(_) => None,
    }
}

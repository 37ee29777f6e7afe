//! The search and the report, over folders and stub libraries made here: nothing of the machine shows through.

use std::path::{Path, PathBuf};
use std::process::Command;

use cuda_backend::driver::Driver;
use cuda_backend::folders::{Place, places};
use cuda_backend::{Environment, Library, examine, locate};

/// Compiles a C text to a shared library; `None` (with a message) where there is no C compiler.
fn stub(path: &Path, source: &str) -> Option<()> {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = path.with_extension("c");
    std::fs::write(&text, source).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(path).arg(&text).status();
    match built {
        Ok(status) => assert!(status.success(), "cc could not build {}", path.display()),
        Err(e) => {
            eprintln!("skipped: no C compiler to build stub libraries with ({e})");
            return None;
        }
    }
    std::fs::remove_file(text).unwrap();
    Some(())
}

fn driver(cuda: u32, init: i32, devices: u32) -> String {
    format!(
        r#"
int cuInit(unsigned f) {{ return f == 0 ? {init} : 1; }}
int cuDriverGetVersion(int *v) {{ *v = {cuda}; return 0; }}
int cuDeviceGetCount(int *n) {{ *n = {devices}; return 0; }}
int cuDeviceGet(int *d, int i) {{ *d = 40 + i; return 0; }}
int cuDeviceGetName(char *s, int n, int d) {{
    const char *t = "Stub GPU"; int i = 0;
    for (; t[i] && i < n - 1; i++) s[i] = t[i];
    s[i] = 0; return d >= 40 ? 0 : 101;
}}
int cuDeviceGetAttribute(int *v, int a, int d) {{ *v = a == 75 ? 9 : a == 76 ? 0 : -1; return d >= 40 ? 0 : 101; }}
int cuDeviceTotalMem_v2(unsigned long *b, int d) {{ *b = 16ul << 30; return d >= 40 ? 0 : 101; }}
int cuGetErrorString(int e, const char **s) {{ *s = e == 46 ? "device is busy" : 0; return *s ? 0 : 1; }}
"#
    )
}

/// Stubs of every library, of CUDA 13, in `folder`.
fn libraries(folder: &Path) -> Option<()> {
    for (name, source) in [
        ("libnvrtc-builtins.so.13.0", "int unused;"),
        ("libnvrtc.so.13", "int nvrtcVersion(int *a, int *b) { *a = 13; *b = 2; return 0; }"),
        ("libcublasLt.so.13", "int cublasLtGetProperty(int p, int *v) { *v = p == 0 ? 13 : p; return 0; }"),
        ("libcublas.so.13", "int cublasGetProperty(int p, int *v) { *v = p == 0 ? 13 : p; return 0; }"),
        ("libcudnn.so.9", "unsigned long cudnnGetVersion(void) { return 91900; }"),
        ("libnccl.so.2", "int ncclGetVersion(int *v) { *v = 22803; return 0; }"),
    ] {
        stub(&folder.join(name), source)?;
    }
    Some(())
}

fn tree() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    (dir, root)
}

#[test]
fn a_bare_machine_names_every_place_and_what_to_install() {
    let (_dir, root) = tree();
    std::fs::create_dir_all(root.join("usr/lib64")).unwrap();
    let env = Environment::isolated(&root).with("CUDA_HOME", root.join("no/toolkit").as_os_str());
    let report = examine(&env);
    assert!(!report.ready());
    let text = report.to_string();
    for needed in
        ["NVIDIA driver    missing", "cuDNN            missing", "NCCL             missing (optional)"]
    {
        assert!(text.contains(needed), "{needed:?} not in\n{text}");
    }
    assert!(text.contains("no/toolkit/lib64 ($CUDA_HOME)"), "{text}");
    assert!(text.contains("usr/lib64 (system folder)"), "{text}");
    assert!(text.contains("there is no NVIDIA driver; install"), "{text}");
    assert!(!report.problems().iter().any(|p| p.contains("NCCL")), "an optional library is no problem");

    let error = locate(Library::Cudnn, &env).unwrap_err().to_string();
    assert!(error.contains("cuDNN (libcudnn.so*) was not found"), "{error}");
    assert!(error.contains("no/toolkit/lib64 ($CUDA_HOME): no such folder"), "{error}");
    assert!(error.contains("pip install nvidia-cudnn"), "{error}");
}

#[test]
fn a_loaded_kernel_module_without_library_is_said() {
    let (_dir, root) = tree();
    std::fs::create_dir_all(root.join("proc/driver/nvidia")).unwrap();
    std::fs::write(root.join("proc/driver/nvidia/version"), "NVRM version: 580.65\nGCC version: 12\n")
        .unwrap();
    let problems = examine(&Environment::isolated(&root)).problems();
    assert!(problems[0].contains("its kernel module is loaded (NVRM version: 580.65)"), "{}", problems[0]);
}

#[test]
fn search_order() {
    let (_dir, root) = tree();
    let pip = |base: &str, package: &str| format!("{base}/lib/python3.12/site-packages/nvidia/{package}/lib");
    let made = [
        "own/lib64".to_owned(),
        pip("venv", "cu13"),
        pip("venv", "cudnn"),
        pip("conda", "nccl"),
        pip("opt/app/.venv", "cublas"),
        "toolkit/lib64".to_owned(),
        "usr/local/cuda/lib64".to_owned(),
        "usr/local/cuda-12.4/lib64".to_owned(),
        "usr/local/cuda-13.0/targets/x86_64-linux/lib".to_owned(),
        "usr/lib/x86_64-linux-gnu".to_owned(),
    ];
    for folder in &made {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    let env = Environment::isolated(&root)
        .with("DSNET_CUDA_PATH", root.join("own").as_os_str())
        .with("VIRTUAL_ENV", root.join("venv").as_os_str())
        .with("CONDA_PREFIX", root.join("conda").as_os_str())
        .with("CUDA_HOME", root.join("toolkit").as_os_str())
        .with("CUDA_PATH", "");
    let got: Vec<String> = places(&env)
        .iter()
        .map(|p| match p {
            Place::Loader => "loader".to_owned(),
            Place::Folder { path, .. } => path.strip_prefix(&root).unwrap().display().to_string(),
        })
        .collect();
    let expected = [
        "own".to_owned(),
        made[0].clone(),
        made[1].clone(),
        made[2].clone(),
        "venv/lib".to_owned(),
        made[3].clone(),
        "conda/lib".to_owned(),
        made[4].clone(),
        made[5].clone(),
        made[6].clone(),
        made[8].clone(),
        made[7].clone(),
        made[9].clone(),
        "usr/lib".to_owned(),
    ];
    assert_eq!(got, expected);
}

#[test]
fn the_loader_is_asked_after_the_override_only() {
    let places = places(&Environment::current().with("DSNET_CUDA_PATH", "/a/b:/c"));
    let loader = places.iter().position(|p| *p == Place::Loader).expect("the loader is asked");
    let before: Vec<String> = places[..loader].iter().map(ToString::to_string).collect();
    assert_eq!(before, ["/a/b ($DSNET_CUDA_PATH)", "/c ($DSNET_CUDA_PATH)"]);
}

#[test]
fn everything_there() {
    let (_dir, root) = tree();
    let folder = root.join("own");
    let Some(()) = libraries(&folder) else { return };
    let Some(()) = stub(&folder.join("libcuda.so.1"), &driver(13020, 0, 2)) else { return };
    let report = examine(&Environment::isolated(&root).with("DSNET_CUDA_PATH", folder.as_os_str()));
    assert_eq!(report.problems(), Vec::<String>::new());
    let Driver::Present { cuda, devices, .. } = &report.driver else { panic!("{:?}", report.driver) };
    assert_eq!((cuda.major, cuda.minor, devices.len()), (13, 2, 2));
    assert_eq!(
        (devices[1].name.as_str(), devices[1].capability, devices[1].memory),
        ("Stub GPU", (9, 0), 16 << 30)
    );
    let versions: Vec<String> = report
        .libraries
        .iter()
        .map(|e| e.version.as_ref().unwrap().map_or("-".to_owned(), |v| v.to_string()))
        .collect();
    assert_eq!(versions, ["-", "13.2", "13.1.2", "13.1.2", "9.19", "2.28.3"]);
    let text = report.to_string();
    assert!(text.ends_with("Driver, libraries and GPU for CUDA are all there."), "{text}");
    assert!(text.contains("GPU 0: Stub GPU, compute capability 9.0, 16.0 GiB"), "{text}");
    assert!(!text.contains("Searched"), "the list is for those who miss something: {text}");
}

#[test]
fn old_drivers() {
    for (cuda, needed) in
        [(11040, "serves CUDA 11.4, and CUDA 12.0 is needed"), (12040, "serves CUDA 12.4, NVRTC is 13.2")]
    {
        let (_dir, root) = tree();
        let folder = root.join("own");
        let Some(()) = libraries(&folder) else { return };
        let Some(()) = stub(&folder.join("libcuda.so.1"), &driver(cuda, 0, 1)) else { return };
        let problems =
            examine(&Environment::isolated(&root).with("DSNET_CUDA_PATH", folder.as_os_str())).problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("too old") && problems[0].contains(needed), "{}", problems[0]);
    }
}

#[test]
fn drivers_that_do_not_start() {
    for (init, needed) in
        [(803, "different versions"), (34, "stub for linking"), (46, "device is busy"), (9999, "code 9999")]
    {
        let (_dir, root) = tree();
        let Some(()) = stub(&root.join("usr/lib64/libcuda.so.1"), &driver(13000, init, 1)) else { return };
        let report = examine(&Environment::isolated(&root));
        assert!(matches!(report.driver, Driver::Failed { call: "cuInit", .. }), "{:?}", report.driver);
        let problem = &report.problems()[0];
        assert!(problem.contains(needed) && problem.contains(&format!("code {init}")), "{problem}");
    }
    // No device is an answer: the driver works.
    let (_dir, root) = tree();
    let Some(()) = stub(&root.join("usr/lib64/libcuda.so.1"), &driver(13000, 100, 0)) else { return };
    let report = examine(&Environment::isolated(&root));
    assert!(matches!(&report.driver, Driver::Present { devices, .. } if devices.is_empty()));
    assert!(report.problems()[0].contains("shows no GPU"), "{:?}", report.problems());
}

#[test]
fn a_library_under_a_false_name() {
    let (_dir, root) = tree();
    let folder = root.join("usr/lib64");
    let Some(()) = stub(&folder.join("libcuda.so.1"), "int something_else;") else { return };
    let Some(()) = stub(&folder.join("libcudnn.so.9"), "int something_else;") else { return };
    let report = examine(&Environment::isolated(&root));
    let problems = report.problems().join("\n");
    assert!(problems.contains("`cuInit` failed: the file has no such function"), "{problems}");
    assert!(problems.contains("it has no function `cudnnGetVersion`"), "{problems}");
}

#[test]
fn a_broken_file_is_passed_over_and_named() {
    let (_dir, root) = tree();
    let (bad, good) = (root.join("bad"), root.join("usr/lib64"));
    std::fs::create_dir_all(&bad).unwrap();
    std::fs::write(bad.join("libcudnn.so.9"), "this is not a library").unwrap();
    let env = Environment::isolated(&root).with("DSNET_CUDA_PATH", bad.as_os_str());

    let missing = locate(Library::Cudnn, &env).unwrap_err();
    let broken: Vec<String> = missing.unloadable().map(ToString::to_string).collect();
    assert_eq!(broken.len(), 1);
    assert!(broken[0].contains("bad/libcudnn.so.9: there, but cannot be opened: "), "{}", broken[0]);
    assert!(
        examine(&env)
            .problems()
            .iter()
            .any(|p| p.contains("missing: cuDNN (") && p.contains("cannot be opened"))
    );

    let Some(()) = stub(&good.join("libcudnn.so.9"), "unsigned long cudnnGetVersion(void) { return 91002; }")
    else {
        return;
    };
    let found = locate(Library::Cudnn, &env).unwrap();
    assert_eq!(found.path, good.join("libcudnn.so.9"));
    assert_eq!(found.unloadable().count(), 1);
    let text = examine(&env).to_string();
    assert!(text.contains("passed over: ") && text.contains("bad/libcudnn.so.9"), "{text}");
}

#[test]
fn releases_that_do_not_fit_together() {
    let (_dir, root) = tree();
    let folder = root.join("own");
    let Some(()) = libraries(&folder) else { return };
    std::fs::remove_file(folder.join("libcublasLt.so.13")).unwrap();
    let old = "int cublasLtGetProperty(int p, int *v) { *v = p == 0 ? 12 : 4 * p; return 0; }";
    let Some(()) = stub(&folder.join("libcublasLt.so.12"), old) else { return };
    let Some(()) = stub(&folder.join("libcuda.so.1"), &driver(13000, 0, 1)) else { return };
    let problems =
        examine(&Environment::isolated(&root).with("DSNET_CUDA_PATH", folder.as_os_str())).problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("cuBLAS 13.1.2 and cuBLASLt 12.4.8"), "{}", problems[0]);
}

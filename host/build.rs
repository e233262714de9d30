//! Compiles `native/` against libtorch and tells binaries where libtorch lies, so that no variable has to be exported.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

const SOURCES: [&str; 11] = [
    "torch_extras",
    "precision",
    "collectives",
    "batch_norm",
    "nccl",
    "operators",
    "upload",
    "download",
    "work",
    "watch",
    "graphs",
];

fn main() {
    let libtorch = PathBuf::from(env::var("LIBTORCH").expect("LIBTORCH is not set: run `cargo setup` once"));
    let include = libtorch.join("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .define("GLOG_USE_GLOG_EXPORT", None)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .include("native/gloo")
        .files(SOURCES.iter().map(|name| format!("native/{name}.cpp")))
        .compile("infomax_native");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", library_folder(&libtorch).display());
    println!("cargo:rerun-if-changed=native");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
}

/// The real folder behind `lib`, whose neighbours hold what libtorch itself needs.
fn library_folder(libtorch: &Path) -> PathBuf {
    let file = libtorch.join("lib/libtorch_cpu.so");
    let real = fs::canonicalize(&file).unwrap_or_else(|error| panic!("{}: {error}: run `cargo setup`", file.display()));
    real.parent().expect("a file lies in a folder").to_owned()
}

//! Compiles `native/` against libtorch and tells binaries where libtorch lies, so that no variable has to be exported.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// What is compiled together: reading libtorch's headers takes the compiler longer than everything else.
const UNITS: [(&str, &[&str]); 2] = [
    ("distributed", &["collectives", "batch_norm", "norm_relu", "batch_norm_views", "biased", "nccl"]),
    (
        "local",
        &[
            "torch_extras",
            "precision",
            "operators",
            "upload",
            "download",
            "work",
            "products",
            "winograd",
            "weight_gradients",
            "convolutions",
            "pooled",
            "watch",
            "graphs",
            "memory",
        ],
    ),
];

fn main() {
    let libtorch = PathBuf::from(env::var("LIBTORCH").expect("LIBTORCH is not set: run `cargo setup` once"));
    let include = libtorch.join("include");
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("native");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let units = UNITS.map(|(name, sources)| {
        let text: String = sources.iter().map(|source| format!("#include \"{source}.cpp\"\n")).collect();
        let file = out.join(format!("{name}.cpp"));
        fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        file
    });
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(2) // also where the crate's own code is optimised less
        .warnings(false)
        .flag("-fopenmp") // or `at::parallel_for` is a plain loop
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .define("NDEBUG", None) // as libtorch itself was built: some of its classes have another layout otherwise
        .define("GLOG_USE_GLOG_EXPORT", None)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .include(&own)
        .include(own.join("gloo"))
        .files(units)
        .compile("infomax_native");
    // The one that libtorch brings, under whatever name: two would each start threads of their own.
    println!("cargo:rustc-link-search=native={}", libtorch.join("lib").display());
    match openmp(&libtorch) {
        Some(name) => println!("cargo:rustc-link-lib=dylib:+verbatim={name}"),
        None => println!("cargo:rustc-link-lib=gomp"),
    }
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", library_folder(&libtorch).display());
    println!("cargo:rerun-if-changed=native");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
}

/// The name of the OpenMP library in libtorch's folder.
fn openmp(libtorch: &Path) -> Option<String> {
    let names = fs::read_dir(libtorch.join("lib")).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with("libgomp") && name.contains(".so")).min()
}

/// The real folder behind `lib`, whose neighbours hold what libtorch itself needs.
fn library_folder(libtorch: &Path) -> PathBuf {
    let file = libtorch.join("lib/libtorch_cpu.so");
    let real = fs::canonicalize(&file).unwrap_or_else(|error| panic!("{}: {error}: run `cargo setup`", file.display()));
    real.parent().expect("a file lies in a folder").to_owned()
}

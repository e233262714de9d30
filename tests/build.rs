//! Tells the test binary where libtorch lies.

fn main() {
    let libtorch = std::env::var("LIBTORCH").expect("LIBTORCH is not set: run `cargo setup` once");
    let file = std::path::Path::new(&libtorch).join("lib/libtorch_cpu.so");
    let real = std::fs::canonicalize(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", real.parent().expect("a file lies in a folder").display());
    println!("cargo:rerun-if-env-changed=LIBTORCH");
}

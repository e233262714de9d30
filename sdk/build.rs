//! Tells the build scripts of plugins whether the feature `tch` is on: their manifest then names the libtorch.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_TCH").is_some() {
        println!("cargo::metadata=tch=1");
    }
}

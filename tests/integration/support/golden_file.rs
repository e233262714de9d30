//! Recorded numbers: every file of a kind in the golden folder, whatever its name.

use super::workspace::shared;
use infomax::checkpoint::{TensorFile, read_tensors};
use std::{fs, path::PathBuf};
use tch::{Kind, Tensor};

/// A recorded file.
pub struct Golden {
    pub name: String,
    file: TensorFile,
}

/// Every recorded file whose name starts with the prefix; says so where there is none.
pub fn golden(prefix: &str) -> Vec<Golden> {
    let Some(folder) = shared().map(|shared| shared.join("golden")) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    paths.sort();
    let wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(prefix) && name.ends_with(".safetensors")
    };
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("a recorded file can be read");
        let file = read_tensors(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Golden { name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(), file }
    };
    let found: Vec<Golden> = paths.into_iter().filter(wanted).map(read).collect();
    if found.is_empty() {
        eprintln!("SKIPPED: no file `{prefix}*.safetensors` in {}", folder.display());
    }
    found
}

impl Golden {
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> T {
        let text = self.file.metadata.get(key).unwrap_or_else(|| panic!("{} lacks the metadata `{key}`", self.name));
        text.parse().unwrap_or_else(|_| panic!("{}: `{key}` is `{text}`", self.name))
    }

    pub fn get(&self, key: &str) -> Tensor {
        let tensor = self.file.tensors.get(key).unwrap_or_else(|| panic!("{} lacks `{key}`", self.name));
        tensor.shallow_clone()
    }

    pub fn find(&self, key: &str) -> Option<Tensor> {
        self.file.tensors.get(key).map(Tensor::shallow_clone)
    }

    /// Names and tensors under a prefix, which is cut off.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        self.file.tensors.iter().filter_map(move |(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)))
    }

    pub fn scalar(&self, key: &str) -> f64 {
        self.get(key).double_value(&[0])
    }
}

/// |a − b| / |b|, in 2-norms.
pub fn relative(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.detach().to_kind(Kind::Double).flatten(0, -1), b.to_kind(Kind::Double).flatten(0, -1));
    (&a - &b).norm().double_value(&[]) / (b.norm().double_value(&[]) + 1e-300)
}

/// The largest |a − b|.
pub fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a.detach().to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
}

/// Asserts |a − b| ≤ tolerance · |b|.
pub fn assert_close(what: &str, a: &Tensor, b: &Tensor, tolerance: f64) {
    let error = relative(a, b);
    assert!(error <= tolerance, "{what}: relative error {error:.2e} > {tolerance:.0e}");
}

//! Recorded cases: an exported file and what PyTorch computes with the module.

use crate::support::{golden_file::largest_difference, workspace::root};
use flate2::read::GzDecoder;
use infomax::checkpoint::{TensorFile, read_tensors};
use std::{
    env, fs,
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::LazyLock,
};
use tch::{Kind, Tensor};

/// One case.
pub struct Case {
    pub name: String,
    /// What `torch.export.save` wrote.
    pub file: PathBuf,
    numbers: TensorFile,
}

/// Every case of a kind: those that are kept here and those of the folders in `$INFOMAX_EXPORTED`, which the recording script fills
/// with whole networks.
pub fn cases(is_encoder: bool) -> Vec<Case> {
    let more = env::var_os("INFOMAX_EXPORTED").unwrap_or_default();
    let folders = ["", "torch-2.15"].map(kept).into_iter().chain(env::split_paths(&more));
    let mut files: Vec<PathBuf> = folders.flat_map(|folder| of(&folder)).collect();
    files.sort();
    let all: Vec<Case> = files.into_iter().map(|file| Case::read(&file)).collect();
    let chosen: Vec<Case> = all.into_iter().filter(|case| case.find("input.images").is_some() == is_encoder).collect();
    assert!(chosen.len() > 3, "nothing is recorded");
    chosen
}

/// A kept folder of files, unpacked.
pub fn kept(folder: &str) -> PathBuf {
    static UNPACKED: LazyLock<PathBuf> = LazyLock::new(|| {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exported");
        for folder in ["", "torch-2.15"] {
            let from = root().join("tests/recorded/exported").join(folder);
            fs::create_dir_all(to.join(folder)).unwrap();
            for packed in fs::read_dir(from).expect("recorded files").map(|entry| entry.unwrap().path()) {
                let Some(name) = packed.file_name().unwrap().to_str().unwrap().strip_suffix(".gz") else { continue };
                let mut bytes = Vec::new();
                GzDecoder::new(fs::File::open(&packed).unwrap()).read_to_end(&mut bytes).unwrap();
                fs::write(to.join(folder).join(name), bytes).unwrap();
            }
        }
        to
    });
    UNPACKED.join(folder)
}

fn of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_case =
        |path: &PathBuf| path.extension().is_some_and(|e| e == "pt2") && path.with_extension("safetensors").exists();
    entries.filter(is_case).collect()
}

impl Case {
    fn read(file: &Path) -> Self {
        let path = file.with_extension("safetensors");
        let numbers =
            read_tensors(&fs::read(&path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { name: file.file_stem().unwrap().to_string_lossy().into_owned(), file: file.to_owned(), numbers }
    }

    pub fn find(&self, key: &str) -> Option<Tensor> {
        self.numbers.tensors.get(key).map(Tensor::shallow_clone)
    }

    pub fn get(&self, key: &str) -> Tensor {
        self.find(key).unwrap_or_else(|| panic!("{} lacks `{key}`", self.name))
    }

    /// Names and tensors under a prefix, which is cut off.
    pub fn under(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let named = self.numbers.tensors.iter();
        named
            .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.shallow_clone())))
            .collect()
    }

    /// Compares a tensor with a recorded one, in proportion to `scale`; gives how far off it is.
    pub fn compare(&self, key: &str, own: &Tensor, scale: f64, tolerance: f64) -> f64 {
        let recorded = self.get(key);
        assert_eq!(own.size(), recorded.size(), "{} {key}", self.name);
        if recorded.numel() == 0 {
            return 0.0;
        }
        let error = largest_difference(own, &recorded) / scale.max(1e-30);
        assert!(error <= tolerance, "{} {key}: off by {error:.2e}, more than {tolerance:.0e}", self.name);
        error
    }

    /// The largest gradient that is recorded.
    pub fn largest_gradient(&self) -> f64 {
        self.under("grad").iter().map(|(_, gradient)| largest(gradient)).fold(0.0, f64::max)
    }
}

/// Looks at every case, then fails with all that don't agree.
pub fn each(cases: &[Case], look: impl Fn(&Case)) {
    let fails = |case: &&Case| catch_unwind(AssertUnwindSafe(|| look(case))).is_err();
    let failed: Vec<&str> = cases.iter().filter(fails).map(|case| case.name.as_str()).collect();
    println!("{} of {} agree", cases.len() - failed.len(), cases.len());
    assert!(failed.is_empty(), "{failed:?} don't agree");
}

/// The largest number of a tensor.
pub fn largest(tensor: &Tensor) -> f64 {
    if tensor.numel() == 0 { 0.0 } else { tensor.to_kind(Kind::Double).abs().max().double_value(&[]) }
}

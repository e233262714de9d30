//! The shipped configs in a folder of their own.

use crate::support::workspace::root;
use std::{fs, path::Path};
use tempfile::TempDir;

/// An experiment of a few minutes.
pub const DEMO: &str = "configs/experiments/shapes-demo.toml";

/// A folder with the shipped configs, so that their places are shown alike on every machine.
pub fn with_configs() -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("created");
        for entry in fs::read_dir(from).expect("shipped configs") {
            let (path, to) = (entry.as_ref().expect("read").path(), to.join(entry.as_ref().expect("read").file_name()));
            if path.is_dir() {
                copy(&path, &to);
            } else {
                fs::copy(&path, &to).expect("copied");
            }
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    copy(&root().join("configs"), &folder.path().join("configs"));
    folder
}

//! Runs elsewhere: as tables, through the Python reader, and in the stores of other tools, read back by those tools.

mod reader;
mod tables;
mod tools;

use crate::{
    support::binary::run,
    training::{assert_ok, train},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// A folder `runs` with `whole`, a run that came to its end, and `diverged`, one with values that are not finite; and the reader.
fn runs() -> &'static Path {
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        assert_ok(&train(folder.path(), "whole", &["evaluation.untrained=true"]));
        let wild = ["optimizer.lr=1000", "optimizer.warmup_steps=0", "train.max_skipped_steps_in_a_row=9"];
        assert_eq!(train(folder.path(), "diverged", &wild).status.code(), Some(6));
        write_reader(folder.path());
        folder
    });
    FOLDER.path()
}

/// Writes `infomax_read.py`, as the program prints it.
fn write_reader(folder: &Path) -> PathBuf {
    let output = run(folder, &["python"]);
    assert_ok(&output);
    let path = folder.join("infomax_read.py");
    fs::write(&path, output.stdout).unwrap();
    path
}

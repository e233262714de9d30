//! Run directories that a command line names, often by a pattern such as `runs/*`.

use crate::{record::METRICS, report::is_run};
use std::path::{Path, PathBuf};

/// The runs among paths; what else a pattern takes in, such as folders of cells and files, is passed over and told. A path that is not
/// there stays: it is a mistake. So does everything where fewer than `least` runs are left.
pub fn only_runs(paths: &[PathBuf], least: usize) -> Vec<PathBuf> {
    only(paths, least, is_run, "they are no runs")
}

/// The same for runs that have measured something.
pub fn only_measured(paths: &[PathBuf]) -> Vec<PathBuf> {
    only(paths, 1, |path| path.join(METRICS).is_file(), "they hold no metrics")
}

fn only(paths: &[PathBuf], least: usize, is_wanted: impl Fn(&Path) -> bool, otherwise: &str) -> Vec<PathBuf> {
    let (wanted, others): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.iter().cloned().partition(|path| !path.exists() || is_wanted(path));
    if wanted.len() < least || others.is_empty() {
        return paths.to_vec();
    }
    let names = others.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ");
    eprintln!("passed over, since {otherwise}: {names}");
    wanted
}

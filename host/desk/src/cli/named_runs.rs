//! Run directories that a command line names, often by a pattern such as `runs/*`.

use crate::report::is_run;
use std::path::PathBuf;

/// The runs among paths; what else a pattern takes in, such as folders of cells and files, is passed over and told. A path that is not
/// there stays: it is a mistake. So does everything where fewer than `least` runs are left.
pub fn only_runs(paths: &[PathBuf], least: usize) -> Vec<PathBuf> {
    let (runs, others): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.iter().cloned().partition(|path| !path.exists() || is_run(path));
    if runs.len() < least || others.is_empty() {
        return paths.to_vec();
    }
    let names = others.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ");
    eprintln!("passed over, since they are no runs: {names}");
    runs
}

//! Names with numbers, for what is kept beside what takes its place.

use std::path::{Path, PathBuf};

/// The first path of a folder that nothing has: `<stem>-1<end>`, `<stem>-2<end>`, ….
pub fn free_path(folder: &Path, stem: &str, end: &str) -> PathBuf {
    let path = |number: u64| folder.join(format!("{stem}-{number}{end}"));
    (1..).map(path).find(|path| path.symlink_metadata().is_err()).expect("the numbers don't end")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_first_number_that_nothing_has_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(free_path(folder.path(), "run", ".json"), at("run-1.json"));
        fs::write(at("run-1.json"), "").unwrap();
        fs::create_dir(at("run-2.json")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("run-3.json")).unwrap();
        fs::write(at("run-5.json"), "").unwrap();
        assert_eq!(free_path(folder.path(), "run", ".json"), at("run-4.json"), "a file, a folder, a link to nowhere");
    }
}

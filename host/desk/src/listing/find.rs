//! Which runs, cells and studies lie under folders.

use crate::{
    error::{Error, Fault, Result},
    report::is_run,
    study::{CELLS, LEASE_SECONDS, LEDGERS, RUN, Store},
};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// How deep runs lie below a folder that is named, cells aside.
const DEPTH: usize = 4;
/// Folders that are looked into before it is too many: somebody named their home folder.
const MOST: usize = 20_000;

/// A run directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// As a person names it: below the folder that was named, or that itself.
    pub name: String,
    /// Without links.
    pub path: PathBuf,
    /// Of a study's cell: its name, and the folder of runs that its study belongs to.
    pub cell: Option<(String, PathBuf)>,
}

/// The ledger of a study.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StudyPlace {
    /// As a person names it, below the folder that was named; no other study has it.
    pub id: String,
    /// Its file's stem.
    pub name: String,
    pub path: PathBuf,
}

/// What lies under folders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Runs and cells, by name.
    pub runs: Vec<Place>,
    /// Ledgers of studies.
    pub studies: Vec<StudyPlace>,
    /// What was passed over, and why.
    pub notes: Vec<String>,
}

/// A folder that was named: as it was, and without links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    shown: String,
    path: PathBuf,
}

/// Folders that somebody named; `runs` where none was.
///
/// # Errors
/// One that is not there.
pub fn given(folders: &[PathBuf]) -> Result<Vec<Named>> {
    let default = [PathBuf::from("runs")];
    let folders = if folders.is_empty() { &default[..] } else { folders };
    let named = folders.iter().map(|folder| {
        let path = fs::canonicalize(folder).ok().filter(|path| path.is_dir());
        path.map(|path| Named { shown: shown(folder), path }).ok_or_else(|| {
            let fault = Fault::new(format!("`{}` is no folder", folder.display()));
            Error::config(fault.hint("name the folder that runs lie in, `record.run_directory` of their configs"))
        })
    });
    named.collect()
}

fn shown(folder: &Path) -> String {
    let text = folder.display().to_string();
    text.strip_prefix("./").unwrap_or(&text).trim_end_matches('/').to_owned()
}

/// Looks for runs, cells and studies. Links are followed as far as they stay within the folders that were named.
pub fn find(folders: &[Named]) -> Found {
    let mut found = Found::default();
    let mut walk = Walk { folders, found: &mut found, seen: BTreeSet::new(), left: MOST };
    for folder in folders {
        walk.folder(&folder.shown, &folder.path, 0);
    }
    if walk.left == 0 {
        let told = format!("more than {MOST} folders lie here: name the one that holds the runs");
        found.notes.push(told);
    }
    found.runs.sort();
    found.studies.sort();
    found.notes.sort();
    found
}

struct Walk<'a> {
    folders: &'a [Named],
    found: &'a mut Found,
    seen: BTreeSet<PathBuf>,
    left: usize,
}

impl Walk<'_> {
    fn folder(&mut self, name: &str, path: &Path, depth: usize) {
        if self.left == 0 || !self.seen.insert(path.to_owned()) {
            return;
        }
        self.left -= 1;
        if is_run(path) {
            self.found.runs.push(Place { name: name.to_owned(), path: path.to_owned(), cell: None });
            return;
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                self.found.notes.push(format!("`{name}` can't be read: {error}"));
                return;
            }
        };
        for entry in entries.flatten() {
            let own = entry.file_name();
            let own = told(&own);
            if own.starts_with('.') {
                continue;
            }
            let below = if name.is_empty() || name == "." { own.clone() } else { format!("{name}/{own}") };
            let Some(inside) = self.inside(&below, &entry) else { continue };
            match own.as_str() {
                CELLS => self.cells(&below, &inside, path),
                LEDGERS => self.studies(&below, &inside),
                _ if depth < DEPTH => self.folder(&below, &inside, depth + 1),
                _ => {}
            }
        }
    }

    /// An entry that is a folder, without links, where it lies within the folders that were named.
    fn inside(&mut self, name: &str, entry: &fs::DirEntry) -> Option<PathBuf> {
        let kind = entry.file_type().ok()?;
        if kind.is_dir() {
            return Some(entry.path());
        }
        if !kind.is_symlink() {
            return None;
        }
        let target = fs::canonicalize(entry.path()).ok().filter(|target| target.is_dir())?;
        if self.folders.iter().any(|folder| target.starts_with(&folder.path)) {
            return Some(target);
        }
        self.found
            .notes
            .push(format!("`{name}` is a link that leads out of the folder: name where it leads to as well"));
        None
    }

    fn cells(&mut self, name: &str, path: &Path, runs: &Path) {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let id = told(&entry.file_name());
            let run = entry.path().join(RUN);
            let is_plain = |path: &Path| fs::symlink_metadata(path).is_ok_and(|facts| facts.is_dir());
            if is_plain(&entry.path()) && is_plain(&run) && is_run(&run) && self.seen.insert(run.clone()) {
                let name = format!("{name}/{id}");
                self.found.runs.push(Place { name, path: run, cell: Some((id, runs.to_owned())) });
            }
        }
    }

    fn studies(&mut self, below: &str, path: &Path) {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let file = entry.path();
            let is_ledger = file.extension().is_some_and(|extension| extension == "json");
            if is_ledger && entry.file_type().is_ok_and(|kind| kind.is_file()) && self.seen.insert(file.clone()) {
                let name = told(file.file_stem().unwrap_or_default());
                self.found.studies.push(StudyPlace { id: format!("{below}/{name}"), name, path: file });
            }
        }
    }
}

/// A name as a text; what is none of UTF-8 is escaped, so that no two names become one.
fn told(name: &OsStr) -> String {
    name.to_str().map_or_else(|| name.as_encoded_bytes().escape_ascii().to_string(), str::to_owned)
}

impl Place {
    /// Of a cell: the cells that it lies among.
    pub fn store(&self) -> Option<(Store, &str)> {
        let (id, runs) = self.cell.as_ref()?;
        Some((Store::new(runs, LEASE), id))
    }
}

/// How old the lease of another machine may be: as drivers have it where nobody asks for another.
const LEASE: std::time::Duration = std::time::Duration::from_secs(LEASE_SECONDS);

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn runs_cells_and_studies_are_found_and_nothing_outside() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let run = |path: PathBuf| {
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("config.toml"), "").unwrap();
            path
        };
        let at = |name: &str| folder.path().join(name);
        let first = run(at("a"));
        run(at("group/b"));
        run(at("cells/0123/run"));
        run(at("group/1/2/3/4/deep"));
        run(at(".hidden"));
        fs::create_dir_all(at("a/nested")).unwrap();
        run(at("a/nested"));
        fs::create_dir_all(at("studies")).unwrap();
        fs::write(at("studies/losses.json"), "{}").unwrap();
        fs::write(at("notes.txt"), "").unwrap();
        symlink(&first, at("again")).unwrap();
        symlink(run(outside.path().join("other")), at("out")).unwrap();
        symlink(outside.path(), at("cells/out")).unwrap();
        symlink("/nowhere", at("broken")).unwrap();
        let named = given(&[folder.path().to_owned()]).unwrap();
        let found = find(&named);
        let names: Vec<&str> = found.runs.iter().map(|place| place.name.rsplit('/').next().unwrap()).collect();
        assert_eq!(found.runs.len(), 3, "{names:?}");
        assert!(names.contains(&"b") && names.contains(&"0123"));
        assert_eq!(found.studies[0].name, "losses");
        assert_eq!(found.notes.len(), 1);
        assert!(found.notes[0].contains("leads out of the folder"), "{:?}", found.notes);
        let both = given(&[folder.path().to_owned(), outside.path().to_owned()]).unwrap();
        assert_eq!(find(&both).runs.len(), 4, "named as well");
        assert!(given(&[at("none")]).unwrap_err().to_string().contains("is no folder"));
    }
}

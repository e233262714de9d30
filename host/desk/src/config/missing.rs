//! The message about a config file that isn't there, with the nearest existing name.

use super::{fault::Fault, nearest};
use std::{fs, path::Path};

/// What to say of a file that doesn't exist.
pub(super) fn fault(path: &Path, shown: &str) -> Fault {
    let fault = Fault::new(format!("config file `{shown}` does not exist"));
    match proposal(path) {
        Some(name) => fault.hint(format!("did you mean `{name}`?")),
        None => fault.hint("give the path of a file, seen from the working directory"),
    }
}

/// The nearest file in the same folder, or in the folder that was most likely meant.
fn proposal(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p })?;
    let folder = if folder.is_dir() {
        folder.to_path_buf()
    } else {
        let above = folder.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p })?;
        let folders = names(above, |p| p.is_dir());
        above.join(nearest::nearest(folder.file_name()?.to_str()?, folders.iter().map(String::as_str))?)
    };
    let files = names(&folder, |p| p.extension().is_some_and(|e| e == "toml"));
    let found = nearest::nearest(name, files.iter().map(String::as_str))?;
    let full = folder.join(found);
    Some(full.strip_prefix(".").unwrap_or(&full).display().to_string())
}

fn names(folder: &Path, wanted: fn(&Path) -> bool) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter(|e| wanted(&e.path())).filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

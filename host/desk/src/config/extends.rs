//! Files with everything that they extend, in the order in which they are laid over one another.

use super::{document, fault::Fault, layer::Layer};
use std::path::{Path, PathBuf};

/// Files that one experiment may draw in.
const MAX_FILES: usize = 256;

/// Reads a file and, before it, depth first, what it extends. A file that is reached twice counts where it came first.
pub(super) fn read(path: &Path) -> Result<Vec<Layer>, Vec<Fault>> {
    let mut reading = Reading { layers: Vec::new(), done: Vec::new(), open: Vec::new(), faults: Vec::new() };
    reading.file(path, None);
    if reading.faults.is_empty() { Ok(reading.layers) } else { Err(reading.faults) }
}

struct Reading {
    layers: Vec<Layer>,
    done: Vec<PathBuf>,
    /// The files being read, outermost first.
    open: Vec<PathBuf>,
    faults: Vec<Fault>,
}

impl Reading {
    fn file(&mut self, path: &Path, said_at: Option<&str>) {
        let shown = shown(path);
        // A file that can't be found has no canonical path; reading it says so.
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if let Some(start) = self.open.iter().position(|open| *open == identity) {
            let cycle: Vec<String> =
                self.open[start..].iter().chain([&identity]).map(|p| format!("`{}`", self::shown(p))).collect();
            let fault = Fault::new(format!("`extends` goes in a circle: {}", cycle.join(" → ")));
            self.faults.push(Fault { at: said_at.map(str::to_owned), ..fault });
            return;
        }
        if self.done.contains(&identity) {
            return;
        }
        if self.done.len() + self.open.len() >= MAX_FILES {
            self.faults.push(Fault::new(format!("`extends` draws in more than {MAX_FILES} files")).at(shown));
            return;
        }
        match document::read(path, &shown) {
            Err(faults) => {
                let place = |fault: Fault| Fault { at: fault.at.or(said_at.map(str::to_owned)), ..fault };
                self.faults.extend(faults.into_iter().map(place));
            }
            Ok(document) => {
                self.open.push(identity.clone());
                for (name, at) in &document.extends {
                    self.file(&locate(name, path), Some(at));
                }
                self.open.pop();
                self.layers.push(document.layer);
            }
        }
        self.done.push(identity);
    }
}

/// The file that an entry of `extends` names: under the nearest folder `configs` above the file that says it, else beside
/// that file. A name that starts with `./` or `../` is always seen from that file.
pub fn locate(name: &str, said_in: &Path) -> PathBuf {
    let file = if name.ends_with(".toml") { name.to_owned() } else { format!("{name}.toml") };
    let absolute = std::path::absolute(said_in).unwrap_or_else(|_| said_in.to_path_buf());
    let own = absolute.parent().unwrap_or(Path::new("/"));
    let beside = name.starts_with("./") || name.starts_with("../");
    let configs = absolute.ancestors().skip(1).find(|folder| folder.file_name().is_some_and(|n| n == "configs"));
    configs.filter(|_| !beside).unwrap_or(own).join(file)
}

/// A path as messages show it: seen from the working directory where it lies below it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

//! `infomax plugin verify`: what is found, beside what was locked.

use crate::{
    cli::say,
    error::Result,
    plugin::{Candidate, PluginError, Registry, lock::Lock},
};
use std::path::Path;

/// Compares the plugins that are found with a folder's lock file.
///
/// # Errors
/// There is no lock file, or a plugin is changed, missing or new.
pub fn verify(folder: &Path, registry: &Registry) -> Result<()> {
    let lock = Lock::read(folder, true)?.expect("it is read, or an error");
    let differing = differing(&lock, registry.candidates());
    if differing.is_empty() {
        say(&format!("{}: {} plugins are as locked", lock.path().display(), lock.plugins.len()));
        return Ok(());
    }
    // A locked file that is damaged is missing among what can be loaded: here is why.
    for error in registry.rejected() {
        say(&format!("passed over: {}", error.fault()));
    }
    Err(PluginError::Unlocked { path: lock.path().to_owned(), differing }.into())
}

/// A line for each plugin that is not as it was locked.
fn differing(lock: &Lock, found: &[Candidate]) -> Vec<String> {
    let label = |found: &Candidate| {
        format!("{} ({}…) in {}", found.manifest.version, &found.sha256[..12], found.path.display())
    };
    let of = |name: &str| found.iter().filter(|found| found.manifest.name == name).collect::<Vec<_>>();
    let mut lines = Vec::new();
    for (name, builds) in &lock.plugins {
        let (builds, found) = (builds.all(), of(name));
        let mut others: Vec<&Candidate> =
            found.iter().copied().filter(|found| !builds.iter().any(|build| build.sha256 == found.sha256)).collect();
        for build in builds.iter().filter(|build| !found.iter().any(|found| found.sha256 == build.sha256)) {
            lines.push(match others.pop() {
                Some(other) => format!("  changed  {name}: locked {}, found {}", build.label(), label(other)),
                None => format!("  missing  {name}: locked {}, not found", build.label()),
            });
        }
        lines.extend(others.iter().map(|other| format!("  new      {name}: a further build {}", label(other))));
    }
    let new = found.iter().filter(|found| !lock.plugins.contains_key(&found.manifest.name));
    lines.extend(new.map(|new| format!("  new      {}: {}", new.manifest.name, label(new))));
    lines
}

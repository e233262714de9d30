//! Plugins in a folder where the host looks for them: the library itself, what came with it in a folder of the plugin's name, and
//! the lock file's entry.

use super::{TARGET, archive::Contents, not_found, refused};
use crate::{
    error::{Error, Result},
    plugin::{Candidate, lock::Lock},
    record::write_whole,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder of plugins, and that of the lock file which counts there.
#[derive(Clone, Debug)]
pub struct Place {
    pub folder: PathBuf,
    /// None for the user's own folder: locks are those of projects.
    pub locked_in: Option<PathBuf>,
}

impl Place {
    /// The plugins in it.
    fn plugins(&self) -> Vec<Candidate> {
        let files = crate::plugin::library_files(&self.folder);
        files.iter().filter_map(|file| Candidate::read(file, &[]).ok()).collect()
    }

    /// Changes the lock file, where there is one; whether there is.
    fn change_lock(&self, change: impl FnOnce(&mut Lock)) -> Result<bool> {
        let Some(folder) = &self.locked_in else { return Ok(false) };
        let Some(mut lock) = Lock::read(folder, false)? else { return Ok(false) };
        change(&mut lock);
        lock.copy_to(lock.path())?;
        Ok(true)
    }
}

/// Puts an archive's plugin into a place; whether a lock file took note. `replace`: another build of it may be there.
///
/// # Errors
/// A plugin that this host can't take, or one that would replace another.
pub fn install(from: &str, contents: &Contents, place: &Place, replace: bool) -> Result<(Candidate, bool)> {
    let (name, bytes) = contents.library().expect("`unpack` found one");
    fs::create_dir_all(&place.folder).map_err(Error::io("make the folder", &place.folder))?;
    // Read from the same disk, and renamed when it has passed: nobody finds half a library.
    let part = place.folder.join(format!(".{name}.part"));
    write_whole(&part, bytes)?;
    let installed = put(from, contents, place, replace, name, &part);
    if installed.is_err() {
        let _ = fs::remove_file(&part);
    }
    installed
}

fn put(
    from: &str,
    contents: &Contents,
    place: &Place,
    replace: bool,
    name: &str,
    part: &Path,
) -> Result<(Candidate, bool)> {
    let named = |error: crate::plugin::PluginError| match error {
        crate::plugin::PluginError::Refused { reason, hint, .. } => refused(from, reason, &hint),
        other => other.into(),
    };
    let mut candidate = Candidate::read(part, &[]).map_err(named)?;
    let manifest = &candidate.manifest;
    if manifest.target != TARGET {
        let reason = format!("it is built for {}, this host for {TARGET}", manifest.target);
        return Err(refused(from, reason, "ask for an archive of this target, or build it here"));
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !manifest.name.bytes().all(is_plain) || manifest.name.is_empty() {
        return Err(refused(from, format!("`{}` is no plugin's name", manifest.name), "don't use this archive"));
    }
    let path = place.folder.join(name);
    let before: Vec<Candidate> = place.plugins().into_iter().filter(|other| other.sha256 != candidate.sha256).collect();
    let twin = before.iter().find(|other| other.manifest.name == manifest.name);
    if let Some(twin) = twin.filter(|_| !replace) {
        let reason =
            format!("{} {} is there already, in {}", twin.manifest.name, twin.manifest.version, twin.path.display());
        return Err(refused(from, reason, "replace it with `--replace`, or take it out with `infomax plugin remove`"));
    }
    if let Some(other) = before.iter().find(|other| other.path == path && other.manifest.name != manifest.name) {
        let reason = format!("its library would take the place of another plugin, `{}`", other.manifest.name);
        return Err(refused(from, reason, "take that one out first: `infomax plugin remove`"));
    }
    let beside = place.folder.join(&manifest.name);
    fs::create_dir_all(&beside).map_err(Error::io("make the folder", &beside))?;
    for (name, bytes) in contents.beside() {
        write_whole(&beside.join(name), bytes)?;
    }
    fs::rename(part, &path).map_err(Error::io("write", &path))?;
    for twin in before.iter().filter(|other| other.manifest.name == candidate.manifest.name && other.path != path) {
        fs::remove_file(&twin.path).map_err(Error::io("remove", &twin.path))?;
    }
    candidate.path = path;
    let is_locked = place.change_lock(|lock| lock.take_in(&candidate))?;
    Ok((candidate, is_locked))
}

/// Takes a plugin out of a place; whether a lock file took note. `name` is the plugin's, with or without `infomax-plugin-`.
///
/// # Errors
/// No plugin of that name, or files that can't be removed.
pub fn uninstall(name: &str, place: &Place) -> Result<(Candidate, bool)> {
    let all = place.plugins();
    let is_it = |candidate: &&Candidate| {
        let own = candidate.manifest.name.as_str();
        own == name || own.strip_prefix("infomax-plugin-") == Some(name)
    };
    let Some(found) = all.iter().find(is_it).cloned() else {
        let there: Vec<String> = all.iter().map(|candidate| format!("`{}`", candidate.manifest.name)).collect();
        let there =
            if there.is_empty() { "none is there".to_owned() } else { format!("there are {}", there.join(", ")) };
        let message = format!("there is no plugin `{name}` in `{}`", place.folder.display());
        return Err(not_found(message, format!("{there}; `infomax plugin list` shows where all of them lie")));
    };
    for build in all.iter().filter(|candidate| candidate.manifest.name == found.manifest.name) {
        fs::remove_file(&build.path).map_err(Error::io("remove", &build.path))?;
    }
    let beside = place.folder.join(&found.manifest.name);
    if beside.is_dir() {
        fs::remove_dir_all(&beside).map_err(Error::io("remove", &beside))?;
    }
    let is_locked = place.change_lock(|lock| drop(lock.plugins.remove(&found.manifest.name)))?;
    Ok((found, is_locked))
}

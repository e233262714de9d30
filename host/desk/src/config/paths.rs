//! Paths in a config: `~` is the home folder, and a relative path that a file gives is seen from that file, so that an
//! experiment means the same data wherever it is started.
//!
//! A file below a folder `configs` counts from the folder that holds `configs`; a path that starts with `./` or `../` always
//! from the file itself. What is not there, but in the working directory, is taken from the working directory, and told. What
//! `--set`, the environment and defaults say is seen from the working directory.

use super::{
    canonical,
    fault::Fault,
    layer::{KeyPath, Layer, Place, dotted},
    schema::{self, KINDS},
};
use serde_json::{Map, Value};
use std::{
    env,
    path::{Path, PathBuf, absolute},
};

/// The host's own keys that name files or folders which must be there; those of components say so in their schema.
const OF_HOST: [&str; 6] =
    ["dataset.path", "dataset.label_list", "augmentation.path", "encoder.path", "encoder.weights", "loss.path"];
/// Where files are written or looked for besides: seen from the working directory, whoever says it.
const HERE: [&str; 2] = ["record.run_directory", "plugins.search"];

/// Puts every path of a merged config into its place: as seen from the working directory. Gives what is worth telling.
///
/// # Errors
/// `~` where there is no home folder.
pub(super) fn settle(whole: &Value, value: &mut Value, layers: &[Layer]) -> Result<Vec<String>, Vec<Fault>> {
    let (mut notes, mut faults) = (Vec::new(), Vec::new());
    for key in keys(whole, value) {
        let Some(Value::String(text)) = at_mut(value, &key) else { continue };
        let place = layers.iter().rev().find_map(|layer| layer.value(&key).and(layer.places.get(&key)));
        match seen_from_here(text, &key, place) {
            Ok((seen, note)) => {
                *text = seen;
                notes.extend(note);
            }
            Err(fault) => faults.push(fault),
        }
    }
    for key in HERE.map(path_of) {
        let place = layers.iter().rev().find_map(|layer| layer.value(&key).and(layer.places.get(&key)));
        let texts = match at_mut(value, &key) {
            Some(Value::Array(items)) => items.iter_mut().collect(),
            Some(item) => vec![item],
            None => Vec::new(),
        };
        for text in texts {
            let Value::String(text) = text else { continue };
            match with_home(text) {
                Some(full) => *text = full,
                None => faults.push(no_home(&key, text, place)),
            }
        }
    }
    if faults.is_empty() { Ok(notes) } else { Err(faults) }
}

/// A config's values with every path absolute, so that they mean the same wherever they are read.
pub(super) fn made_absolute(whole: &Value, value: &Value) -> Value {
    let mut value = value.clone();
    for key in keys(whole, &value) {
        if let Some(Value::String(text)) = at_mut(&mut value, &key) {
            *text = absolute(&text).map_or_else(|_| text.clone(), |path| path.to_string_lossy().into_owned());
        }
    }
    value
}

/// A text with the home folder in the place of `~`; none where there is no home folder.
pub(super) fn with_home(text: &str) -> Option<String> {
    let rest = match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => return Some(text.to_owned()),
    };
    let home = env::var("HOME").ok().filter(|home| !home.is_empty())?;
    Some(format!("{}{rest}", home.trim_end_matches('/')))
}

/// The keys that name files or folders, as far as the value has them.
fn keys(whole: &Value, value: &Value) -> Vec<KeyPath> {
    let mut keys: Vec<KeyPath> = OF_HOST.map(path_of).to_vec();
    for kind in KINDS {
        let config = vec![kind.to_owned(), "config".to_owned()];
        if let Some(Value::Object(fields)) = at(value, &config) {
            collect(whole, fields, &config, &mut keys);
        }
    }
    keys.retain(|key| at(value, key).is_some_and(Value::is_string));
    keys
}

fn collect(whole: &Value, fields: &Map<String, Value>, above: &[String], keys: &mut Vec<KeyPath>) {
    for (name, value) in fields {
        let key: KeyPath = above.iter().chain([name]).cloned().collect();
        match value {
            Value::Object(inner) => collect(whole, inner, &key, keys),
            Value::String(_) if is_path(whole, &key) => keys.push(key),
            _ => {}
        }
    }
}

/// Whether a component's field names a file or folder: its schema says `"format": "path"`, or it is called `root`.
fn is_path(whole: &Value, key: &[String]) -> bool {
    let says = |field: &Value| field["format"] == "path";
    let field = schema::field(whole, key);
    let called_root = key.last().is_some_and(|name| name == "root");
    called_root || field.is_some_and(says) || schema::at(whole, key).is_some_and(says)
}

/// The path as seen from the working directory, and what to tell of it.
fn seen_from_here(text: &str, key: &[String], place: Option<&Place>) -> Result<(String, Option<String>), Fault> {
    let full = with_home(text).ok_or_else(|| no_home(key, text, place))?;
    let here = env::current_dir().unwrap_or_default();
    if Path::new(&full).is_absolute() {
        return Ok((shortened(Path::new(&full), &here), None));
    }
    let Some(Place::File { file, .. }) = place else { return Ok((full, None)) };
    let base = base_of(Path::new(file), &full);
    if is_same(&base, &here) {
        return Ok((full, None));
    }
    let (beside, in_here) = (base.join(&full), here.join(&full));
    let place = place.expect("a file");
    let (named, at) = (dotted(key), beside.display());
    let what = format!("`{named}` = {text:?} ({place})");
    if beside.exists() {
        let other = in_here.exists() && !is_same(&beside, &in_here);
        let note = other.then(|| format!("{what} is {at}; `{}` in the working directory is another one", full));
        return Ok((shortened(&beside, &here), note));
    }
    if in_here.exists() {
        let note = format!("{what} is that of the working directory: there is no {at}");
        return Ok((full, Some(note)));
    }
    let note = format!("{what} is {at}, seen from the config file");
    Ok((shortened(&beside, &here), Some(note)))
}

/// The folder from which a file's relative paths count.
fn base_of(file: &Path, text: &str) -> PathBuf {
    let file = absolute(file).unwrap_or_else(|_| file.to_owned());
    let own = file.parent().unwrap_or(Path::new("/"));
    if is_runs_own(&file, own) {
        return env::current_dir().unwrap_or_default(); // written before paths were kept whole
    }
    if text.starts_with("./") || text.starts_with("../") {
        return own.to_owned();
    }
    let configs = file.ancestors().skip(1).find(|folder| folder.file_name().is_some_and(|name| name == "configs"));
    configs.and_then(Path::parent).unwrap_or(own).to_owned()
}

fn is_runs_own(file: &Path, folder: &Path) -> bool {
    let is_config = file.file_name().is_some_and(|name| name == "config.toml");
    is_config && ["origins.json", "run.json", "identity.json"].iter().any(|name| folder.join(name).exists())
}

/// Without the working directory where the path lies below it: so messages stay short, and equal settings equal.
fn shortened(path: &Path, here: &Path) -> String {
    let plain: PathBuf = path.components().collect(); // `a/./b` is `a/b`
    match plain.strip_prefix(here) {
        Ok(rest) if rest.as_os_str().is_empty() => ".".to_owned(),
        Ok(rest) if here != Path::new("/") => rest.to_string_lossy().into_owned(),
        _ => path.to_string_lossy().into_owned(),
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn no_home(key: &[String], text: &str, place: Option<&Place>) -> Fault {
    let message = format!(
        "`{}` = {} begins at the home folder, but HOME is not set",
        dotted(key),
        canonical::inline(&text.into())
    );
    let fault = Fault { at: place.map(Place::to_string), ..Fault::new(message) };
    fault.hint("write the whole path")
}

fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

fn at_mut<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, key| value.get_mut(key))
}

fn path_of(key: &str) -> KeyPath {
    key.split('.').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_paths_count_from_its_folder_or_from_above_configs() {
        let base = |file: &str, text: &str| base_of(Path::new(file), text).display().to_string();
        assert_eq!(base("/a/b/x.toml", "data"), "/a/b");
        assert_eq!(base("/a/configs/x.toml", "data"), "/a");
        assert_eq!(base("/a/configs/datasets/x.toml", "data"), "/a");
        assert_eq!(base("/a/configs/datasets/x.toml", "./data"), "/a/configs/datasets");
        assert_eq!(base("/a/configs/datasets/x.toml", "../data"), "/a/configs/datasets");
    }

    #[test]
    fn a_path_below_the_working_directory_is_told_from_there() {
        let of = |path: &str| shortened(Path::new(path), Path::new("/a/b"));
        assert_eq!([of("/a/b/c/./d"), of("/a/b"), of("/a/bc"), of("/x")], ["c/d", ".", "/a/bc", "/x"]);
    }

    #[test]
    fn only_a_leading_tilde_is_the_home_folder() {
        let home = env::var("HOME").unwrap();
        let home = home.trim_end_matches('/');
        assert_eq!(with_home("~/a"), Some(format!("{home}/a")));
        assert_eq!(with_home("~"), Some(home.to_owned()));
        for text in ["a/~", "~b/c", "", "/x"] {
            assert_eq!(with_home(text).as_deref(), Some(text));
        }
    }
}

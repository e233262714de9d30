//! Where plugins are looked for. Never the working directory by accident, never a bare name handed to dlopen.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The folders to search, in order, without duplicates: those of the config, `.infomax/plugins` from the config's folder
/// upwards, `INFOMAX_PLUGIN_PATH`, the user's data folder, the folder of the executable.
pub fn search_folders(configured: &[PathBuf], config_folder: Option<&Path>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = configured.to_vec();
    if let Some(start) = config_folder.and_then(|folder| folder.canonicalize().ok()) {
        folders.extend(start.ancestors().map(|folder| folder.join(".infomax/plugins")).filter(|f| f.is_dir()));
    }
    let listed = env::var_os("INFOMAX_PLUGIN_PATH").unwrap_or_default();
    folders.extend(env::split_paths(&listed).filter(|folder| !folder.as_os_str().is_empty()));
    folders.extend(data_folder().filter(|folder| folder.is_dir()));
    folders.extend(env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned)));
    let mut seen = std::collections::BTreeSet::new();
    folders.retain(|folder| seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone())));
    folders
}

/// The user's own folder of plugins, whether or not it is there; none where nothing says where the user's data lie.
pub fn data_folder() -> Option<PathBuf> {
    let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    Some(data.or_else(home)?.join("infomax/plugins"))
}

/// The library files of a folder, by name.
pub fn library_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(|path| is_library(path)).collect();
    files.sort();
    files
}

fn is_library(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "so") && path.is_file()
}

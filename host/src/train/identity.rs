//! What a run is made with, and the copies of its libraries.

use super::setup::Setup;
use crate::{
    dataset::Source,
    error::{Error, Result},
    native::products,
    plugin::Candidate,
    record::{IDENTITY, Identity, LabelIdentity, PluginIdentity, free_path, write_whole},
};
use std::{fs, path::Path};

/// The identity of a run with these components.
///
/// # Errors
/// A component's file that can't be read.
pub fn identity_of(
    setup: &Setup,
    config: &str,
    source: &Source,
    device: tch::Device,
    threads: usize,
) -> Result<Identity> {
    let libraries = setup.components().map(|component| &component.library.candidate);
    let plugins = libraries.map(|library| {
        let Candidate { manifest, sha256, .. } = library.clone();
        let identity = PluginIdentity {
            version: manifest.version,
            sha256,
            abi: manifest.abi,
            rustc: manifest.rustc,
            libtorch: manifest.libtorch,
            file: kept_as(library, &libraries),
        };
        (known_as(library, &libraries), identity)
    });
    let named = setup.components().map(|c| (c.kind.name().to_owned(), known_as(&c.library.candidate, &libraries)));
    Ok(Identity {
        infomax: env!("CARGO_PKG_VERSION").to_owned(),
        libtorch: crate::plugin::LIBTORCH.to_owned(),
        config: config.to_owned(),
        device: format!("{device:?}"),
        threads,
        products: Some(products::now()),
        plugins: plugins.into_iter().collect(),
        components: named.into_iter().collect(),
        files: setup.files()?,
        dataset: source.facts().clone(),
        labels: source.choice().map(|choice| LabelIdentity { count: choice.stage().len(), sha256: choice.digest() }),
        provenance: None,
    })
}

/// Writes the identity and keeps a copy of the libraries and of the files that components are read from, so that the run can be repeated with them.
///
/// # Errors
/// The system's, with the path.
fn write(identity: &Identity, run: &Path, setup: &Setup) -> Result<()> {
    let folder = run.join("plugins");
    fs::create_dir_all(&folder).map_err(Error::io("make the folder", &folder))?;
    let libraries = setup.components().map(|component| &component.library.candidate);
    for component in setup.components() {
        let to = folder.join(kept_as(&component.library.candidate, &libraries));
        fs::copy(component.library.bytes(), &to).map_err(Error::io("copy a plugin to", &to))?;
    }
    for key in identity.files.keys() {
        let Some(from) = setup.file(key) else { continue };
        let to = Identity::file_to_keep(run, key, &from);
        fs::create_dir_all(to.parent().expect("it lies in a folder")).map_err(Error::io("make the folder of", &to))?;
        fs::copy(&from, &to).map_err(Error::io("copy a component's file to", &to))?;
    }
    let path = run.join(IDENTITY);
    let text = serde_json::to_string_pretty(identity).expect("an identity is plain data");
    write_whole(&path, text.as_bytes())
}

/// Writes the identity of a run that begins. Of one that goes on with other builds or data, which were overridden, what it was
/// made with until then is kept beside as `run-1.json`, `run-2.json`, ….
///
/// # Errors
/// The system's, with the path.
pub fn adopt(identity: &Identity, run: &Path, setup: &Setup) -> Result<()> {
    if !identity.is_written(run) {
        return write(identity, run, setup);
    }
    let before = Identity::read(run)?;
    let hashes = |identity: &Identity| identity.plugin_hashes();
    let is_same = hashes(&before) == hashes(identity)
        && before.libtorch == identity.libtorch
        && before.dataset.fingerprint == identity.dataset.fingerprint
        && before.labels == identity.labels
        && before.files == identity.files;
    if is_same {
        return Ok(());
    }
    let kept = free_path(run, "run", ".json");
    fs::copy(run.join(IDENTITY), &kept).map_err(Error::io("write", &kept))?;
    for plugin in before.plugins.values() {
        let replaced = |now: &PluginIdentity| now.file == plugin.file && now.sha256 != plugin.sha256;
        let file = run.join("plugins").join(&plugin.file);
        if identity.plugins.values().any(replaced) && file.exists() {
            let name = format!("{}.{}", plugin.file, &plugin.sha256[..12]);
            fs::rename(&file, run.join("plugins").join(name)).map_err(Error::io("move away", &file))?;
        }
    }
    write(identity, run, setup)
}

/// Digits of a hash that tell builds of one plugin apart.
const DIGITS: usize = 12;

/// What a run calls a library: its plugin's name, with the hash where another build of it stands beside.
fn known_as(library: &Candidate, all: &[&Candidate]) -> String {
    let name = &library.manifest.name;
    let is_twin = |other: &&Candidate| other.manifest.name == *name && other.sha256 != library.sha256;
    if all.iter().any(is_twin) { format!("{name}@sha256:{}", &library.sha256[..DIGITS]) } else { name.clone() }
}

/// The file's name among a run's copies: its own, with the hash where another library has the same.
fn kept_as(library: &Candidate, all: &[&Candidate]) -> String {
    let name = |library: &Candidate| library.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let own = name(library);
    if all.iter().all(|other| name(other) != own || other.sha256 == library.sha256) {
        return own;
    }
    format!("{}.{}.so", own.trim_end_matches(".so"), &library.sha256[..DIGITS])
}

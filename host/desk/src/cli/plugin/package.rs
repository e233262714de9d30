//! `infomax plugin pack`, `add` and `remove`.

use crate::{
    cli::say,
    config::KINDS,
    console::note,
    error::{Error, Fault, Result},
    plugin::{
        Candidate, Registry, data_folder,
        package::{Entry, Index, LICENCE_NAMES, Place, install, pack, uninstall, unpack},
        search_folders,
    },
};
use clap::Args;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Arguments of `infomax plugin pack`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax plugin pack target/release/libmy_loss.so --out packages\n\n\
    The folder with its `index.json` can be handed on as it is, or put on any web server.")]
pub struct Pack {
    /// The library
    library: PathBuf,
    /// The folder for the archive, whose index takes it up
    #[arg(long, value_name = "FOLDER", default_value = "packages")]
    out: PathBuf,
    /// The README; `README.md` of the working directory where not given
    #[arg(long, value_name = "FILE")]
    readme: Option<PathBuf>,
    /// A licence's text; every `LICENSE…`, `LICENCE…` and `COPYING…` of the working directory where none is given
    #[arg(long, value_name = "FILE", visible_alias = "license")]
    licence: Vec<PathBuf>,
}

/// Where plugins are put, or taken from.
#[derive(Debug, Args)]
struct Where {
    /// The user's own folder, instead of `.infomax/plugins` here
    #[arg(long)]
    user: bool,
}

/// Arguments of `infomax plugin add`.
#[derive(Debug, Args)]
#[command(after_help = "Example: infomax plugin add https://example.org/plugins my-loss@0.3.0")]
pub struct Add {
    /// An archive, or a folder or URL with an `index.json`
    source: String,
    /// Which plugin of an index, and which version: `my-loss`, `my-loss@0.3.0`; the newest where none is given
    name: Option<String>,
    /// Take the place of another build of the plugin
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    place: Where,
}

/// Arguments of `infomax plugin remove`.
#[derive(Debug, Args)]
pub struct Remove {
    /// The plugin's name
    name: String,
    #[command(flatten)]
    place: Where,
}

impl Where {
    fn place(&self) -> Result<Place> {
        if !self.user {
            return Ok(Place { folder: PathBuf::from(".infomax/plugins"), locked_in: Some(PathBuf::from(".")) });
        }
        let folder = data_folder().ok_or_else(|| {
            let fault =
                Fault::new("there is no folder for a user's plugins: neither `XDG_DATA_HOME` nor `HOME` is set");
            Error::config(fault.hint("set one of them, or leave `--user` out"))
        })?;
        Ok(Place { folder, locked_in: None })
    }
}

impl Pack {
    /// Packs a library.
    ///
    /// # Errors
    /// A library that this host refuses, texts that are missing.
    pub fn run(self) -> Result<()> {
        let library = Candidate::read(&self.library, &[])?;
        let mut texts = if self.licence.is_empty() { licences_here()? } else { self.licence };
        let readme = self.readme.or_else(|| Some(PathBuf::from("README.md")).filter(|file| file.is_file()));
        texts.extend(readme);
        let (file, packed) = pack(&library, &texts)?;
        let entry = Entry::new(&library, &file, &packed);
        let told = format!("{}: {} bytes, sha256 {}", self.out.join(&file).display(), entry.bytes, entry.sha256);
        Index::publish(&self.out, entry, &packed)?;
        say(&told);
        Ok(())
    }
}

fn licences_here() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(".").map_err(Error::io("read", "."))?.flatten().map(|entry| entry.path());
    let is_licence = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        path.is_file() && LICENCE_NAMES.iter().any(|start| name.starts_with(start))
    };
    let mut all: Vec<PathBuf> = entries.filter(is_licence).collect();
    all.sort();
    Ok(all)
}

impl Add {
    /// Fetches, checks and installs a plugin.
    ///
    /// # Errors
    /// Whatever speaks against it; nothing is changed then.
    pub fn run(self) -> Result<()> {
        let place = self.place.place()?;
        let (from, packed) = Index::fetch(&self.source, self.name.as_deref())?;
        let contents = unpack(&from, &packed)?;
        let (added, is_locked) = install(&from, &contents, &place, self.replace)?;
        say(&format!("added {}", added.label()));
        for component in &added.manifest.components {
            say(&format!("  {} {}: {}", component.kind, component.name, component.summary));
        }
        say(&format!("  licence {}, sha256 {}", added.manifest.licence, added.sha256));
        if is_locked {
            say("  plugins.lock has it");
        }
        Ok(())
    }
}

impl Remove {
    /// Takes a plugin out, and says what refers to it.
    ///
    /// # Errors
    /// No such plugin.
    pub fn run(self) -> Result<()> {
        let place = self.place.place()?;
        let (removed, is_locked) = uninstall(&self.name, &place)?;
        say(&format!("removed {}", removed.label()));
        if is_locked {
            say("  plugins.lock has it no more");
        }
        let left = Registry::search(search_folders(&[], Some(Path::new("."))), &[], None);
        for component in &removed.manifest.components {
            let others = left.candidates().iter().flat_map(|candidate| &candidate.manifest.components);
            if others.into_iter().any(|other| other.kind == component.kind && other.name == component.name) {
                continue;
            }
            for file in referring(Path::new("."), &component.kind, &component.name, 0) {
                note(format!("`{}` still names the {} `{}`", file.display(), component.kind, component.name));
            }
        }
        Ok(())
    }
}

/// Config files below a folder that name a component. Runs keep their own copies, and are passed over.
fn referring(folder: &Path, kind: &str, name: &str, depth: usize) -> Vec<PathBuf> {
    const DEEPEST: usize = 4;
    const PASSED_OVER: [&str; 3] = ["runs", "target", "node_modules"];
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    let mut found = Vec::new();
    for path in entries {
        let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_link = path.is_symlink();
        if path.is_dir() && !is_link && depth < DEEPEST && !own.starts_with('.') && !PASSED_OVER.contains(&own.as_str())
        {
            found.extend(referring(&path, kind, name, depth + 1));
        } else if own.ends_with(".toml") && names(&path, kind, name) {
            found.push(path);
        }
    }
    found
}

fn names(file: &Path, kind: &str, name: &str) -> bool {
    debug_assert!(KINDS.contains(&kind));
    let Some(table) = fs::read_to_string(file).ok().and_then(|text| text.parse::<toml::Table>().ok()) else {
        return false;
    };
    let is_it = |value: &toml::Value| value.as_str().is_some_and(|text| text.split('@').next() == Some(name));
    let in_config = table.get(kind).and_then(|table| table.get("name")).is_some_and(is_it);
    let axis = table.get("axes").and_then(|axes| axes.get(kind)).and_then(toml::Value::as_array);
    in_config || axis.is_some_and(|values| values.iter().any(is_it))
}

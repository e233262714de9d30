//! `infomax plugin`, as far as it looks at files alone.

mod exported;
mod new;
mod package;
mod verify;

use super::say;
use crate::{
    error::{Error, Fault, Result},
    plugin::{Candidate, Registry, found_here, is_exported, lock::Lock, search_folders},
};
use clap::Subcommand;
use std::path::{Path, PathBuf};

/// Commands on plugins.
#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// List the plugins that are found, what they provide, and why others are passed over
    List,
    /// Print what a library, or a file of torch.export, says of itself, without loading it
    Inspect {
        /// A library file, the name of a plugin or of a component, or a file `….pt2`
        library: PathBuf,
        /// Print the manifest as JSON
        #[arg(long)]
        json: bool,
    },
    /// Begin a plugin: a crate for a component, which builds, passes the checks and trains unchanged
    New(new::New),
    /// Print the Python file that makes encoders and losses of PyTorch modules: `infomax plugin python > infomax_export.py`
    Python,
    /// Write `plugins.lock` with the hash of every plugin that is found
    Lock {
        /// The folder of the lock file
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Pack a library with its manifest, licence and README into an archive to hand on
    Pack(package::Pack),
    /// Add a plugin: from an archive, or from the index in a folder or behind a URL
    Add(package::Add),
    /// Take a plugin out, and say what still names it
    Remove(package::Remove),
    /// Compare the plugins that are found with `plugins.lock`: changed, missing, new (exit code 3 where any is)
    Verify {
        /// The folder of the lock file
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
}

impl Plugin {
    /// Runs the command.
    ///
    /// # Errors
    /// A library that is refused, a file that can't be written.
    pub fn run(self) -> Result<()> {
        match self {
            Self::List => list(&found_here()?),
            Self::Inspect { library, json } if is_exported(&library) => exported::inspect(&library, json)?,
            Self::Inspect { library, json } => inspect(&library, json)?,
            Self::Python => say(exported::SCRIPT.trim_end()),
            Self::Lock { folder } => {
                let registry = found_from(&folder);
                let path = Lock::write(&folder, registry.candidates())?;
                say(&format!("{}: {} plugins", path.display(), registry.candidates().len()));
            }
            Self::New(new) => new.run()?,
            Self::Pack(pack) => pack.run()?,
            Self::Add(add) => add.run()?,
            Self::Remove(remove) => remove.run()?,
            Self::Verify { folder } => verify::verify(&folder, &found_from(&folder))?,
        }
        Ok(())
    }
}

/// The plugins that an experiment in a folder finds.
fn found_from(folder: &Path) -> Registry {
    Registry::search(search_folders(&[], Some(folder)), &[], None)
}

fn list(registry: &Registry) {
    say("searched:");
    for folder in registry.folders() {
        say(&format!("  {}", folder.display()));
    }
    for candidate in registry.candidates() {
        say("");
        describe(candidate);
    }
    for error in registry.rejected() {
        say(&format!("\npassed over: {}", error.fault()));
    }
}

fn describe(candidate: &Candidate) {
    let Candidate { manifest, sha256, path } = candidate;
    say(&format!("{} {} — {}", manifest.name, manifest.version, path.display()));
    say(&format!("  sha256 {sha256}"));
    let libtorch = manifest.libtorch.as_deref().unwrap_or("none");
    let [major, minor] = manifest.abi;
    say(&format!("  interface {major}.{minor}, libtorch {libtorch}, {}, {}", manifest.rustc, manifest.profile));
    for component in &manifest.components {
        let capabilities = component.capabilities.join(", ");
        let capabilities = if capabilities.is_empty() { capabilities } else { format!(" [{capabilities}]") };
        say(&format!("  {:<13} {:<13} {}{capabilities}", component.kind, component.name, component.summary));
    }
}

/// A library's file, by its path or by the name of a plugin or of a component that one of the found plugins provides.
///
/// # Errors
/// Neither a file nor a name.
pub fn named(library: &Path) -> Result<PathBuf> {
    let text = library.to_string_lossy();
    if library.exists() || text.contains('/') || library.extension().is_some() {
        return Ok(library.to_owned());
    }
    let registry = found_here()?;
    let candidates = registry.candidates();
    let is_plugin = |candidate: &&Candidate| {
        let name = candidate.manifest.name.as_str();
        name == text || name.strip_prefix("infomax-plugin-") == Some(&text)
    };
    let provides =
        |candidate: &&Candidate| candidate.manifest.components.iter().any(|component| component.name == *text);
    let found = candidates.iter().find(is_plugin).or_else(|| candidates.iter().find(provides));
    found.map(|candidate| candidate.path.clone()).ok_or_else(|| {
        let fault = Fault::new(format!("there is no file and no plugin or component `{text}`"));
        Error::config(fault.hint("`infomax plugin list` shows what there is, and where it was looked for"))
    })
}

fn inspect(library: &Path, json: bool) -> Result<()> {
    let candidate = Candidate::read(&named(library)?, &[]).map_err(Error::from)?;
    if json {
        say(&serde_json::to_string_pretty(&candidate.manifest).expect("a manifest is plain data"));
        return Ok(());
    }
    describe(&candidate);
    for component in &candidate.manifest.components {
        say(&format!("\n{} `{}`, table `{}.config`:", component.kind, component.name, component.kind));
        let fields = component.schema["properties"].as_object();
        for (name, field) in fields.into_iter().flatten() {
            let default = &field["default"];
            let range = match (&field["minimum"], &field["maximum"]) {
                (low, high) if low.is_number() && high.is_number() => format!(", {low} to {high}"),
                _ => String::new(),
            };
            let text = field["description"].as_str().unwrap_or_default().replace('\n', " ");
            say(&format!("  {name} = {default}{range}\n      {text}"));
        }
    }
    Ok(())
}

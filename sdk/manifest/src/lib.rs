//! What a plugin library says of itself. A plugin's build script writes it with [`Builder`]; `export_plugin!` puts the
//! JSON into a section of the library; the host reads it from the file without loading anything.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The ELF section that holds the JSON.
pub const SECTION: &str = ".infomax.manifest";
/// The boundary's version: the major must be equal, a minor only appends.
pub const ABI_VERSION: [u32; 2] = [1, 1];
/// The file that [`Builder::write`] leaves in `OUT_DIR` and `export_plugin!` embeds.
pub const FILE: &str = "infomax-manifest.json";

/// What a plugin library says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: String,
    /// SPDX expression; empty where the author gave none.
    #[serde(default)]
    pub licence: String,
    /// What the library provides.
    pub components: Vec<Component>,
    /// The boundary's version, major and minor.
    pub abi: [u32; 2],
    /// The SDK's version.
    pub sdk: String,
    /// The compiler.
    pub rustc: String,
    /// The target triple.
    pub target: String,
    /// `unwind`; the host refuses `abort`.
    pub panic: String,
    /// `release` or `debug`.
    pub profile: String,
    /// The libtorch that the library was built against; none where it computes with the host's, as the SDK's own tensors do.
    pub libtorch: Option<String>,
    /// SHA-256 over the package's manifest, build script and sources.
    pub source_sha256: String,
}

/// One component of a plugin library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// `dataset`, `augmentation`, `encoder` or `loss`.
    pub kind: String,
    /// The name that a config gives.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// The JSON Schema (2020-12, no additional properties) of the component's `config` table.
    pub schema: Value,
    /// What it can do beyond the required: `row-ranges`, `forward-backward`, …
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// Collects a manifest in a plugin's build script.
pub struct Builder {
    components: Vec<Component>,
    libtorch: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An empty manifest of the package that is being built.
    pub fn new() -> Self {
        Self { components: Vec::new(), libtorch: env::var_os("DEP_INFOMAX_SDK_TCH").is_some() }
    }

    /// Adds a dataset with the config struct `C`.
    #[must_use]
    pub fn dataset<C: JsonSchema>(self, name: &str, summary: &str) -> Self {
        self.component::<C>("dataset", name, summary, &[])
    }

    /// Adds an augmentation with the config struct `C`.
    #[must_use]
    pub fn augmentation<C: JsonSchema>(self, name: &str, summary: &str) -> Self {
        self.component::<C>("augmentation", name, summary, &[])
    }

    /// Adds an encoder with the config struct `C`.
    #[must_use]
    pub fn encoder<C: JsonSchema>(self, name: &str, summary: &str) -> Self {
        self.component::<C>("encoder", name, summary, &[])
    }

    /// Adds a loss with the config struct `C` and what it can do beyond the required.
    #[must_use]
    pub fn loss<C: JsonSchema>(self, name: &str, summary: &str, capabilities: &[&str]) -> Self {
        self.component::<C>("loss", name, summary, capabilities)
    }

    /// Says that the library is built against the libtorch in `LIBTORCH`, for a crate that brings `tch` along: a host of another
    /// libtorch then refuses it. The SDK's feature `tch` says so by itself.
    #[must_use]
    pub fn built_against_libtorch(self) -> Self {
        Self { libtorch: true, ..self }
    }

    fn component<C: JsonSchema>(mut self, kind: &str, name: &str, summary: &str, capabilities: &[&str]) -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<C>().to_value();
        assert!(
            schema["additionalProperties"] == Value::Bool(false),
            "the config struct of {kind} `{name}` needs `#[serde(deny_unknown_fields)]`, so that a mistyped key is an error"
        );
        let capabilities = capabilities.iter().map(|&c| c.to_owned()).collect();
        self.components.push(Component {
            kind: kind.to_owned(),
            name: name.to_owned(),
            summary: summary.to_owned(),
            schema,
            capabilities,
        });
        self
    }

    /// Writes the manifest where `export_plugin!` finds it. Call it last in `build.rs`.
    ///
    /// # Panics
    /// Outside a build script, and where libtorch can't be found though the SDK's feature `tch` needs it.
    pub fn write(self) {
        let package = PathBuf::from(build_variable("CARGO_MANIFEST_DIR"));
        let manifest = Manifest {
            name: build_variable("CARGO_PKG_NAME"),
            version: build_variable("CARGO_PKG_VERSION"),
            licence: build_variable("CARGO_PKG_LICENSE"),
            components: self.components,
            abi: ABI_VERSION,
            sdk: env!("CARGO_PKG_VERSION").to_owned(),
            rustc: rustc_version(),
            target: build_variable("TARGET"),
            panic: env::var("CARGO_CFG_PANIC").unwrap_or_else(|_| "unwind".to_owned()),
            profile: build_variable("PROFILE"),
            libtorch: self.libtorch.then(libtorch_version),
            source_sha256: source_hash(&package),
        };
        let text = serde_json::to_string(&manifest).expect("a manifest is plain data");
        let file = Path::new(&build_variable("OUT_DIR")).join(FILE);
        fs::write(&file, text).unwrap_or_else(|error| panic!("can't write {}: {error}", file.display()));
        if let Some(folder) = libtorch_folder().filter(|_| self.libtorch) {
            // For the package's own tests; in the host libtorch is loaded already.
            println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
        }
        println!("cargo:rerun-if-changed=build.rs");
        println!("cargo:rerun-if-changed=src");
        println!("cargo:rerun-if-changed=Cargo.toml");
        println!("cargo:rerun-if-env-changed=LIBTORCH");
    }
}

fn build_variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: call this from a build script"))
}

fn rustc_version() -> String {
    let output = std::process::Command::new(build_variable("RUSTC")).arg("--version").output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

/// Reads the version from libtorch's own header, so that a library built against another libtorch says so.
fn libtorch_version() -> String {
    let root = PathBuf::from(build_variable("LIBTORCH"));
    let header = root.join("include/torch/headeronly/version.h");
    let text = fs::read_to_string(&header)
        .unwrap_or_else(|error| panic!("LIBTORCH must name a libtorch 2.11 folder; {}: {error}", header.display()));
    let part = |name: &str| {
        let define = format!("#define TORCH_VERSION_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&define)).unwrap_or("?").trim().to_owned()
    };
    format!("{}.{}.{}", part("MAJOR"), part("MINOR"), part("PATCH"))
}

/// The real folder of libtorch's libraries, whose neighbours hold what they need.
fn libtorch_folder() -> Option<PathBuf> {
    let file = PathBuf::from(env::var_os("LIBTORCH")?).join("lib/libtorch_cpu.so");
    fs::canonicalize(file).ok()?.parent().map(Path::to_owned)
}

fn source_hash(package: &Path) -> String {
    let mut files = vec![package.join("Cargo.toml"), package.join("build.rs")];
    let mut folders = vec![package.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let name = file.strip_prefix(package).unwrap_or(&file).to_string_lossy().into_owned();
        let bytes = fs::read(&file).unwrap_or_default();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

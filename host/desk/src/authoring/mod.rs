//! `infomax plugin new`: a crate for a component of one kind, which builds, passes the checks and trains unchanged.

use crate::{
    error::{Error, Fault, Result},
    plugin::Kind,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where a new crate finds the SDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sdk {
    /// The folder `sdk` of a clone.
    Path(PathBuf),
    /// A git repository.
    Git(String),
    /// The registry, at this host's version.
    Registry,
}

impl Sdk {
    /// The SDK of the clone that this host was built from, where that is still there; the registry otherwise.
    pub fn found() -> Self {
        let clone = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk");
        match fs::canonicalize(&clone) {
            Ok(folder) if folder.join("Cargo.toml").is_file() => Self::Path(folder),
            _ => Self::Registry,
        }
    }

    /// What a user names: a folder, or the address of a repository.
    ///
    /// # Errors
    /// A folder without the SDK.
    pub fn named(text: &str) -> Result<Self> {
        if text.contains("://") || text.starts_with("git@") {
            return Ok(Self::Git(text.to_owned()));
        }
        let given = Path::new(text);
        let folder = [given.to_owned(), given.join("sdk")].into_iter().find(|folder| is_sdk(folder));
        let folder = folder.and_then(|folder| fs::canonicalize(folder).ok()).ok_or_else(|| {
            let fault = Fault::new("there is no infomax-sdk in it").at(text);
            Error::config(fault.hint("name the folder `sdk` of a clone of infomax, or the address of its repository"))
        })?;
        Ok(Self::Path(folder))
    }

    /// The dependency on a crate of the SDK, as Cargo.toml says it.
    fn dependency(&self, crate_folder: &str) -> String {
        match self {
            Self::Path(folder) => {
                let folder = folder.join(crate_folder);
                format!("{{ path = {} }}", toml::Value::from(folder.to_string_lossy().trim_end_matches('/')))
            }
            Self::Git(address) => format!("{{ git = {} }}", toml::Value::from(address.as_str())),
            Self::Registry => format!("\"{}\"", env!("CARGO_PKG_VERSION")),
        }
    }
}

fn is_sdk(folder: &Path) -> bool {
    fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|text| text.contains("name = \"infomax-sdk\""))
}

/// A crate to be written.
struct Template {
    summary: &'static str,
    capabilities: &'static str,
    config: &'static str,
    code: &'static str,
}

/// A small experiment on drawn shapes, of which the new component takes one part: kind, name and config of the others.
const OTHERS: [(&str, &str, &str); 4] = [
    ("dataset", "shapes", ""),
    ("augmentation", "simclr", "size = 32"),
    ("encoder", "resnet18", "width = 8"),
    ("loss", "nt-xent", ""),
];

macro_rules! template {
    ($kind:literal, $summary:literal, $capabilities:literal) => {
        Template {
            summary: $summary,
            capabilities: $capabilities,
            config: include_str!(concat!("template/", $kind, "/config.rs.in")),
            code: include_str!(concat!("template/", $kind, "/lib.rs.in")),
        }
    };
}

fn template(kind: Kind) -> Template {
    match kind {
        Kind::Dataset => template!("dataset", "Drawn images of four classes", ""),
        Kind::Augmentation => template!("augmentation", "Two views: crop, flip, and a square cut out", ""),
        Kind::Encoder => template!("encoder", "Stages of convolution, BatchNorm and activation", ""),
        Kind::Loss => template!("loss", "Two views come close, and every channel keeps its spread", ", &[]"),
    }
}

const COMMON: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("template/common/Cargo.toml.in")),
    ("build.rs", include_str!("template/common/build.rs.in")),
    ("tests/check.rs", include_str!("template/common/check.rs.in")),
    ("README.md", include_str!("template/common/README.md.in")),
    ("experiment.toml", include_str!("template/common/experiment.toml.in")),
    (".gitignore", include_str!("template/common/gitignore.in")),
];

/// Writes a crate into a new folder.
///
/// # Errors
/// A name that no crate can have, a folder that is there already, a disk that can't be written.
pub fn write(kind: Kind, name: &str, folder: &Path, sdk: &Sdk) -> Result<()> {
    let type_name = type_name(name)?;
    if folder.exists() {
        let fault = Fault::new("it is there already").at(folder.display().to_string());
        return Err(Error::config(fault.hint("choose another name, or another folder with `--path`")));
    }
    let template = template(kind);
    let files = COMMON.into_iter().chain([("src/config.rs", template.config), ("src/lib.rs", template.code)]);
    for (file, text) in files {
        let mut text = text
            .replace("@name@", name)
            .replace("@lib@", &name.replace('-', "_"))
            .replace("@Type@", &type_name)
            .replace("@kind@", kind.name())
            .replace("@summary@", template.summary)
            .replace("@capabilities@", template.capabilities)
            .replace("@sdk@", &sdk.dependency(""))
            .replace("@manifest@", &sdk.dependency("manifest"));
        for (part, other, config) in OTHERS {
            let own = part == kind.name();
            text = text.replace(&format!("@{part}@"), if own { name } else { other });
            text = text.replace(&format!("@{part}_config@"), if own { "" } else { config });
        }
        let path = folder.join(file);
        let parent = path.parent().expect("a file lies in a folder");
        fs::create_dir_all(parent).map_err(Error::io("make the folder", parent))?;
        fs::write(&path, text).map_err(Error::io("write", &path))?;
    }
    Ok(())
}

/// `my-loss` is `MyLoss` in Rust.
fn type_name(name: &str) -> Result<String> {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let begins_well = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    const TAKEN: [&str; 6] = ["test", "self", "super", "crate", "infomax-sdk", "core"];
    if !begins_well || !name.split('-').all(word) || TAKEN.contains(&name) || name.len() > 64 {
        let fault = Fault::new(format!("`{name}` can't be the name of a component and of its crate"));
        return Err(Error::config(fault.hint("use lower-case words joined by `-`, such as `my-loss`")));
    }
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    Ok(name.split('-').map(capital).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_types_and_odd_ones_are_refused() {
        assert_eq!(type_name("w-mse2").unwrap(), "WMse2");
        for odd in ["", "-", "a--b", "9a", "Big", "my_loss", "a/b", "test", "ä"] {
            assert!(type_name(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_crate_is_written_whole_and_never_over_another() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [Kind::Dataset, Kind::Augmentation, Kind::Encoder, Kind::Loss] {
            let at = folder.path().join(kind.name());
            write(kind, "my-own", &at, &Sdk::Registry).unwrap();
            for (file, _) in COMMON.into_iter().chain([("src/config.rs", ""), ("src/lib.rs", "")]) {
                let text = fs::read_to_string(at.join(file)).unwrap();
                assert!(!text.contains('@'), "{file}: {text}");
            }
            assert!(write(kind, "my-own", &at, &Sdk::Registry).is_err());
        }
    }
}

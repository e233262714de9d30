//! `infomax plugin new`.

use crate::{
    authoring::{Sdk, write},
    cli::say,
    error::Result,
    plugin::Kind,
};
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use std::path::PathBuf;

/// Begin a plugin: a crate for a component, which builds, passes the checks and trains unchanged.
#[derive(Debug, Args)]
pub struct New {
    /// What the component is
    #[arg(value_parser = PossibleValuesParser::new(Kind::ALL.map(Kind::name))
        .map(|name| Kind::from_name(&name).expect("one of the names above")))]
    kind: Kind,
    /// Its name, which is the crate's too: lower-case words joined by `-`
    name: String,
    /// The folder of the crate; by its name in the working directory if left out
    #[arg(long)]
    path: Option<PathBuf>,
    /// Where the SDK is: the folder of a clone of infomax, or the address of its repository
    #[arg(long)]
    sdk: Option<String>,
}

impl New {
    /// Runs the command.
    ///
    /// # Errors
    /// A name that can't be, a folder that is there, an SDK that is not.
    pub fn run(&self) -> Result<()> {
        let kind = self.kind;
        let sdk = self.sdk.as_deref().map_or_else(|| Ok(Sdk::found()), Sdk::named)?;
        let folder = self.path.clone().unwrap_or_else(|| PathBuf::from(&self.name));
        write(kind, &self.name, &folder, &sdk)?;
        let from = match &sdk {
            Sdk::Path(folder) => format!("the SDK in {}", folder.display()),
            Sdk::Git(address) => format!("the SDK at {address}"),
            Sdk::Registry => "the SDK of the registry (`--sdk` names a clone)".to_owned(),
        };
        let library = self.name.replace('-', "_");
        say(&format!("{}: the {} `{}`, with {from}", folder.display(), kind.name(), self.name));
        say(&format!("\n  cd {}", folder.display()));
        say("  cargo build --release");
        say(&format!("  infomax plugin check target/release/lib{library}.so"));
        say("  infomax train experiment.toml");
        Ok(())
    }
}
